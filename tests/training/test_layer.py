"""A layer by hand gives and learns what transformers' layer does, and no more than the head reads of the last."""

from __future__ import annotations

import copy

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from emotion_core.training.layer import HandLayer

IDS, LABELS = torch.arange(5, 20).view(3, 5), torch.tensor([0, 1, 1])


def classifier(**changes: object) -> BertForSequenceClassification:
    usual = {"vocab_size": 30, "hidden_size": 8, "num_hidden_layers": 3, "num_attention_heads": 2,
             "intermediate_size": 16, "initializer_range": 0.5, "hidden_dropout_prob": 0.0,
             "attention_probs_dropout_prob": 0.0}
    config = BertConfig(**(usual | changes))
    torch.manual_seed(0)
    return BertForSequenceClassification(config).train()


def by_hand(model: BertForSequenceClassification) -> BertForSequenceClassification:
    model = copy.deepcopy(model)
    *before, last = model.bert.encoder.layer
    for one in (*before, last):
        HandLayer.take_over(one, first_only=one is last)
    return model


def learned(model: BertForSequenceClassification, padded: bool = True) -> dict[str, torch.Tensor]:
    """The loss, and the gradient of every weight that has one."""
    mask = torch.ones_like(IDS)
    mask[1, 2:] = 1 - padded
    loss = model(input_ids=IDS, attention_mask=mask, labels=LABELS).loss
    loss.backward()
    return {"loss": loss.detach()} | {name: one.grad for name, one in model.named_parameters() if one.grad is not None}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_every_weight_learns_the_same(implementation: str, padded: bool, activation: str) -> None:
    model = classifier(hidden_act=activation)
    model.set_attn_implementation(implementation)
    found, expected = learned(by_hand(model), padded), learned(model, padded)
    assert len(expected) == len(found) > 50
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_with_dropout_gradients_are_the_loss_s_own() -> None:
    """By finite differences, with the same draws at every look: masks must be the same forward and backward."""
    model = by_hand(classifier(hidden_dropout_prob=0.3, attention_probs_dropout_prob=0.4)).double()

    def loss() -> torch.Tensor:
        torch.manual_seed(3)
        return model(input_ids=IDS, labels=LABELS).loss

    loss().backward()
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if ".layer." not in name:
            continue
        step = torch.randn_like(weight)
        with torch.no_grad():
            weight += 1e-6 * step
            above = loss()
            weight -= 2e-6 * step
            below = loss()
            weight += 1e-6 * step
        slope = (weight.grad * step).sum().item()
        assert (above - below).item() / 2e-6 == pytest.approx(slope, rel=1e-4, abs=1e-7), name


def test_dropout_is_drawn_anew_and_not_while_testing() -> None:
    plain = classifier(hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
    model = by_hand(plain)
    assert not torch.equal(model(input_ids=IDS).logits, model(input_ids=IDS).logits)
    torch.testing.assert_close(model.eval()(input_ids=IDS).logits, plain.eval()(input_ids=IDS).logits)


def test_only_what_the_head_reads_is_finished() -> None:
    model, shapes = by_hand(classifier()), []
    for one in model.bert.encoder.layer:
        one.register_forward_hook(lambda layer, given, out: shapes.append(out.shape))
    learned(model)
    assert shapes == [(3, 5, 8), (3, 5, 8), (3, 1, 8)]


def test_frozen_layers_learn_nothing_and_the_others_the_same() -> None:
    model = classifier()
    model.bert.embeddings.requires_grad_(False)
    model.bert.encoder.layer[0].requires_grad_(False)
    model.bert.encoder.layer[1].output.requires_grad_(False)
    found, expected = learned(by_hand(model)), learned(model)
    assert found.keys() == expected.keys() and not any(".layer.0." in name for name in found)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, msg=name)


def test_under_autocast_states_are_of_its_type_and_gradients_near() -> None:
    model = classifier(hidden_size=64, intermediate_size=128)
    hand, types = by_hand(model), []
    hand.bert.encoder.layer[0].register_forward_hook(lambda layer, given, out: types.append(out.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        found = learned(hand)
    expected = learned(model)
    assert types == [torch.bfloat16]
    for name, gradient in expected.items():
        assert found[name].dtype == torch.float32
        if not name.endswith("key.bias"):  # it moves no share: all that is left of its gradient is rounding
            assert torch.nn.functional.cosine_similarity(found[name].flatten(), gradient.flatten(), 0) > 0.97, name

