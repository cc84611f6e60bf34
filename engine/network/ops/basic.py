"""Convolutions, pooling, norms, activations, sums: what nearly every network is made of."""

from __future__ import annotations

from math import prod
from typing import Any

from engine.network.operation import (
    Operation,
    batch_norm_args,
    concat_shape,
    conv_args,
    conv_cost,
    conv_shape,
    equal,
    free,
    group_norm_args,
    linear_args,
    linear_cost,
    linear_shape,
    named,
    norm_cost,
    pool_shape,
    preact_cost,
    same,
    separable_cost,
    spatial,
    windowed,
)

_BLOCKS = "engine.network.blocks.basic"


def operations() -> list[Operation]:
    """The basic operations."""
    ops: list[Operation] = []
    pure: dict[str, Any] = {"stateless": True, "keeps_zero": True}
    for dims in (1, 2):
        d = f"{dims}d"
        axes = "(2, 3)" if dims == 2 else "2"
        conv, pool = conv_shape(dims), pool_shape(dims)
        ops += [
            Operation(f"conv{d}", "conv", f"torch.nn:Conv{d}", conv, conv_cost, windowed("conv", dims), conv_args),
            Operation(
                f"separable_conv{d}", "sep", f"{_BLOCKS}:SeparableConv{d}", conv, separable_cost,
                windowed("separable", dims), conv_args,
            ),
            Operation(
                f"relu_conv{d}_norm", "conv", f"{_BLOCKS}:ReLUConv{d}Norm", conv, preact_cost,
                windowed("conv", dims), lambda a, s: {k: v for k, v in conv_args(a, s).items() if k != "bias"},
                remark="in cells and reductions each convolution has relu before and batch norm behind it",
            ),
            Operation(
                f"batch_norm{d}", "norm", f"torch.nn:BatchNorm{d}", same, norm_cost,
                named("batch norm"), batch_norm_args,
            ),
            Operation(
                f"max_pool{d}", "pool", f"torch.nn:MaxPool{d}", pool, free, windowed("max", dims),
                stateless=True, keeps_zero=True,
            ),
            Operation(
                f"avg_pool{d}", "pool", f"torch.nn:AvgPool{d}", pool, free, windowed("avg", dims),
                stateless=True, keeps_zero=True, linear=True,
            ),
            Operation(
                f"global_avg_pool{d}", "pool", f"{_BLOCKS}:GlobalAvgPool{d}",
                lambda a, s, dims=dims: spatial(s, dims, "global pooling")[:1],  # type: ignore[misc]
                free, named("global", "avg"), expression="{x}.mean(dim=" + axes + ")",
                stateless=True, keeps_zero=True, linear=True,
            ),
        ]  # fmt: skip
    ops += [
        Operation(
            "group_norm", "norm", "torch.nn:GroupNorm", same, norm_cost, named("group norm"), group_norm_args
        ),
        Operation("relu", "act", "torch.nn:ReLU", same, free, named("relu"), expression="F.relu({x})", **pure),
        Operation("silu", "act", "torch.nn:SiLU", same, free, named("silu"), expression="F.silu({x})", **pure),
        Operation("gelu", "act", "torch.nn:GELU", same, free, named("gelu"), expression="F.gelu({x})", **pure),
        Operation(
            "linear", "dense", "torch.nn:Linear", linear_shape, linear_cost,
            lambda a: ("dense", str(a["out_features"])), linear_args,
        ),
        Operation(
            "dropout", "drop", "torch.nn:Dropout", same, free,
            lambda a: ("dropout", f"{a['p']:g}"), train_only=True, keeps_zero=True,
        ),
        Operation(
            "flatten", "other", "torch.nn:Flatten", lambda a, s: (prod(s[0]),), free, named("flatten"),
            expression="{x}.flatten(1)", linear=True, **pure,
        ),
        Operation("add", "add", f"{_BLOCKS}:Add", equal, free, named("add"), expression="+", role="sum", **pure),
        Operation(
            "concat", "concat", f"{_BLOCKS}:Concat", concat_shape, free, named("concat"), expression="cat", **pure
        ),
        Operation(
            "identity", "identity", "torch.nn:Identity", same, free, named("skip"),
            expression="{x}", role="identity", **pure,
        ),
        Operation(
            "zero", "zero", f"{_BLOCKS}:Zero", same, free, named("none"),
            expression="torch.zeros_like({x})", role="zero", **pure,
        ),
    ]  # fmt: skip
    return ops
