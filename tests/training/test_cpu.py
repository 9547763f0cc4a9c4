"""What makes training on a CPU cheaper leaves the model what it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from emotion_core.training.cpu import prepare
from emotion_core.training.dropout import ByteDropout
from emotion_core.training.layer import HandLayer


@pytest.fixture
def model() -> BertForSequenceClassification:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                        hidden_dropout_prob=0.25, attention_probs_dropout_prob=0.0, classifier_dropout=0.5)
    torch.manual_seed(0)
    return BertForSequenceClassification(config)


@pytest.mark.parametrize("bf16", [True, False])
def test_a_prepared_model_is_saved_and_tested_as_before(model, bf16: bool, tmp_path: Path) -> None:
    ids = torch.arange(5, 15).view(2, 5)
    expected = model.eval()(input_ids=ids).logits
    names, saved = list(model.state_dict()), model.config.to_json_string()
    prepare(model, bf16)
    assert list(model.state_dict()) == names and model.config.to_json_string() == saved
    torch.testing.assert_close(model.eval()(input_ids=ids).logits, expected)
    model.save_pretrained(tmp_path)
    again = BertForSequenceClassification.from_pretrained(tmp_path).eval()
    torch.testing.assert_close(again(input_ids=ids).logits, expected)


def test_the_layers_are_taken_over_and_the_last_knows_its_place(model) -> None:
    prepare(model, bf16=False)
    assert [(type(one), one.first_only) for one in model.bert.encoder.layer] == [(HandLayer, False), (HandLayer, True)]


def test_layers_of_another_kind_are_left_alone() -> None:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        hidden_act="silu")
    model = BertForSequenceClassification(config)
    prepare(model, bf16=False)
    assert type(model.bert.encoder.layer[0]).__name__ == "BertLayer"
    assert torch.isfinite(model.train()(input_ids=torch.arange(5, 15).view(2, 5)).logits).all()


def test_preparing_keeps_each_share(model) -> None:
    prepare(model, bf16=True)
    kinds = [type(module) for module in model.modules() if isinstance(module, ByteDropout | nn.Dropout)]
    assert kinds == [ByteDropout] * 8
    assert (model.dropout.p, model.bert.embeddings.dropout.p) == (0.5, 0.25)
    assert model.config._attn_implementation == "eager"
    assert torch.isfinite(model.train()(input_ids=torch.arange(5, 15).view(2, 5)).logits).all()

