"""Products in int8, next to the exact ones they are made from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from emotion_core import direct, int8, packed
from emotion_core.int8 import Int8Linear
from emotion_core.packed import Linear, PackedBert

pytestmark = pytest.mark.skipif(not int8.HAS_KERNEL, reason="this torch has no int8 kernel")


@pytest.fixture(scope="module")
def steps() -> int:
    return int8.steps()


def linear(inputs: int = 96, outputs: int = 64, dtype: torch.dtype = torch.float32) -> Linear:
    generator = torch.Generator().manual_seed(0)
    return Linear(torch.randn(outputs, inputs, generator=generator), torch.randn(outputs, generator=generator), dtype)


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Root mean square of the difference over that of `wanted`."""
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("lowest", [None, int8.LOWEST["gelu"]])
@pytest.mark.parametrize("activation", ["none", "gelu", "relu"])
def test_near_the_exact_product(steps: int, activation: str, lowest: float | None) -> None:
    exact, x = linear(), torch.randn(40, 96)
    x = x if lowest is None else F.gelu(x)
    before = x.clone()
    found = Int8Linear(exact, steps, lowest)(x, activation)
    assert found.dtype == torch.float32
    assert torch.equal(x, before)
    assert 0 < distance(found, exact(x, activation)) < 0.03


def test_near_the_exact_sum(steps: int) -> None:
    exact, x, residual = linear(), F.gelu(torch.randn(40, 96)), torch.randn(40, 64)
    before = residual.clone()
    wanted = exact.plus(x, residual)
    assert 0 < distance(Int8Linear(exact, steps).plus(x, residual), wanted) < 0.03
    assert torch.equal(residual, before)


def test_a_bfloat16_state_gives_float32(steps: int) -> None:
    exact, x = linear(), torch.randn(40, 96)
    rounded = Int8Linear(exact, steps)
    residual = torch.ones(40, 64, dtype=torch.bfloat16)
    assert rounded(x.bfloat16()).dtype == rounded.plus(x.bfloat16(), residual).dtype == torch.float32
    assert distance(rounded(x.bfloat16()), exact(x)) < 0.03


def test_one_large_token_leaves_the_others_exact(steps: int) -> None:
    exact, x = linear(), torch.randn(40, 96)
    x[7] *= 1000
    assert distance(Int8Linear(exact, steps)(x)[:7], exact(x)[:7]) < 0.03


def test_one_large_channel_leaves_the_others_exact(steps: int) -> None:
    weight, x = torch.randn(64, 96), torch.randn(40, 96)
    weight[3] *= 1000
    exact = Linear(weight, torch.zeros(64), torch.float32)
    assert distance(Int8Linear(exact, steps)(x)[:, 4:], exact(x)[:, 4:]) < 0.03


def test_what_gelu_gives_is_nearer_where_little_is_kept_for_below_zero(steps: int) -> None:
    exact, x, residual = linear(), F.gelu(2 * torch.randn(400, 96)), torch.zeros(400, 64)
    wanted = exact.plus(x, residual)
    even, lopsided = (distance(Int8Linear(exact, steps, lowest).plus(x.clone(), residual), wanted)
                      for lowest in (None, int8.LOWEST["gelu"]))
    assert lopsided < 0.85 * even


@pytest.mark.parametrize("size", [0.0, 1e-3, 1.0, 1e3])
def test_nothing_wraps_around_at_the_ends_of_what_gelu_gives(steps: int, size: float) -> None:
    """The least GELU can give, beside the largest of its row."""
    exact = Linear(torch.eye(64), torch.zeros(64), torch.float32)
    x = torch.full((3, 64), int8.LOWEST["gelu"])
    x[:, 0] = size
    found = Int8Linear(exact, steps, int8.LOWEST["gelu"]).plus(x.clone(), torch.zeros(3, 64))
    torch.testing.assert_close(found, x, rtol=0, atol=max(size, 1.5) / steps)


def test_gelu_goes_no_lower() -> None:
    assert F.gelu(torch.linspace(-3, 0, 30_001)).min() >= int8.LOWEST["gelu"]


@pytest.mark.parametrize(("activation", "lopsided"), [("gelu", True), ("relu", False)])
def test_the_product_after_gelu_alone_is_lopsided(tiny_folder, activation: str, lopsided: bool) -> None:
    weights = direct.read_bert(tiny_folder)
    weights.config.hidden_act = activation
    for layer in int8.with_int8(PackedBert(weights, torch.float32)).layers[:-1]:
        assert [part.lopsided for part in (layer.qkv, layer.out, layer.up, layer.down)] == [False] * 3 + [lopsided]


@pytest.mark.parametrize("count", [7, 14])
def test_no_token_is_computed_that_is_not_there(tiny_folder, count: int) -> None:
    """oneDNN's float kernels want one of a few numbers of tokens; int8's takes any."""
    exact = PackedBert(direct.read_bert(tiny_folder), torch.float32)
    seen = []

    def numbers_of(bert: PackedBert) -> list[int]:
        seen.clear()
        bert.layers = [layer._replace(qkv=lambda x, qkv=layer.qkv: (seen.append(len(x)), qkv(x))[1])
                       for layer in bert.layers]
        bert([[5] * (count // 2), [5] * (count - count // 2)])
        return seen

    assert set(numbers_of(int8.with_int8(exact))) == {count}
    assert set(numbers_of(exact)) == {count + packed._extra(count)} != {count}


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_sums_do_not_overflow(steps: int, sign: int) -> None:
    exact = Linear(torch.ones(32, 512), torch.zeros(32), torch.float32)
    found = Int8Linear(exact, steps)(sign * torch.ones(8, 512))
    torch.testing.assert_close(found, sign * torch.full((8, 32), 512.0), rtol=1e-4, atol=0)


def test_zeros_stay_zeros(steps: int) -> None:
    exact = Linear(torch.zeros(32, 64), torch.zeros(32), torch.float32)
    assert torch.equal(Int8Linear(exact, steps)(torch.zeros(3, 64)), torch.zeros(3, 32))


@pytest.mark.parametrize("reordered", [True, False])
def test_the_exact_weight_comes_back_from_its_blocks(reordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packed, "_ONEDNN", reordered and packed._ONEDNN)
    weight = torch.randn(70, 50)
    assert torch.equal(Linear(weight, torch.zeros(70), torch.float32).plain(), weight)
