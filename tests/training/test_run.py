"""A run in its process: its figures are true, a resumed one gives the same numbers, trouble has its sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.scoring.results import Results
from emotion_core.training import checkpoint, metrics
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import TrainingData, read
from emotion_core.training.progress import Outcome, Progress
from emotion_core.training.run import class_weights, train
from tests.conftest import ROOT
from tests.tiny_kobert import save_tiny_kobert
from tests.training.data import choice, write_table

CONFIG = TrainingConfig(epochs=3, batch_size=16, max_length=24, learning_rate=3e-3, precision="fp32", dropout=0.3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    return read(choice(write_table(tmp_path_factory.mktemp("data") / "table.csv")), CONFIG)


def run(data: TrainingData, base: Path, folder: Path, config: TrainingConfig = CONFIG, stop_at: int | None = None,
        report: Callable[[Progress], None] = lambda progress: None) -> Outcome:
    """A run that hears a stop at its step `stop_at`."""
    folder.mkdir(exist_ok=True)
    steps = [0]

    def stopping() -> bool:
        steps[0] += 1
        return steps[0] == stop_at

    return train(data, base, config, folder, stopping=stopping, report=report, device="cpu")


def numbers(folder: Path) -> list[tuple[float, ...]]:
    """All figures of the epochs but the seconds."""
    return [(one.epoch, one.step, one.train_loss, one.train_accuracy, one.test_loss, one.test_accuracy,
             one.test_macro_f1, *one.f1, one.learning_rate, one.best) for one in metrics.read(folder).epochs]


@pytest.fixture(scope="module")
def whole(data: TrainingData, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an uninterrupted run with CONFIG."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    outcome = run(data, tiny_folder, folder)
    assert outcome.finished and outcome.model == folder / "model"
    return folder


def test_it_learns_and_says_so(whole: Path, data: TrainingData) -> None:
    found = metrics.read(whole)
    assert [one.epoch for one in found.epochs] == [1, 2, 3]
    assert found.epochs[-1].train_loss < found.epochs[0].train_loss
    assert [point.step for point in found.points if point.step < 5] == [1, 2, 3, 4]
    assert all(point.rate >= 0 and 0 <= point.accuracy <= 1 for point in found.points)


def test_the_kept_models_scores_are_those_of_its_best_epoch(whole: Path, data: TrainingData) -> None:
    best = [one for one in metrics.read(whole).epochs if one.best][-1]
    classifier = EmotionClassifier.load(whole / "model", "cpu")
    scored = list(classifier.predict_many(data.test.text))
    logits = np.stack([one.logits for one in scored])
    losses = torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(data.test.label))
    assert losses.item() == pytest.approx(best.test_loss, abs=1e-5)
    assert (logits.argmax(1) == data.test.label).mean() == pytest.approx(best.test_accuracy)
    kept = Results(whole / "test")
    np.testing.assert_array_equal(kept.row, np.sort(data.test.row))
    assert (kept.predicted == kept.truth).mean() == pytest.approx(best.test_accuracy)
    assert kept.text(0) == data.test.text[int(np.argmin(data.test.row))]


@pytest.mark.parametrize("stop_at", [3, 5, 7])
def test_a_resumed_run_gives_the_uninterrupted_ones_numbers(
        stop_at: int, whole: Path, data: TrainingData, tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "resumed"
    stopped = run(data, tiny_folder, folder, stop_at=stop_at)
    assert not stopped.finished and checkpoint.last(folder / "checkpoints").name == f"checkpoint-{stop_at}"
    seen: list[Progress] = []
    assert run(data, tiny_folder, folder, report=seen.append).finished
    assert numbers(folder) == numbers(whole)
    assert min(one.step for one in seen if one.phase == "training") == stop_at
    ours, theirs = (load_file(place / "model" / "model.safetensors") for place in (folder, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    steps = [point.step for point in metrics.read(folder).points]
    assert steps == sorted(set(steps))


def test_a_half_written_checkpoint_is_passed_over(whole: Path, data: TrainingData, tiny_folder: Path,
                                                  tmp_path: Path) -> None:
    folder = tmp_path / "half"
    run(data, tiny_folder, folder, stop_at=7)
    places = folder / "checkpoints"
    assert checkpoint.whole(places) == [5, 7]
    optimizer = places / "checkpoint-7" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:100])
    (places / "checkpoint-9").mkdir()
    assert checkpoint.whole(places) == [5]
    assert run(data, tiny_folder, folder).finished
    assert numbers(folder) == numbers(whole)


def test_only_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        place = tmp_path / f".making-{step}"
        place.mkdir()
        for name in ("config.json", "model.safetensors", "optimizer.pt", "scheduler.pt", "trainer_state.json",
                     "progress.json"):
            (place / name).write_text("x")
        checkpoint.complete(place, tmp_path / f"checkpoint-{step}")
    (tmp_path / checkpoint.SAVING).mkdir()
    checkpoint.clear(tmp_path, best=1)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint-1", "checkpoint-3", "checkpoint-4"]


def test_parts_of_a_batch_give_the_same_numbers(data: TrainingData, tiny_without_dropout: Path, tmp_path: Path) -> None:
    plain = CONFIG.with_changes(dropout=0.0, epochs=2)
    run(data, tiny_without_dropout, tmp_path / "one", plain)
    run(data, tiny_without_dropout, tmp_path / "four", plain.with_changes(gradient_accumulation=4))
    np.testing.assert_allclose(numbers(tmp_path / "four"), numbers(tmp_path / "one"), rtol=1e-4)


@pytest.fixture(scope="session")
def tiny_without_dropout(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = tmp_path_factory.mktemp("plain") / "tiny"
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_folder, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    return folder


def test_two_processes_give_one_processs_numbers(data: TrainingData, tiny_without_dropout: Path,
                                                 tmp_path: Path) -> None:
    config = CONFIG.with_changes(dropout=0.0, epochs=2, batch_size=14, class_weights=True)
    run(data, tiny_without_dropout, tmp_path / "one", config)
    (tmp_path / "two").mkdir()
    table = write_table(tmp_path / "table.csv")
    script = tmp_path / "both.py"
    script.write_text(f"""
from pathlib import Path
from emotion_core.training.config import TrainingConfig
from emotion_core.training.data import read
from emotion_core.training.parallel import part
from emotion_core.training.run import train
from tests.training.data import choice
config = TrainingConfig.from_dict({config.as_dict()!r})
train(read(choice(Path({str(table)!r})), config), {str(tiny_without_dropout)!r}, config,
      Path({str(tmp_path / "two")!r}),
      device="cpu")
part()
""", "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)], cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        timeout=180, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(numbers(tmp_path / "two"), numbers(tmp_path / "one"), rtol=1e-4, atol=1e-6)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_good_checkpoint(
        data: TrainingData, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_core.training import trainer

    real = trainer.EmotionTrainer.compute_loss

    def spoilt(self: trainer.EmotionTrainer, *args: object, **kwargs: object) -> torch.Tensor:
        loss = real(self, *args, **kwargs)
        if self.state.global_step >= 6:
            self.sums[0] = float("nan")
        return loss

    monkeypatch.setattr(trainer.EmotionTrainer, "compute_loss", spoilt)
    with pytest.raises(EmotionError) as caught:
        run(data, tiny_folder, tmp_path / "nan")
    assert caught.value.key == "error.training.diverged" and "0.003" in caught.value.text("en")
    assert checkpoint.whole(tmp_path / "nan" / "checkpoints") == [5]


DIVERGING = CONFIG.with_changes(epochs=20, learning_rate=10.0, weight_decay=1.0)
"""AdamW multiplies the weights by 1 - rate x decay = -9 a step, so that they leave the floating-point range."""


def test_settings_that_diverge_are_noticed_and_the_best_epoch_before_is_the_model(
        data: TrainingData, tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EmotionError) as caught:
        run(data, tiny_folder, tmp_path / "far", DIVERGING)
    assert caught.value.key == "error.training.diverged"
    epochs = metrics.read(tmp_path / "far").epochs
    assert 1 <= len(epochs) < 20 and all(np.isfinite([one.train_loss, one.test_loss]).all() for one in epochs)
    kept = checkpoint.last(tmp_path / "far" / "checkpoints")
    assert kept is not None and kept.name == f"checkpoint-{epochs[-1].step}"
    for place in (kept, tmp_path / "far" / "model"):
        assert all(torch.isfinite(weights).all() for weights in load_file(place / "model.safetensors").values())
    best = [one for one in epochs if one.best][-1]
    scored = Results(tmp_path / "far" / "test")
    assert (scored.predicted == scored.truth).mean() == pytest.approx(best.test_accuracy)


def test_learning_nothing_is_no_divergence(data: TrainingData, tiny_folder: Path, tmp_path: Path) -> None:
    config = CONFIG.with_changes(optimizer="sgd", learning_rate=10.0)
    assert run(data, tiny_folder, tmp_path / "nothing", config).finished
    assert metrics.read(tmp_path / "nothing").epochs[-1].train_loss > np.log(7)


@pytest.mark.parametrize(("error", "key"), [
    (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "error.training.memory"),
    (MemoryError(), "error.training.memory"),
    (OSError(28, "No space left on device"), "error.disk_full"),
    (RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 731328 vs 731216"), "error.disk_full"),
])
def test_no_memory_and_no_space_have_their_sentence(
        error: Exception, key: str, data: TrainingData, tiny_folder: Path, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_core.training import trainer

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    monkeypatch.setattr(trainer.EmotionTrainer, "compute_loss", fail)
    with pytest.raises(EmotionError) as caught:
        run(data, tiny_folder, tmp_path / "full")
    assert caught.value.key == key
    assert caught.value.text("ko") and caught.value.text("en")


def test_it_ends_early_without_gain(data: TrainingData, tiny_folder: Path, tmp_path: Path) -> None:
    config = CONFIG.with_changes(epochs=6, learning_rate=1e-9, patience=2)
    assert run(data, tiny_folder, tmp_path / "early", config).finished
    assert len(metrics.read(tmp_path / "early").epochs) < 6


def test_it_goes_on_with_a_head_of_its_own_in_another_order(data: TrainingData, tmp_path: Path) -> None:
    from emotion_core.labels import LABELS
    from tests.tiny import save_tiny_model

    other = save_tiny_model(tmp_path / "other", labels=LABELS[::-1])
    truth = EmotionClassifier.load(other, "cpu").predict("가나다").logits
    config = CONFIG.with_changes(head="keep", learning_rate=1e-9, epochs=1)
    run(data, other, tmp_path / "kept", config)
    kept = EmotionClassifier.load(tmp_path / "kept" / "model", "cpu").predict("가나다").logits
    np.testing.assert_allclose(kept, truth, atol=1e-3)


def test_frozen_layers_stay_as_they_are(data: TrainingData, tiny_folder: Path, tmp_path: Path) -> None:
    run(data, tiny_folder, tmp_path / "frozen", CONFIG.with_changes(frozen_layers=1, epochs=1))
    before, after = (load_file(place / "model.safetensors") for place in (tiny_folder, tmp_path / "frozen" / "model"))
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in before if "embeddings" in name or "layer.0." in name} <= same
    assert not any("layer.1.attention.self.query" in name for name in same)
    with pytest.raises(EmotionError) as caught:
        run(data, tiny_folder, tmp_path / "deep", CONFIG.with_changes(frozen_layers=3))
    assert "frozen_layers" in caught.value.text("en")


def test_data_that_cannot_be_trained_on_is_refused(tmp_path: Path) -> None:
    one = read(choice(write_table(tmp_path / "one.csv", labels=("행복",))), CONFIG)
    with pytest.raises(EmotionError) as caught:
        one.check()
    assert caught.value.key == "error.training.one_class" and "행복" in caught.value.text("ko")
    table = write_table(tmp_path / "few.csv")
    table.write_text(table.read_text("utf-8") + "혼자예요,혐오\n", "utf-8")
    with pytest.raises(EmotionError) as caught:
        read(choice(table), CONFIG).check()
    assert caught.value.key == "error.training.few_rows" and "혐오 1" in caught.value.text("ko")


def test_class_weights_are_one_on_average(data: TrainingData) -> None:
    weights = class_weights(data.train)
    assert weights[data.train.label].mean() == pytest.approx(1)
    assert weights[data.train.counts > 0].min() > 0 and (weights[data.train.counts == 0] == 0).all()


def test_metrics_without_a_newline_or_damaged_are_left_out(tmp_path: Path) -> None:
    metrics.append(tmp_path, metrics.Point(1, 0.1, 1.0, 0.5, 1e-3, 10.0, 1.0))
    with (tmp_path / metrics.FILE).open("a") as file:
        file.write('{"kind": "point"}\nnonsense\n' + json.dumps({"kind": "point", "step": 2}))
    assert [point.step for point in metrics.read(tmp_path).points] == [1]


def test_pieces_are_drawn_anew_and_a_resume_draws_the_same(data: TrainingData, tiny_folder: Path,
                                                          tmp_path: Path) -> None:
    base = save_tiny_kobert(tmp_path / "kobert")
    config = CONFIG.with_changes(subword_dropout=0.3, epochs=2)
    run(data, base, tmp_path / "whole", config)
    run(data, base, tmp_path / "plain", config.with_changes(subword_dropout=0.0))
    run(data, base, tmp_path / "resumed", config, stop_at=7)
    run(data, base, tmp_path / "resumed", config)
    assert numbers(tmp_path / "resumed") == numbers(tmp_path / "whole") != numbers(tmp_path / "plain")
    with pytest.raises(EmotionError):
        run(data, tiny_folder, tmp_path / "other", config)
