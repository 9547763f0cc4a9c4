"""Finding and loading a model, and saying what is wrong with one."""

from __future__ import annotations

import json
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import torch

from emotion_core import EmotionClassifier, EmotionError
from emotion_core.labels import ENGLISH, LABELS
from emotion_core.models import load, saved_models
from tests.tiny import save_tiny_model


@pytest.fixture
def folder(tiny_folder: Path, weights: Path) -> Path:
    """A copy of the tiny model under this test's `weights/`, free to be damaged."""
    return Path(shutil.copytree(tiny_folder, weights / "mine"))


def edit_config(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text("utf-8")) | changes), "utf-8")


def refused(source: object) -> str:
    with pytest.raises(EmotionError) as caught:
        load(source)
    assert caught.value.text("en") and "\n" not in caught.value.text("ko")
    return caught.value.key


def test_by_name_and_by_folder(folder: Path) -> None:
    by_name, by_folder = EmotionClassifier.load("mine"), EmotionClassifier.load(folder)
    assert by_name.name == by_folder.name == "mine"
    np.testing.assert_array_equal(by_name.predict("안녕").logits, by_folder.predict("안녕").logits)


def test_listing_names_the_bundled_model_first_and_only_models(folder: Path, weights: Path) -> None:
    shutil.copytree(folder, weights / "bundled")
    (weights / "runs").mkdir()
    (weights / "note.txt").write_text("x")
    assert [saved.name for saved in saved_models()] == ["bundled", "mine"]


def test_no_weights_folder_is_an_empty_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EMOTION_WEIGHTS", str(tmp_path / "nowhere"))
    assert saved_models() == []


def test_labels_in_another_order_are_mapped_by_name(tmp_path: Path) -> None:
    plain = load(save_tiny_model(tmp_path / "plain"))
    shuffled = load(save_tiny_model(tmp_path / "shuffled", labels=tuple(reversed(ENGLISH))))
    assert list(plain.order) == list(range(7))
    assert [list(reversed(ENGLISH))[column] for column in shuffled.order] == list(ENGLISH)
    one, other = EmotionClassifier(plain).predict("안녕"), EmotionClassifier(shuffled).predict("안녕")
    np.testing.assert_allclose(one.logits, other.logits[::-1], atol=1e-6)


def test_nameless_labels_are_ids(tmp_path: Path) -> None:
    folder = save_tiny_model(tmp_path / "m", labels=tuple(f"LABEL_{i}" for i in range(7)))
    assert list(load(folder).order) == list(range(7))


@pytest.mark.parametrize("labels", [LABELS[:6], (*LABELS[:6], "우울"), (*LABELS[:6], "공포"), ("긍정", "부정")])
def test_other_labels_are_refused(tmp_path: Path, labels: tuple[str, ...]) -> None:
    assert refused(save_tiny_model(tmp_path / "m", labels=labels)) == "error.model.labels"


@pytest.mark.parametrize("source", ["없는모델", "../mine", "/no/such/folder", "a/b/c", "~nobody/x", "~no-such-person/x",
                                    "x" * 5000, "a\0b"])
def test_missing(weights: Path, source: str) -> None:
    assert refused(source) == "error.model.missing"


def test_hub_id_without_a_network(weights: Path) -> None:
    assert refused("nobody/no-such-model") == "error.model.unreachable"


def test_not_a_model(tmp_path: Path) -> None:
    assert refused(tmp_path) == "error.model.no_config"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '"bert"', "\x00\x01"])
def test_damaged_config(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content)
    assert refused(folder) == "error.model.damaged"


def test_unknown_architecture(folder: Path) -> None:
    edit_config(folder, model_type="no_such_type")
    assert refused(folder) == "error.model.damaged"


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    assert refused(folder) == "error.model.no_weights"


@pytest.mark.parametrize("keep", [0, 4, 100, 0.5])
def test_truncated_weights(folder: Path, keep: float) -> None:
    file = folder / "model.safetensors"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * keep) if keep == 0.5 else int(keep)])
    assert refused(folder) == "error.model.damaged"


def test_weights_of_another_shape(folder: Path) -> None:
    edit_config(folder, hidden_size=32)
    assert refused(folder) in ("error.model.damaged", "error.model.incomplete")


def test_a_model_without_its_classifier_is_refused(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in state.items() if not k.startswith("classifier")}, folder / "model.safetensors",
              metadata={"format": "pt"})
    assert refused(folder) == "error.model.incomplete"


def test_pickled_code_in_the_weights_is_not_run(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "owned",))

    (folder / "model.safetensors").unlink()
    torch.save({"classifier.weight": Evil()}, folder / "pytorch_model.bin")
    assert refused(folder) == "error.model.damaged"
    assert not (tmp_path / "owned").exists()


def test_code_in_a_folder_is_not_run(folder: Path, tmp_path: Path) -> None:
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'owned')!r}, 'w')\nclass C: pass\n")
    edit_config(folder, auto_map={"AutoModelForSequenceClassification": "evil.C", "AutoConfig": "evil.C"})
    EmotionClassifier.load(folder)
    assert not (tmp_path / "owned").exists()


def test_a_folder_without_its_tokenizer(folder: Path) -> None:
    for file in folder.glob("*token*"):
        file.unlink()
    assert refused(folder) in ("error.model.tokenizer", "error.model.damaged")


def test_a_tokenizer_of_another_model(folder: Path, tmp_path: Path) -> None:
    edit_config(folder, vocab_size=50)
    from safetensors.torch import load_file, save_file

    state = load_file(folder / "model.safetensors")
    name = "bert.embeddings.word_embeddings.weight"
    save_file(state | {name: state[name][:50].clone()}, folder / "model.safetensors", metadata={"format": "pt"})
    assert refused(folder) == "error.model.tokenizer"


@pytest.mark.parametrize("device", ["cuda:7", "tpu", "gpu"])
def test_unknown_device(folder: Path, device: str) -> None:
    with pytest.raises(EmotionError) as caught:
        load(folder, device)
    assert caught.value.key == "error.device"


def test_a_decomposed_folder_name_is_found_by_the_composed_one(folder: Path, weights: Path) -> None:
    folder.rename(weights / unicodedata.normalize("NFD", "내 모델"))
    assert EmotionClassifier.load("내 모델").predict("안녕")


def test_a_weights_folder_that_cannot_be_read_is_an_empty_list(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError(13, "not yours")

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert saved_models() == []
