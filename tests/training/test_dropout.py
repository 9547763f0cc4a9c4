"""Dropout by bytes is dropout."""

from __future__ import annotations

import pytest
import torch

from emotion_core.training.dropout import ByteDropout, mask


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


def test_all_can_be_dropped() -> None:
    assert not ByteDropout(1.0)(torch.ones(99, 99)).any()


def test_nothing_happens_while_testing_or_where_nothing_is_dropped() -> None:
    x = torch.randn(3, 4)
    assert ByteDropout(0.5).eval()(x) is x
    assert ByteDropout(0.0)(x) is x
    assert mask(0.001, x.shape, x.dtype) is None  # less than half of 1/256
