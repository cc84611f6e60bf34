"""The blocks of the encoder space as nodes of a plan, and which of their weights a larger block inherits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import cast

from engine.architecture import Option
from engine.network.assemble import Assembler
from engine.network.morphism import Made

CONVS = ("conv", "sep")


def kernel(operation: str) -> int:
    """Window of a convolution or pooling: "sep5" -> 5."""
    return int(operation[-1])


def kind(operation: str) -> str:
    """What it is whatever its window: "sep5" -> "sep", "max3" -> "window"."""
    word = operation.rstrip("1357")
    return "window" if word in ("avg", "max") else word


def convolves(operation: str) -> bool:
    """Whether it is a convolution, plain or separable."""
    return operation.startswith(CONVS)


def add_block(
    net: Assembler,
    k: int,
    x: str,
    mask: str,
    operation: str,
    *,
    heads: int,
    ratio: int,
    activation: str,
    dropout: float,
    skip: str = "",
) -> str:
    """One block with its norms in front (Xiong et al. 2020): steps are mixed, then each step by itself.

    Every branch ends in a projection: with zeros there the block hands its input on.

    Args:
        net: where it is added.
        k: number of the block.
        x: what it reads, (width, steps).
        mask: "" = every step counts.
        operation, heads, ratio, activation, dropout: see `TransformerOptions`.
        skip: an earlier block whose output joins the input; "" = none.
    """  # fmt: skip
    part, here = f"block{k}", {"group": f"block {k}", "cell": f"block{k}"}
    width = net.shape(x)[0]
    seen = (mask,) if mask else ()
    if skip:
        x = net.add(f"{part}_join", "add", x, skip, **here)
    y = net.add(f"{part}_norm1", "layer_norm", x, **here)
    if operation == "attention":
        y = net.add(f"{part}_attention", "self_attention", y, *seen, heads=heads, **here)
    else:
        if convolves(operation):
            if mask and kernel(operation) > 1:
                y = net.add(f"{part}_end", "mask_steps", y, mask, **here)
            conv = "separable_conv1d" if operation.startswith("sep") else "conv1d"
            y = net.add(f"{part}_conv", conv, y, out_channels=width, kernel_size=kernel(operation), **here)
            y = net.add(f"{part}_mix_{activation}", activation, y, **here)
        elif operation in ("gru", "lstm"):
            y = net.add(f"{part}_recurrent", "recurrent_layer", y, *seen, kind=operation, out_channels=width, **here)
        else:
            y = net.add(f"{part}_window", "window_pool", y, *seen, mode=operation[:3], kernel_size=3, **here)
        y = net.add(f"{part}_project", "conv1d", y, out_channels=width, kernel_size=1, **here)
    if dropout:
        y = net.add(f"{part}_drop1", "dropout", y, p=dropout, **here)
    x = net.add(f"{part}_mixed", "add", x, y, **here)
    if ratio:
        y = net.add(f"{part}_norm2", "layer_norm", x, **here)
        y = net.add(f"{part}_expand", "conv1d", y, out_channels=width * ratio, kernel_size=1, **here)
        y = net.add(f"{part}_{activation}", activation, y, **here)
        y = net.add(f"{part}_contract", "conv1d", y, out_channels=width, kernel_size=1, **here)
        if dropout:
            y = net.add(f"{part}_drop2", "dropout", y, p=dropout, **here)
        x = net.add(f"{part}_out", "add", x, y, **here)
    return x


def weight_names(choices: Mapping[str, Option]) -> dict[str, str]:
    """Names of shared weights by node, of the nodes whose id is not the name.

    A block's weights by its number; its first norm and projection by what mixes the steps between them; the output
    layer is one for each kind of pooling.
    """
    out = {"output": f"output_{choices['pool']}"}
    for k in range(1, cast(int, choices["depth"]) + 1):
        what = kind(str(choices[f"block{k}_op"]))
        parts = ("norm1",) if what == "attention" else ("norm1", "project")
        out |= {f"block{k}_{part}": f"block{k}_{what}_{part}" for part in parts}
    return out


# -- weights of larger blocks ---------------------------------------------------------------------
_RECURRENT = [
    f"{way}.{kind}_{what}_l0" for way in ("ahead", "back") for kind in ("weight", "bias") for what in ("ih", "hh")
]


def _mixing(operation: str) -> list[str]:
    """Tensors of what mixes the steps, without the last projection."""
    if operation == "attention":
        return [f"attention.{p}.{t}" for p in ("query", "key", "value") for t in ("weight", "bias")]
    if operation.startswith("sep"):
        return ["conv.depthwise.weight", "conv.pointwise.weight", "conv.pointwise.bias"]
    if operation.startswith("conv"):
        return ["conv.weight", "conv.bias"]
    return [f"recurrent.{name}" for name in _RECURRENT] if operation in ("gru", "lstm") else []


def new_block(k: int, operation: str, ratio: int) -> dict[str, Made]:
    """Weights of an added block that hands its input on: fresh, with zeros in the last projections."""
    last = "attention.output" if operation == "attention" else "project"
    out = {f"block{k}.{name}": Made() for name in _mixing(operation)}
    out |= {f"block{k}.norm1.norm.{t}": Made() for t in ("weight", "bias")}
    out |= {f"block{k}.{last}.{t}": Made(fill="zeros") for t in ("weight", "bias")}
    return out | (new_feed_forward(k) if ratio else {})


def new_feed_forward(k: int) -> dict[str, Made]:
    """Weights of an added feed-forward part that adds nothing yet."""
    fresh = ("norm2.norm.weight", "norm2.norm.bias", "expand.weight", "expand.bias")
    return {
        **{f"block{k}.{name}": Made() for name in fresh},
        **{f"block{k}.contract.{t}": Made(fill="zeros") for t in ("weight", "bias")},
    }


def wider_feed_forward(k: int, hidden: int, wider: int) -> dict[str, Made]:
    """Hidden units repeated in turn, what reads them divided by how often each stands there (Net2WiderNet).

    Args:
        k: number of the block.
        hidden: units so far; 0 = there is no feed-forward part yet.
        wider: units wanted.
    """
    if not hidden:
        return new_feed_forward(k)
    units = tuple(i % hidden for i in range(wider))
    often = Counter(units)
    return {
        f"block{k}.expand.weight": Made(f"block{k}.expand.weight", take={0: units}),
        f"block{k}.expand.bias": Made(f"block{k}.expand.bias", take={0: units}),
        f"block{k}.contract.weight": Made(
            f"block{k}.contract.weight", take={1: units}, divide={1: tuple(float(often[u]) for u in units)}
        ),
    }


def larger_window(k: int, old: str, new: str) -> dict[str, Made]:
    """A convolution's window with zeros around it."""
    name = f"block{k}.conv.{'depthwise.' if old.startswith('sep') else ''}weight"
    side = (kernel(new) - kernel(old)) // 2
    return {name: Made(name, pad={2: (side, side)})}
