"""KoBERT and other encoders through one door; refusals that name the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PreTrainedConfig,
    RobertaConfig,
)

from emotion_core import EmotionClassifier, EmotionError, bases, hub
from emotion_core.kobert import KoBERTTokenizer
from emotion_core.labels import LABELS
from tests.tiny_kobert import save_tiny_kobert


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_tiny_kobert(tmp_path / "kobert-copy")


def refused(source: object) -> EmotionError:
    with pytest.raises(EmotionError) as caught:
        base = bases.load(source)
        bases.new_classifier(base)
    assert "\n" not in caught.value.text("ko") and caught.value.text("en")
    return caught.value


def test_a_folder_gives_tokenizer_and_fresh_head(folder: Path) -> None:
    base = bases.load(folder)
    assert isinstance(base.tokenizer, KoBERTTokenizer) and base.name == "kobert-copy"
    model = bases.new_classifier(base, dropout=0.5)
    assert isinstance(model, BertForSequenceClassification) and model.dropout.p == 0.5
    assert model.config.id2label == dict(enumerate(LABELS))
    assert base.config.num_labels == 2, "the base's own configuration stays as it was"


def test_another_vocabulary_of_kobert_s_make_is_said(folder: Path, tiny_folder: Path) -> None:
    base = bases.load(folder)
    assert not base.original and base.warning and str(folder) in base.warning.text("ko")
    assert bases.load(tiny_folder).warning is None


def test_old_zip_without_architecture_and_with_a_pickled_weights_file(folder: Path) -> None:
    model = bases.new_classifier(bases.load(folder))
    config = json.loads((folder / "config.json").read_text())
    for key in ("model_type", "architectures"):
        config.pop(key)
    (folder / "config.json").write_text(json.dumps(config))
    torch.save(model.bert.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    again = bases.new_classifier(bases.load(folder))
    torch.testing.assert_close(again.bert.state_dict(), model.bert.state_dict())


def test_a_trained_model_of_ours_is_a_base_too(tiny_folder: Path) -> None:
    base = bases.load(tiny_folder)
    model = bases.new_classifier(base)
    trained = AutoModelForSequenceClassification.from_pretrained(tiny_folder)
    torch.testing.assert_close(model.base_model.state_dict(), trained.base_model.state_dict())
    for name in ("weight", "bias"):
        assert not torch.equal(getattr(model.classifier, name), getattr(trained.classifier, name)), "its old head"


def test_a_head_is_kept_where_it_reads_our_emotions(tiny_folder: Path, folder: Path, tmp_path: Path) -> None:
    assert bases.usual_head(tiny_folder) == "keep"
    assert {bases.usual_head(source) for source in ("kobert", folder, tmp_path, "nobody/knows")} == {"fresh"}
    config = json.loads((tiny_folder / "config.json").read_text())
    other = shutil.copytree(tiny_folder, tmp_path / "other")
    (other / "config.json").write_text(json.dumps(config | {"id2label": {str(i): f"별점 {i}" for i in range(7)}}))
    assert bases.usual_head(other) == "fresh"
    (other / "config.json").write_text("[")
    assert bases.usual_head(other) == "fresh"


def test_a_classifier_made_from_kobert_loads_with_its_tokenizer(folder: Path, weights: Path) -> None:
    base = bases.load(folder)
    bases.new_classifier(base).save_pretrained(weights / "mine")
    base.tokenizer.save_pretrained(weights / "mine")
    classifier = EmotionClassifier.load("mine")
    assert classifier.max_length == 512
    assert classifier.predict("[SEP] 오늘 1,000원").logits.shape == (7,)


def test_a_kobert_folder_from_elsewhere_does_not_get_transformers_own_guess(folder: Path) -> None:
    bases.new_classifier(bases.load(folder)).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "XLNetTokenizer"}')
    assert isinstance(EmotionClassifier.load(folder)._tokenizer, KoBERTTokenizer)


SMALL = {"vocab_size": 11280, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 64, "pad_token_id": 1}


@pytest.mark.parametrize("config", [
    ElectraConfig(embedding_size=16, **SMALL), RobertaConfig(**SMALL), ModernBertConfig(**SMALL),
    DistilBertConfig(vocab_size=11280, dim=16, n_layers=2, n_heads=2, hidden_dim=32, pad_token_id=1),
    DebertaV2Config(**SMALL)], ids=lambda config: config.model_type)
def test_any_encoder_that_can_classify_is_a_base(config: PreTrainedConfig, tiny_folder: Path, tmp_path: Path) -> None:
    AutoModel.from_config(config).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(tmp_path)
    base = bases.load(tmp_path)
    ids = torch.tensor([base.tokenizer("오늘 정말 행복해요")["input_ids"]])
    model = bases.new_classifier(base, 0.5).eval()
    assert model(input_ids=ids).logits.shape == (1, 7)
    state = {key: value for key, value in AutoModel.from_pretrained(tmp_path).state_dict().items() if ".0." not in key}
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert refused(tmp_path).key == "error.model.incomplete", "a layer is missing"


def test_damaged_files_are_named(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    assert refused(folder).key == "error.model.damaged"
    file.unlink()
    assert refused(folder).key == "error.model.no_weights"
    (folder / "config.json").write_text("{")
    assert refused(folder).key == "error.model.damaged"
    (folder / "config.json").unlink()
    assert refused(folder).key == "error.model.no_config"


def test_weights_of_another_size_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"intermediate_size": 64}))
    assert refused(folder).key in {"error.model.incomplete", "error.model.damaged"}


def test_weights_without_the_encoder_are_refused(folder: Path, tmp_path: Path) -> None:
    torch.save({"something": torch.zeros(3)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert refused(folder).key == "error.model.incomplete"


def test_no_network_and_not_in_the_cache_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    error = refused("kobert")
    assert "(HF_HUB_OFFLINE=1)" in error.text("ko")
    assert error.key == "error.kobert.unreachable" and "인터넷" in error.text("ko") and "folder" in error.text("en")
    assert refused("nobody/nothing").key == "error.model.unreachable"


def test_a_model_in_the_hubs_cache_needs_no_network(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache as the Hub's library lays it out, one snapshot deep."""
    cache = folder.parent / "hub"
    snapshot = cache / "models--somebody--kobert" / "snapshots" / ("0" * 40)
    shutil.copytree(folder, snapshot)
    references = cache / "models--somebody--kobert" / "refs"
    references.mkdir()
    (references / "main").write_text("0" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert hub.cached("somebody/kobert") == snapshot
    base = bases.load("somebody/kobert")
    assert isinstance(base.tokenizer, KoBERTTokenizer) and base.name == "somebody/kobert"
    (snapshot / "model.safetensors").unlink()
    assert hub.cached("somebody/kobert") is None, "half a model is none"
