"""Cheaper training on a CPU: dropout by bytes is dropout, and a prepared model is the same model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification

from emotion_core.training.cpu import ByteDropout, prepare


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_share_dropped_and_the_scale(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    found = ByteDropout(p)(torch.ones(301, 999, dtype=dtype))
    assert found.dtype == dtype
    assert (found == 0).float().mean().item() == pytest.approx(p, abs=0.004)
    assert found.float().mean().item() == pytest.approx(1, abs=0.02)
    assert found.unique().numel() == 2


def test_every_place_is_dropped_as_often() -> None:
    torch.manual_seed(0)
    dropout = ByteDropout(0.5)
    shares = torch.stack([dropout(torch.ones(24)) == 0 for _ in range(4000)]).float().mean(0)
    assert (shares - 0.5).abs().max().item() < 0.05  # a number with a bit that is always zero would give 0.75


def test_a_seed_gives_the_same_draws_and_gradients_follow_them() -> None:
    x = torch.randn(7, 13, requires_grad=True)
    results = []
    for _ in range(2):
        torch.manual_seed(5)
        x.grad = None
        found = ByteDropout(0.3)(x)
        found.sum().backward()
        results.append((found.detach(), x.grad.clone()))
    (first, gradient), (second, again) = results
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(gradient, again)
    torch.testing.assert_close(gradient * x.detach(), first)
    assert not torch.equal(ByteDropout(0.3)(x), first)


def test_nothing_happens_while_testing() -> None:
    x = torch.randn(3, 4)
    assert ByteDropout(0.5).eval()(x) is x
    assert ByteDropout(0.0)(x) is x


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


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [True, False])
def test_the_last_layer_finishes_the_first_token_alone_and_learns_the_same(implementation: str, padded: bool) -> None:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16,
                        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, initializer_range=0.5)
    torch.manual_seed(0)
    model = BertForSequenceClassification(config).train()
    model.set_attn_implementation(implementation)
    ids, labels = torch.arange(5, 20).view(3, 5), torch.tensor([0, 1, 1])
    mask = torch.ones_like(ids)
    mask[1, 2:] = 1 - padded
    shapes: list[torch.Size] = []
    model.bert.encoder.layer[1].output.register_forward_hook(lambda layer, given, out: shapes.append(out.shape))

    def gradients() -> dict[str, torch.Tensor]:
        model.zero_grad()
        model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
        return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}

    expected = gradients()
    prepare(model, bf16=implementation == "eager")
    found = gradients()
    assert shapes == [(3, 5, 8), (3, 1, 8)]
    assert len(expected) == len(found) > 30
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_a_last_layer_of_another_kind_is_left_alone() -> None:
    config = BertConfig(vocab_size=30, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                        hidden_act="silu")
    model = BertForSequenceClassification(config)
    prepare(model, bf16=False)
    assert type(model.bert.encoder.layer[0].attention.self).__name__ == "BertSelfAttention"


def test_preparing_keeps_each_share(model) -> None:
    model.bert.encoder.layer[1].output.dropout.p = 1.0  # all of it: nothing to scale up
    prepare(model, bf16=True)
    kinds = [type(module) for module in model.modules() if isinstance(module, ByteDropout | nn.Dropout)]
    assert kinds.count(nn.Dropout) == 1 and kinds.count(ByteDropout) == 7
    assert (model.dropout.p, model.bert.embeddings.dropout.p) == (0.5, 0.25)
    assert model.config._attn_implementation == "eager"
    assert torch.isfinite(model.train()(input_ids=torch.arange(5, 15).view(2, 5)).logits).all()
