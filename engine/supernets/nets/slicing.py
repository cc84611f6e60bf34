"""Which slice of a larger operation's weights a smaller one runs on, by operation.

Once-for-All (Cai et al. 2020, section 3.3) and slimmable networks (Yu et al. 2019, section 3): the leading channels,
and of a kernel its centre. An operation without a rule shares weights by exact arguments only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Args = Mapping[str, Any]


@dataclass(frozen=True)
class Window:
    """The part of a tensor that a smaller operation uses.

    Attributes:
        sizes: of the first axes: their leading entries; axes beyond stay whole, unless there is a centre.
        centre: of all axes behind `sizes`: so many entries from the middle; 0 = whole.
        parts: the first axis holds so many equal parts (groups, gates), and its size and the leading entries are those
            of each part.
    """

    sizes: tuple[int, ...]
    centre: int = 0
    parts: int = 1

    def bounds(self, shape: tuple[int, ...]) -> tuple[tuple[int, int, int], ...]:
        """(axis, start, length) of what is cut away from a tensor of this shape; whole axes are left out.

        With several parts the axes are those of the tensor seen as (parts, rest of the first axis, ...).
        """
        first = 0
        if self.parts > 1:
            shape, first = (self.parts, shape[0] // self.parts, *shape[1:]), 1
        wanted = [(axis, 0, n) for axis, n in enumerate(self.sizes, start=first)]
        if self.centre:
            beyond = range(first + len(self.sizes), len(shape))
            wanted += [(axis, (shape[axis] - self.centre) // 2, self.centre) for axis in beyond]
        return tuple((axis, start, n) for axis, start, n in wanted if n != shape[axis])

    def of(self, tensor: Tensor) -> Tensor:
        """The part: a view of the tensor, a copy where it has several parts; the tensor itself where it is whole."""
        bounds = self.bounds(tuple(tensor.shape))
        return cut(tensor, bounds, self.parts)


def cut(tensor: Tensor, bounds: tuple[tuple[int, int, int], ...], parts: int = 1) -> Tensor:
    """What `Window.of` gives, for bounds that are known."""
    if not bounds:
        return tensor
    if parts > 1:
        tensor = tensor.reshape(parts, tensor.shape[0] // parts, *tensor.shape[1:])
    for axis, start, length in bounds:
        tensor = tensor.narrow(axis, start, length)
    return tensor.flatten(0, 1) if parts > 1 else tensor


@dataclass(frozen=True)
class Rule:
    """How the weights of an operation are shared among its sizes.

    Attributes:
        sizes: arguments of which a smaller one is a slice of a larger one.
        windows: arguments of the smaller operation -> its part of each tensor, by name in the block's state; a tensor
            without one is shared whole.
        follows: arguments that say nothing about weights beside a size, each with the size it goes with. All other
            arguments must be equal.
        agree: (larger, smaller) -> whether those arguments allow it.
    """

    sizes: tuple[str, ...]
    windows: Callable[[Args], dict[str, Window]]
    follows: Mapping[str, str] = field(default_factory=dict)
    agree: Callable[[Args, Args], bool] = lambda larger, smaller: True

    def rigid(self, args: Args) -> tuple[tuple[str, Any], ...]:
        """The arguments that must be equal."""
        return tuple((k, v) for k, v in sorted(args.items()) if k not in self.sizes and k not in self.follows)

    def fits(self, larger: Args, smaller: Args) -> bool:
        """Whether the smaller operation can run on slices of the larger one; rigid arguments are equal."""
        return all(smaller[s] <= larger[s] for s in self.sizes) and self.agree(larger, smaller)

    def joined(self, a: Args, b: Args) -> dict[str, Any]:
        """The least arguments that both fit into; what follows a size is taken from the one that is larger there."""
        out = {**a, **{s: max(a[s], b[s]) for s in self.sizes}}
        for name, size in self.follows.items():
            if name in b and b[size] > a[size]:
                out[name] = b[name]
        return out


def _centred(larger: Args, smaller: Args) -> bool:
    """Whether both kernels look at the same middle."""
    off = larger["kernel_size"] - smaller["kernel_size"]
    dilation = larger.get("dilation", 1)
    return bool(off % 2 == 0 and larger.get("padding", 0) - smaller.get("padding", 0) == dilation * off // 2)


def _depthwise(larger: Args, smaller: Args) -> bool:
    alone = all(a["groups"] == a["in_channels"] == a["out_channels"] for a in (larger, smaller))
    return alone and _centred(larger, smaller)


def _grouped(args: Args) -> dict[str, Window]:
    """Leading channels of each group, so that a group of a narrower convolution goes on with the weights it has."""
    g = args["groups"]
    out, into = args["out_channels"] // g, args["in_channels"] // g
    return {"weight": Window((out, into), args["kernel_size"], g), "bias": Window((out,), parts=g)}


def _separable(args: Args) -> dict[str, Window]:
    into, out = args["in_channels"], args["out_channels"]
    return {
        "depthwise.weight": Window((into, 1), args["kernel_size"]),
        "pointwise.weight": Window((out, into)),
        "pointwise.bias": Window((out,)),
    }


def _squeeze(args: Args) -> dict[str, Window]:
    channels, squeeze = args["channels"], args["squeeze"]
    return {
        "fc1.weight": Window((squeeze, channels)), "fc1.bias": Window((squeeze,)),
        "fc2.weight": Window((channels, squeeze)), "fc2.bias": Window((channels,)),
    }  # fmt: skip


def _attention(args: Args) -> dict[str, Window]:
    """Heads divide the leading channels among themselves: their number changes no weight."""
    c = args["channels"]
    out: dict[str, Window] = {}
    for part in ("query", "key", "value", "output"):
        out |= {f"{part}.weight": Window((c, c)), f"{part}.bias": Window((c,))}
    return out


def _recurrent(args: Args) -> dict[str, Window]:
    """Leading units of each gate, in each direction."""
    back = args["out_channels"] // 2 if args["bidirectional"] else 0
    gates = {"lstm": 4, "gru": 3}[args["kind"]]
    out: dict[str, Window] = {}
    for way, hidden in (("ahead", args["out_channels"] - back), ("back", back)):
        out[f"{way}.weight_ih_l0"] = Window((hidden, args["in_channels"]), parts=gates)
        out[f"{way}.weight_hh_l0"] = Window((hidden, hidden), parts=gates)
        out |= {f"{way}.bias_{what}_l0": Window((hidden,), parts=gates) for what in ("ih", "hh")}
    return out


def _vectors(size: str, *names: str) -> Callable[[Args], dict[str, Window]]:
    return lambda args: {name: Window((args[size],)) for name in names}


_CONV = Rule(
    ("in_channels", "out_channels", "kernel_size"),
    lambda a: {
        "weight": Window((a["out_channels"], a["in_channels"]), a["kernel_size"]),
        "bias": Window((a["out_channels"],)),
    },
    {"padding": "kernel_size"},
    _centred,
)
_SEPARABLE = Rule(_CONV.sizes, _separable, _CONV.follows, _centred)
_BATCH_NORM = Rule(("num_features",), _vectors("num_features", "weight", "bias", "running_mean", "running_var"))

#: by operation of a plan
RULES: dict[str, Rule] = {
    "conv1d": _CONV,
    "conv2d": _CONV,
    "depthwise_conv2d": Rule(
        _CONV.sizes,
        lambda a: {
            "weight": Window((a["out_channels"], 1), a["kernel_size"]), "bias": Window((a["out_channels"],)),
        },
        {"padding": "kernel_size", "groups": "in_channels"},
        _depthwise,
    ),
    "grouped_conv2d": Rule(_CONV.sizes, _grouped, _CONV.follows, _centred),
    "separable_conv1d": _SEPARABLE,
    "separable_conv2d": _SEPARABLE,
    "linear": Rule(
        ("in_features", "out_features"),
        lambda a: {"weight": Window((a["out_features"], a["in_features"])), "bias": Window((a["out_features"],))},
    ),
    "batch_norm1d": _BATCH_NORM,
    "batch_norm2d": _BATCH_NORM,
    "group_norm": Rule(
        ("num_channels",), _vectors("num_channels", "weight", "bias"), {"num_groups": "num_channels"}
    ),
    "layer_norm": Rule(("num_channels",), _vectors("num_channels", "norm.weight", "norm.bias")),
    "squeeze_excite2d": Rule(("channels", "squeeze"), _squeeze),
    "self_attention": Rule(("channels",), _attention, {"heads": "channels"}),
    "recurrent_layer": Rule(("in_channels", "out_channels"), _recurrent),
    "embedding": Rule(
        ("embedding_dim",), lambda a: {"table.weight": Window((a["num_embeddings"], a["embedding_dim"]))}
    ),
    "learned_position": Rule(("channels",), _vectors("channels", "weight")),
    "class_token": Rule(("channels",), _vectors("channels", "weight")),
}  # fmt: skip
