"""Which changes of a network keep its function, and with which weights."""

from __future__ import annotations

import pytest
import torch

from engine.errors import EngineError
from engine.network.assemble import Assembler
from engine.network.build import build
from engine.network.carry import TINY, carry
from engine.network.inherit import inherit
from engine.network.morphism import Made
from engine.network.plan import NetworkPlan


def plan(width: int = 6, *, norm: str = "batch_norm2d", kernel: int = 3, extra: str = "", act: str = "relu",
         pool: str = "max_pool2d", end: str = "global_avg_pool2d") -> NetworkPlan:  # fmt: skip
    """Two convolutions with a sum around the second, pooling, a dense layer; `extra` inserts a block."""
    net = Assembler((3, 8, 8))
    x = net.add("a", "conv2d", "input", out_channels=width, kernel_size=kernel, bias=not norm)
    x = net.add("a_norm", norm, x) if norm else x
    before = x = net.add("a_act", act, x)
    x = net.add("b", "separable_conv2d", x, out_channels=width, kernel_size=3, bias=not norm)
    x = net.add("b_norm", norm, x) if norm else x
    x = net.add("b_act", act, x)
    x = net.add("b_add", "add", x, before)
    if extra:
        y = net.add("c", extra.split("+")[0], x, out_channels=net.shape(x)[0], kernel_size=3, bias=not norm)
        y = net.add("c_norm", norm, y) if norm else y
        y = net.add("c_act", act, y)
        x = net.add("c_add", "add", y, x) if "+" in extra else y
    x = net.add("pool", pool, x, kernel_size=2, stride=2)
    x = net.add("end", end, x)
    x = net.add("drop", "dropout", x, p=0.5)
    net.add("output", "linear", x, out_features=4)
    return net.finish()


def worst(parent_plan: NetworkPlan, child_plan: NetworkPlan, weights) -> float:
    generator = torch.Generator().manual_seed(3)
    parent = build(parent_plan, seed=0).train()
    with torch.no_grad():
        for p in parent.parameters():
            p.add_(0.2 * torch.randn(p.shape, generator=generator))
        for _ in range(3):
            parent(1 + 2 * torch.randn(8, 3, 8, 8, generator=generator))
        parent.eval()
        x = torch.randn(8, 3, 8, 8, generator=generator)
        child = inherit(parent.state_dict(), child_plan, weights, seed=9).eval()
        return float((child(x) - parent(x)).abs().max())


@pytest.mark.parametrize("norm", ["batch_norm2d", "group_norm", "layer_norm", ""])
@pytest.mark.parametrize("end", ["global_avg_pool2d", "flatten"])
def test_twice_as_wide(norm, end):
    small, large = plan(4, norm=norm, end=end), plan(8, norm=norm, end=end)
    weights = carry(small, large)
    if norm == "group_norm":  # 4 groups of 1 become 8 of 1: each still holds one channel of the parent
        assert weights is not None
    assert weights is not None and worst(small, large, weights) < 1e-5


def test_half_as_wide_again_is_exact_only_where_channels_are_not_mixed():
    assert worst(plan(6), plan(9), carry(plan(6), plan(9))) < 1e-5
    assert carry(plan(6, norm="layer_norm"), plan(9, norm="layer_norm")) is None  # means would be weighted anew
    assert carry(plan(9), plan(6)) is None


@pytest.mark.parametrize("norm", ["batch_norm2d", "group_norm", ""])
def test_a_larger_window_has_zeros_around(norm):
    small, large = plan(norm=norm), plan(norm=norm, kernel=7)
    weights = carry(small, large)
    assert weights is not None and weights["a.weight"].pad == {2: (2, 2), 3: (2, 2)}
    assert worst(small, large, weights) < 1e-5
    assert carry(large, small) is None


def test_wider_and_deeper_and_larger_at_once():
    small, large = plan(4), plan(12, kernel=5, extra="conv2d")
    assert worst(small, large, carry(small, large)) < 1e-5


@pytest.mark.parametrize("extra", ["conv2d", "separable_conv2d"])
def test_a_deeper_network_begins_as_the_identity_behind_relu(extra):
    for norm in ("batch_norm2d", ""):
        small, large = plan(norm=norm), plan(norm=norm, extra=extra)
        assert worst(small, large, carry(small, large)) < 1e-5
    # norms over the data of a sample, and activations that bend what is positive, are no identity
    assert carry(plan(norm="group_norm"), plan(norm="group_norm", extra=extra)) is None
    assert carry(plan(act="gelu"), plan(act="gelu", extra=extra)) is None


@pytest.mark.parametrize("act", ["relu", "silu", "tanh"])
@pytest.mark.parametrize("norm", ["batch_norm2d", "group_norm", ""])
def test_a_branch_that_begins_as_zero_learns(act, norm):
    small, large = plan(act=act, norm=norm), plan(act=act, norm=norm, extra="conv2d+")
    weights = carry(small, large, {"c_norm" if norm else "c"})
    assert weights is not None and worst(small, large, weights) < 1e-5
    child = inherit(build(small, seed=0).state_dict(), large, weights, seed=1).eval()
    child(torch.randn(4, 3, 8, 8)).square().sum().backward()
    end = child.get_parameter("c_norm.weight" if norm else "c.weight")
    assert float(end.detach().abs().max()) == 0 and float(end.grad.abs().max()) > 1e-6
    if act == "relu":
        assert float(child.get_parameter("c_norm.bias" if norm else "c.bias").detach()[0]) == pytest.approx(TINY)


def test_what_is_not_known_to_keep_the_function_is_refused():
    assert carry(plan(), plan(pool="avg_pool2d")) is None
    assert carry(plan(), plan(act="silu")) is None
    assert carry(plan(), plan(norm="")) is None
    assert carry(plan(), plan(extra="conv2d+")) is None  # x + x
    assert carry(plan(end="flatten"), plan()) is None


def test_an_average_before_the_mean_of_everything_changes_nothing():
    def averaged(pools: int, side: int, kind: str = "avg_pool2d") -> NetworkPlan:
        net = Assembler((3, side, side))
        x = net.add("a", "conv2d", "input", out_channels=4, kernel_size=3)
        for i in range(pools):
            x = net.add(f"pool{i}", kind, x, kernel_size=2, stride=2)
        x = net.add("end", "global_avg_pool2d", x)
        net.add("output", "linear", x, out_features=2)
        return net.finish()

    weights = carry(averaged(0, 8), averaged(1, 8))
    assert weights == {} and worst(averaged(0, 8), averaged(1, 8), weights) < 1e-6
    assert carry(averaged(0, 7), averaged(1, 7)) is None  # a row is left out
    assert carry(averaged(0, 8), averaged(1, 8, "max_pool2d")) is None


def test_depthwise_convolutions_repeat_with_their_channels():
    def mobile(width: int) -> NetworkPlan:
        net = Assembler((3, 8, 8))
        x = net.add("a", "conv2d", "input", out_channels=width, kernel_size=3, bias=False)
        x = net.add("d", "depthwise_conv2d", x, kernel_size=3, stride=2)
        x = net.add("d_norm", "batch_norm2d", x)
        x = net.add("d_act", "hard_swish", x)
        x = net.add("end", "global_avg_pool2d", x)
        net.add("output", "linear", x, out_features=2)
        return net.finish()

    assert worst(mobile(4), mobile(10), carry(mobile(4), mobile(10))) < 1e-5


def test_inherit_names_what_is_missing():
    state = build(plan(), seed=0).state_dict()
    with pytest.raises(EngineError, match="the parent has no tensor c.weight"):
        inherit(state, plan(extra="conv2d"), {}, seed=0)
    with pytest.raises(EngineError, match="the child has no tensor z"):
        inherit(state, plan(), {"z": Made()}, seed=0)
    with pytest.raises(EngineError, match=r"a.weight: \(6, 3, 3, 3\) was made for the child's \(6, 3, 5, 5\)"):
        inherit(state, plan(kernel=5), {}, seed=0)
