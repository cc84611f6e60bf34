"""Activations beside relu, silu and gelu, and the averaging that makes two unequal sizes equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.errors import CannotBuild
from engine.network.operation import Args, Operation, Shape, free, named, same, spatial


def _sides(args: Args, shapes: Sequence[Shape]) -> Shape:
    channels, *sides = spatial(shapes, 2, "pooling")
    windows = zip(sides, args["kernel_size"], args["stride"], strict=True)
    out = []
    for side, kernel, stride in windows:
        if kernel > side:
            raise CannotBuild(f"a window of {kernel} does not fit into {side}")
        out.append((side - kernel) // stride + 1)
    return (channels, *out)


def operations() -> list[Operation]:
    """Activations (Clevert et al. 2016, Klambauer et al. 2017, Misra 2020) and pooling with unequal windows."""
    pure: dict[str, Any] = {"stateless": True, "keeps_zero": True}
    return [
        Operation("tanh", "act", "torch.nn:Tanh", same, free, named("tanh"), expression="torch.tanh({x})", **pure),
        Operation(
            "sigmoid", "act", "torch.nn:Sigmoid", same, free, named("sigmoid"), expression="torch.sigmoid({x})",
            stateless=True,
        ),
        Operation("elu", "act", "torch.nn:ELU", same, free, named("elu"), expression="F.elu({x})", **pure),
        Operation("selu", "act", "torch.nn:SELU", same, free, named("selu"), expression="F.selu({x})", **pure),
        Operation(
            "leaky_relu", "act", "torch.nn:LeakyReLU", same, free, named("leaky relu"),
            expression="F.leaky_relu({x})", **pure,
        ),
        Operation("mish", "act", "torch.nn:Mish", same, free, named("mish"), expression="F.mish({x})", **pure),
        Operation(
            "avg_pool2d_sides", "pool", "torch.nn:AvgPool2d", _sides, free,
            lambda a: ("avg", "×".join(map(str, a["kernel_size"]))), **pure,
        ),
    ]  # fmt: skip
