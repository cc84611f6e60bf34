"""The allow-list of a written space: which modules its templates may name, and with which arguments.

Nothing else can be built: a name is looked up here, an argument is a number, word or truth value within bounds.
Names of `torch.nn` (`Conv2d`, `ReLU`, ...) stand beside our own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.errors import InvalidArchitecture
from engine.network.operations import OPERATIONS
from engine.spaces._options import MAX_CHANNELS


@dataclass(frozen=True)
class Argument:
    """One constructor argument that a template may give.

    Attributes:
        to: name of the argument in the operation.
        kind: "int", "float", "bool", or the words that are allowed.
        low, high: bounds of numbers.
        default: where it is not given; None = must be given.
    """

    to: str
    kind: str | tuple[str, ...] = "int"
    low: float = 1
    high: float = MAX_CHANNELS
    default: int | float | bool | str | None = None

    def check(self, name: str, value: Any) -> Any:
        """The value, where it is allowed.

        Raises:
            InvalidArchitecture: what was received and what would be right.
        """
        if isinstance(self.kind, tuple):
            if value in self.kind:
                return value
            raise InvalidArchitecture(f"{name}: received {str(value)[:40]!r}; choose one of {', '.join(self.kind)}")
        if self.kind == "bool":
            if isinstance(value, bool):
                return value
            raise InvalidArchitecture(f"{name}: received {str(value)[:40]!r}; true or false")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        whole = number and (self.kind == "float" or float(value).is_integer())
        if not whole or not self.low <= value <= self.high:
            sort = "a whole number" if self.kind == "int" else "a number"
            raise InvalidArchitecture(
                f"{name}: received {str(value)[:40]!r}; {sort} from {self.low:g} to {self.high:g}"
            )
        return int(value) if self.kind == "int" else float(value)


@dataclass(frozen=True)
class Template:
    """A module that may be named.

    Attributes:
        op: operation; "{d}" stands for 1d or 2d, as the data is.
        help: one line.
        arguments: by the name a template uses.
        fixed: arguments of the operation that are always the same.
        axes: how many axes behind the channels it needs; None = any.
        masked: takes the padding mask of a text as its last input.
    """

    op: str
    help: str
    arguments: Mapping[str, Argument] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    axes: tuple[int, ...] | None = None
    masked: bool = False


_OUT = {"out_channels": Argument("out_channels")}
_KERNEL = {"kernel_size": Argument("kernel_size", high=31, default=3)}
_STRIDE = {"stride": Argument("stride", high=16, default=1)}
_CONV = {
    **_OUT, **_KERNEL, **_STRIDE,
    "dilation": Argument("dilation", high=16, default=1),
    "groups": Argument("groups", default=1),
    "bias": Argument("bias", "bool", default=True),
}  # fmt: skip
_SEPARABLE = {**_OUT, **_KERNEL, **_STRIDE, "bias": Argument("bias", "bool", default=True)}
_POOL = {
    "kernel_size": Argument("kernel_size", high=64, default=2),
    "stride": Argument("stride", low=0, high=64, default=0),
    "padding": Argument("padding", low=0, high=32, default=0),
}
_P = {"p": Argument("p", "float", 0, 0.95, 0.1)}
_IMAGE = (1, 2)

#: what a written space offers; those whose operation does not exist here are left out of `allowed`
TEMPLATES: dict[str, Template] = {
    "conv": Template("conv{d}", "convolution that keeps the size at stride 1", _CONV, axes=_IMAGE),
    "separable_conv": Template("separable_conv{d}", "depthwise, then pointwise convolution", _SEPARABLE, axes=_IMAGE),
    "relu_conv_norm": Template("relu_conv{d}_norm", "relu, convolution, batch norm", {**_OUT, **_KERNEL, **_STRIDE},
                               axes=_IMAGE),
    "batch_norm": Template("batch_norm{d}", "batch norm over the channels", axes=_IMAGE),
    "group_norm": Template("group_norm", "group norm over the channels", axes=_IMAGE),
    "max_pool": Template("max_pool{d}", "largest of each window", _POOL, axes=_IMAGE),
    "avg_pool": Template("avg_pool{d}", "mean of each window", _POOL, axes=_IMAGE),
    "global_avg_pool": Template("global_avg_pool{d}", "mean of each channel", axes=_IMAGE),
    "flatten": Template("flatten", "everything in one vector"),
    "linear": Template("linear", "dense layer over a vector", {"out_features": Argument("out_features", high=16384)},
                       axes=(0,)),
    "dropout": Template("dropout", "drops values in training", _P),
    "identity": Template("identity", "hands its input on"),
    "relu": Template("relu", "activation"),
    "silu": Template("silu", "activation"),
    "gelu": Template("gelu", "activation"),
    "elu": Template("elu", "activation"),
    "selu": Template("selu", "activation"),
    "leaky_relu": Template("leaky_relu", "activation"),
    "mish": Template("mish", "activation"),
    "tanh": Template("tanh", "activation"),
    "sigmoid": Template("sigmoid", "activation"),
    "to_sequence": Template("to_sequence", "the pixels of an image as steps", axes=(2,)),
    "learned_position": Template("learned_position", "adds a learned vector to each step", axes=(1,)),
    "sinusoidal_position": Template("sinusoidal_position", "adds waves that tell the steps apart", axes=(1,)),
    "layer_norm": Template("layer_norm", "layer norm over the channels of each step", axes=(1,)),
    "self_attention": Template("self_attention", "multi-head self-attention over the steps",
                               {"heads": Argument("heads", high=64, default=4)}, axes=(1,), masked=True),
    "recurrent": Template("recurrent_layer", "GRU or LSTM over the steps",
                          {**_OUT, "kind": Argument("kind", ("gru", "lstm"), default="gru"),
                           "bidirectional": Argument("bidirectional", "bool", default=True)}, axes=(1,), masked=True),
    "mean_over_time": Template("mean_over_time", "mean over the steps", axes=(1,), masked=True),
    "max_over_time": Template("max_over_time", "largest over the steps", axes=(1,), masked=True),
}  # fmt: skip
#: other names for the same: torch's own
ALIASES = {
    "Conv1d": "conv", "Conv2d": "conv", "BatchNorm1d": "batch_norm", "BatchNorm2d": "batch_norm",
    "GroupNorm": "group_norm", "MaxPool1d": "max_pool", "MaxPool2d": "max_pool", "AvgPool1d": "avg_pool",
    "AvgPool2d": "avg_pool", "Flatten": "flatten", "Linear": "linear", "Dropout": "dropout", "Identity": "identity",
    "ReLU": "relu", "SiLU": "silu", "GELU": "gelu", "ELU": "elu", "SELU": "selu", "LeakyReLU": "leaky_relu",
    "Mish": "mish", "Tanh": "tanh", "Sigmoid": "sigmoid", "MultiheadAttention": "self_attention",
    "dense": "linear", "skip": "identity",
}  # fmt: skip


def template(name: str) -> Template:
    """The template of a name.

    Raises:
        InvalidArchitecture: it is not on the list.
    """
    short = name.removeprefix("torch.nn.").removeprefix("nn.")
    found = TEMPLATES.get(ALIASES.get(short, short))
    if found is None:
        raise InvalidArchitecture(f"received {name[:60]!r}; a module is one of {', '.join(TEMPLATES)}")
    return found


def operation(found: Template, axes: int) -> str:
    """The operation for data with so many axes behind the channels.

    Raises:
        InvalidArchitecture: it does not serve such data.
    """
    if found.axes is not None and axes not in found.axes:
        needs = "a vector: flatten or pool first" if found.axes == (0,) else "channels with axes: it stands too late"
        raise InvalidArchitecture(f"{found.op.format(d='')} needs {needs}")
    name = found.op.format(d=f"{axes}d")
    assert name in OPERATIONS
    return name
