"""A folder read without transformers gives what transformers gives; anything unusual is left to it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from emotion_core import EmotionClassifier, EmotionError, direct, inference, models
from tests.conftest import BUNDLED, ROOT
from tests.tiny_kobert import save_tiny_kobert

HARD = ["", " ", "<s>여기</s><pad><mask>", "[CLS] 안녕 [SEP]", "각 각각", "ㅋㅋㅋㅠㅠ!!?", "😀👨‍👩‍👧 좋아",
        "1,000원 ABC", "가" * 3000, "\u200b\t\n 끝", "①②㎏", "한국어 English 日本語"]


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def sentences() -> list[str]:
    with (ROOT / "emotion_core" / "samples" / "test.csv").open(encoding="utf-8-sig", newline="") as lines:
        return [row["Sentence"] for row in csv.DictReader(lines)] + HARD


@pytest.mark.parametrize("which", ["bundled", "tiny"])
def test_ids_are_those_of_transformers(which: str, tiny_folder: Path) -> None:
    folder = BUNDLED if which == "bundled" else tiny_folder
    found, expected = direct.read_tokenizer(folder), models.read_tokenizer(folder)
    texts = sentences()
    ids = expected(texts, verbose=False)["input_ids"]
    assert found(texts)["input_ids"] == ids
    assert [found([text])["input_ids"][0] for text in texts] == ids
    assert [found(text)["input_ids"] for text in texts[-60:]] == ids[-60:]
    bare = [tokenizer("안녕", add_special_tokens=False)["input_ids"] for tokenizer in (found, expected)]
    assert bare[0] == bare[1]
    for member in ("model_max_length", "pad_token_id", "unk_token_id"):
        assert getattr(found, member) == getattr(expected, member)
    assert (len(found), found.num_special_tokens_to_add()) == (len(expected), expected.num_special_tokens_to_add())


def test_the_bundled_model_scores_alike_either_way() -> None:
    quick = EmotionClassifier.load(BUNDLED, "cpu", "float32")
    slow = EmotionClassifier(models.load(BUNDLED, "cpu"), "float32")
    assert isinstance(quick._tokenizer, direct.FastTokenizer) and not isinstance(slow._tokenizer, direct.FastTokenizer)
    texts = sentences()[-60:]
    for one, other in zip(quick.predict_many(texts), slow.predict_many(texts), strict=True):
        assert type(one) is type(other)
        if isinstance(one, inference.Prediction):
            np.testing.assert_allclose(one.logits, other.logits, atol=1e-5)
            assert one.truncated == other.truncated


def test_scoring_the_bundled_model_imports_no_model_code() -> None:
    code = ("import sys; from emotion_core import EmotionClassifier; EmotionClassifier.load('bundled', 'cpu')"
            ".predict('좋아'); assert 'transformers' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)


def edit(file: Path, **changes: object) -> None:
    content = json.loads(file.read_text("utf-8")) | changes
    file.write_text(json.dumps({key: value for key, value in content.items() if value is not None}), "utf-8")


@pytest.mark.parametrize("change", [
    {"architectures": ["BertForMaskedLM"]}, {"architectures": None}, {"model_type": "roberta"}, {"hidden_act": "silu"},
    {"num_hidden_layers": 1}, {"vocab_size": 7}, {"layer_norm_eps": None, "num_attention_heads": None},
    {"id2label": {"0": "하나"}}, {"is_decoder": True},
])
def test_an_unusual_config_is_left_to_transformers(folder: Path, change: dict[str, object]) -> None:
    assert direct.read_bert(folder) is not None
    edit(folder / "config.json", **change)
    assert direct.read_bert(folder) is None


def test_unusual_weights_are_left_to_transformers(folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    save_file({**state, "another": state["classifier.bias"].clone()}, folder / "model.safetensors")
    assert direct.read_bert(folder) is None
    del state["classifier.bias"]
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    assert direct.read_bert(folder) is None
    with pytest.raises(EmotionError, match=r"classifier\.bias"):
        EmotionClassifier.load(folder, "cpu")
    (folder / "model.safetensors").write_bytes(b"no weights")
    assert direct.read_bert(folder) is None


@pytest.mark.parametrize("change", [
    {"tokenizer_class": "BertTokenizer"}, {"tokenizer_class": None}, {"unk_token": "[NEW]"}, {"model_max_length": None},
    {"add_bos_token": True}, {"extra_special_tokens": ["[X]"]}, {"cls_token": {"content": "[CLS]"}},
])
def test_an_unusual_tokenizer_is_left_to_transformers(folder: Path, change: dict[str, object]) -> None:
    assert direct.read_tokenizer(folder) is not None
    edit(folder / "tokenizer_config.json", **change)
    assert direct.read_tokenizer(folder) is None


def test_a_folder_with_pieces_may_be_kobert(folder: Path, tmp_path: Path) -> None:
    shutil.copy(save_tiny_kobert(tmp_path / "kobert") / "spiece.model", folder)
    assert direct.read_tokenizer(folder) is None


def test_labels_that_are_no_table_are_said(folder: Path) -> None:
    edit(folder / "config.json", id2label=["공포", "놀람", "분노", "슬픔", "중립", "행복", "혐오"])
    assert direct.read_bert(folder) is None
    with pytest.raises(EmotionError):
        EmotionClassifier.load(folder, "cpu")
