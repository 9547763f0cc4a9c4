"""The engines: packed, padded, and the choice of a precision."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
)

from emotion_core import EmotionClassifier, EmotionError, cli, engine, packed, precision
from emotion_core.engine import length_batches
from emotion_core.labels import LABELS
from emotion_core.packed import BertWeights, PackedBert

CPU = torch.device("cpu")
LENGTHS = [1, 1, 2, 3, 3, 3, 7, 20, 20, 21, 64, 300, 512, 1, 20]  # not sorted at the end: any order is right


@pytest.fixture(scope="module")
def bert() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(vocab_size=500, hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
                        intermediate_size=96, num_labels=7, initializer_range=0.15, pad_token_id=1)
    model = BertForSequenceClassification(config).eval()
    for parameter in model.parameters():  # biases and norms start at zero and one, which would hide a mix-up
        parameter.data += 0.1 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def rows() -> list[list[int]]:
    draw = random.Random(0)
    return [[draw.randrange(2, 500) for _ in range(length)] for length in LENGTHS]


@pytest.fixture(scope="module")
def expected(bert: BertForSequenceClassification, rows: list[list[int]]) -> np.ndarray:
    with torch.inference_mode():
        return torch.cat([bert(input_ids=torch.tensor([row])).logits for row in rows]).numpy()


@pytest.mark.parametrize("reordered", [True, False])
def test_packed_equals_transformers(bert, rows, expected, reordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_ONEDNN", reordered and packed._ONEDNN)
    found = PackedBert(BertWeights.of(bert), torch.float32)(rows)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("reordered", [True, False])
def test_packed_has_products_of_its_own(bert, rows, expected, reordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_ONEDNN", reordered and packed._ONEDNN)
    weights = BertWeights(bert.config, {name: tensor.clone() for name, tensor in bert.state_dict().items()})
    engine = PackedBert(weights, torch.float32)
    for name, tensor in weights.state.items():
        if "LayerNorm" not in name and "embeddings" not in name:
            tensor.zero_()
    np.testing.assert_allclose(engine(rows).numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_packed_uses_the_models_activation(rows, activation: str) -> None:
    torch.manual_seed(1)
    config = BertConfig(vocab_size=500, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, num_labels=7, initializer_range=0.5, hidden_act=activation)
    model = BertForSequenceClassification(config).eval()
    with torch.inference_mode():
        expected = model(input_ids=torch.tensor([rows[7]])).logits
    found = PackedBert(BertWeights.of(model), torch.float32)([rows[7]])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("reordered", [True, False])
def test_bfloat16_stays_near(bert, rows, expected, reordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_ONEDNN", reordered and packed._ONEDNN)
    found = PackedBert(BertWeights.of(bert), torch.bfloat16)(rows).softmax(1).numpy()
    wanted = torch.tensor(expected).softmax(1).numpy()
    assert 0 < np.abs(found - wanted).mean() < 0.01


def test_a_million_sentences_meet_few_shapes_of_products() -> None:
    """oneDNN keeps a kernel for every one, so memory would grow with the file."""
    draw = random.Random(0)
    shapes, exact = set(), set()
    for _ in range(100):
        lengths = [min(max(int(draw.lognormvariate(2.85, 0.55)), 3), 512) for _ in range(2048)]
        for batch in length_batches(lengths, PackedBert.tokens_a_batch):
            for group in packed._groups([lengths[row] for row in batch], torch.bfloat16):
                shapes.add(tuple(group.tokens.shape))
            exact.add((len(batch), lengths[batch[-1]]))
    assert len(shapes) < 200 < len(exact)


@pytest.mark.parametrize("lengths", [[20], [3, 3], [5, 7, 7, 8], [260, 270], [300]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_torchs(lengths: list[int], dtype: torch.dtype) -> None:
    """Alone, without and with padding, short and long enough for torch's own kernel."""
    torch.manual_seed(0)
    heads, depth, tokens = 4, 12, sum(lengths)
    qkv = (0.5 * torch.randn(tokens + 2, 3 * heads * depth)).to(dtype)
    found = packed._Sentences(lengths, 2, heads, dtype).attention(qkv)
    assert found.shape == (len(qkv), heads * depth)
    start = 0
    for length in lengths:
        q, k, v = qkv[start : start + length].float().view(length, 3, heads, depth).permute(1, 2, 0, 3)
        wanted = ((q @ k.transpose(1, 2)).softmax(-1) @ v).transpose(0, 1).reshape(length, -1)
        torch.testing.assert_close(found[start : start + length].float(), wanted,
                                   atol=1e-5 if dtype is torch.float32 else 0.05, rtol=1e-5)
        start += length


@pytest.mark.parametrize("length", [3, 20, 300])
def test_a_sentence_alone_has_the_attention_that_it_has_among_others(length: int) -> None:
    torch.manual_seed(0)
    heads, depth = 4, 12
    qkv = torch.randn(length, 3 * heads * depth)
    alone = packed._sentences([length], 0, heads, torch.float32)
    assert isinstance(alone, packed._Alone)
    among = packed._sentences([length, 5], 0, heads, torch.float32).attention(torch.cat([qkv, torch.randn(5, 144)]))
    torch.testing.assert_close(alone.attention(qkv), among[:length], atol=1e-6, rtol=0)


@pytest.mark.parametrize(("lengths", "extra", "dtype"), [
    ([20], 4, torch.float32), ([20], 0, torch.bfloat16), ([20, 20], 0, torch.float32)])
def test_others_are_gathered(lengths: list[int], extra: int, dtype: torch.dtype) -> None:
    assert isinstance(packed._sentences(lengths, extra, 4, dtype), packed._Sentences)


def test_which_attention_does_not_hang_on_how_many_sentences_there_are_in_float32() -> None:
    for length in (3, 20, 300):
        kinds = {group.fused for count in (1, 50) for group in packed._groups([length] * count, torch.float32)}
        assert kinds == {length == 300}


@pytest.mark.parametrize("width", [1, 3, 15, 16, 40])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_softmax_is_torchs_whatever_the_width(width: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    scores = (1000 * torch.randn(20, 4, width)).to(dtype)  # exp alone would overflow
    scores[1, :, 1:] = -torch.inf
    torch.testing.assert_close(packed.softmax(scores), scores.softmax(-1, torch.float32))


def test_padded_equals_transformers(bert, rows, expected) -> None:
    found = engine.PaddedModel(bert, CPU, 1, torch.float32)(rows)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_other_architectures_are_padded(bert) -> None:
    assert isinstance(engine.build(bert, CPU, 1), PackedBert)
    config = ElectraConfig(vocab_size=50, embedding_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                           intermediate_size=16, num_labels=7)
    assert isinstance(engine.build(ElectraForSequenceClassification(config), CPU, 0), engine.PaddedModel)
    strange = BertForSequenceClassification(BertConfig(**{**bert.config.to_dict(), "hidden_act": "silu"}))
    assert isinstance(engine.build(strange, CPU, 1), engine.PaddedModel)


def test_another_architecture_is_scored_as_transformers_does(tiny_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "electra"))
    (folder / "model.safetensors").unlink()
    torch.manual_seed(2)
    config = ElectraConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tiny_folder)), embedding_size=16, hidden_size=16,
        num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, max_position_embeddings=32, pad_token_id=1,
        id2label=dict(enumerate(LABELS)), initializer_range=0.5)
    model = ElectraForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    texts = ["아파요", "와", "회의는 오후 3시에 시작합니다", "", "가" * 100]
    classifier = EmotionClassifier.load(folder, "cpu")
    assert isinstance(classifier._engine, engine.PaddedModel)
    for text, found in zip(texts, classifier.predict_many(texts), strict=True):
        if text:
            with torch.inference_mode():
                expected = model(input_ids=torch.tensor(classifier._tokenize([text])[0])).logits[0].numpy()
            np.testing.assert_allclose(found.logits, expected, atol=1e-5)


@pytest.mark.parametrize(("capability", "chosen"), [
    ((9, 0), torch.bfloat16), ((8, 0), torch.bfloat16), ((7, 5), torch.float16), ((6, 1), torch.float32)])
def test_a_gpu_computes_in_what_it_has(capability, chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOTION_PRECISION", raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert precision.resolve("auto", torch.device("cuda", 0)) is chosen
    assert precision.resolve("float32", torch.device("cuda", 0)) is torch.float32
    assert precision.resolve("auto", torch.device("mps")) is torch.float32


def test_precision_is_chosen_and_said(tiny_folder: Path) -> None:
    assert EmotionClassifier.load(tiny_folder, "cpu").precision == "float32"
    exact = EmotionClassifier.load(tiny_folder, "cpu", "float32")
    rough = EmotionClassifier.load(tiny_folder, "cpu", "bfloat16")
    assert (exact.precision, rough.precision) == ("float32", "bfloat16")
    difference = np.abs(exact.predict("아파요").probabilities - rough.predict("아파요").probabilities)
    assert 0 < difference.max() < 0.05
    with pytest.raises(EmotionError, match="int4"):
        EmotionClassifier.load(tiny_folder, "cpu", "int4")


def test_predict_takes_a_precision(tiny_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for name in ("float32", "bfloat16"):
        assert cli.main(["predict", "아파요", "--model", str(tiny_folder), "--device", "cpu", "--precision", name]) == 0
        found.append(json.loads(capsys.readouterr().out)["logits"]["공포"])
    assert found[0] != found[1]
    with pytest.raises(SystemExit, match="2"):
        cli.main(["predict", "아파요", "--precision", "int4"])


def test_the_environment_names_a_precision_for_all(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOTION_PRECISION", "bfloat16")
    monkeypatch.setattr(precision, "measure", lambda: pytest.fail("nothing is left to measure"))
    assert EmotionClassifier.load(tiny_folder, "cpu").precision == "bfloat16"
    assert EmotionClassifier.load(tiny_folder, "cpu", "float32").precision == "float32"
    monkeypatch.setenv("EMOTION_PRECISION", "int4")
    with pytest.raises(EmotionError, match="int4"):
        EmotionClassifier.load(tiny_folder, "cpu")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("EMOTION_PRECISION", raising=False)
    monkeypatch.setenv("EMOTION_CACHE", str(tmp_path / "not there yet"))
    return precision.cache_file()


@pytest.mark.parametrize(("gain", "chosen"), [(1.9, torch.bfloat16), (1.1, torch.float32), (0.0, torch.float32)])
def test_the_choice_is_measured_once_and_remembered(cache, gain, chosen, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(precision, "measure", lambda: measured.append(1) or gain)
    assert precision.resolve("auto", CPU) is chosen
    assert precision.resolve("auto", CPU) is chosen
    assert len(measured) == 1
    assert [file.name for file in cache.parent.iterdir()] == ["precision.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"machine": 1}',
                                     b'{"machine": "another", "bfloat16_gain": 9}'])
def test_a_cache_that_is_broken_or_anothers_is_measured_anew(cache, content, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.mkdir()
    cache.write_bytes(content)
    monkeypatch.setattr(precision, "measure", lambda: 1.5)
    assert precision.resolve("auto", CPU) is torch.bfloat16
    assert json.loads(cache.read_text("utf-8"))["bfloat16_gain"] == 1.5


def test_a_gain_that_is_no_number_is_measured_anew(cache, monkeypatch: pytest.MonkeyPatch) -> None:
    precision.remember("bfloat16_gain", 3.0)
    cache.write_text(json.dumps({**json.loads(cache.read_text("utf-8")), "bfloat16_gain": "fast"}), "utf-8")
    monkeypatch.setattr(precision, "measure", lambda: 1.0)
    assert precision.resolve("auto", CPU) is torch.float32


def test_a_cache_that_cant_be_written_is_no_error(cache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.parent.write_text("a file where the folder would be")
    monkeypatch.setattr(precision, "measure", lambda: 2.0)
    assert precision.resolve("auto", CPU) is torch.bfloat16


def test_the_measurement_is_short_and_a_ratio() -> None:
    assert 0 <= precision.measure(tokens=8, inputs=32, outputs=32) < 1000
    assert 0 < precision.measure_int8(torch.float32, tokens=8, inputs=32, outputs=32, repeats=2) < 1000


def test_a_processor_without_a_kernel_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*arguments: object) -> None:
        raise NotImplementedError("Could not run 'aten::_int_mm'")

    monkeypatch.setattr(torch, "_int_mm", missing)
    assert precision.measure_int8(torch.float32, tokens=8, inputs=32, outputs=32) == 0


def test_both_measurements_are_kept(cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "measure", lambda: 3.0)
    monkeypatch.setattr(precision, "measure_int8", lambda dtype: {torch.bfloat16: 1.5, torch.float32: 2.5}[dtype])
    assert precision.resolve("auto", CPU) is torch.bfloat16
    assert (precision.int8_gain(torch.bfloat16), precision.int8_gain(torch.float32)) == (1.5, 2.5)
    for name in ("measure", "measure_int8"):
        monkeypatch.setattr(precision, name, lambda *dtype: pytest.fail("measured again"))
    assert precision.resolve("auto", CPU) is torch.bfloat16
    assert (precision.int8_gain(torch.bfloat16), precision.int8_gain(torch.float32)) == (1.5, 2.5)


@pytest.mark.parametrize(("asked", "environment", "free"), [
    ("auto", None, True), ("auto", "", True), ("auto", "auto", True), ("auto", "float32", False),
    ("float32", None, False), ("bfloat16", "auto", False)])
def test_a_named_precision_is_no_free_choice(asked, environment, free, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EMOTION_PRECISION", raising=False)
    if environment is not None:
        monkeypatch.setenv("EMOTION_PRECISION", environment)
    assert precision.is_free(asked) is free


@pytest.mark.parametrize("threads", [1, 2, 4, 7])
def test_batches_side_by_side_give_what_they_give_alone(bert, rows, expected, threads: int) -> None:
    built = PackedBert(BertWeights.of(bert), torch.float32)
    batches = [rows[place : place + 3] for place in range(0, len(rows), 3)]  # 5: more and fewer than threads
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = engine.compute(built, batches)
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert [len(logits) for logits in found] == [3] * 5
    np.testing.assert_allclose(torch.cat(found).numpy(), expected, atol=1e-5)


def test_a_thread_a_batch_only_where_every_thread_has_one() -> None:
    class Watched:
        dtype, tokens_a_batch, side_by_side = torch.float32, 8, True

        def __call__(self, ids: list[list[int]]) -> torch.Tensor:
            return torch.tensor([torch.get_num_threads()])

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert [int(found) for found in engine.compute(Watched(), [[[1]]] * 3)] == [1, 1, 1]
        assert [int(found) for found in engine.compute(Watched(), [[[1]]] * 2)] == [3, 3]
        Watched.side_by_side = False
        assert [int(found) for found in engine.compute(Watched(), [[[1]]] * 3)] == [3, 3, 3]
        assert engine.compute(Watched(), []) == []
    finally:
        torch.set_num_threads(before)


def test_an_error_in_a_batch_is_raised() -> None:
    class Broken:
        dtype, tokens_a_batch, side_by_side = torch.float32, 8, True

        def __call__(self, ids: list[list[int]]) -> torch.Tensor:
            raise ValueError("broken")

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ValueError, match="broken"):
            engine.compute(Broken(), [[[1]]] * 4)
    finally:
        torch.set_num_threads(before)


def test_length_batches_stay_under_the_budget() -> None:
    lengths = [3, 50, 7, 7, 120, 2, 9]
    found = list(length_batches(lengths, 40))
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= 40
    assert len(found) < len(lengths)
