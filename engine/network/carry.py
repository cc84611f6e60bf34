"""Finds out whether a larger network can compute what a smaller one does, and how its weights are made. No torch.

Both plans are walked side by side by the ids of their nodes. Chen, Goodfellow & Shlens 2016 (Net2Net): a wider layer
repeats channels and divides what reads them by how often each stands there; a deeper one begins as the identity. Wei
et al. 2016 (Network Morphism): a larger window has zeros around it; a new branch of a sum begins as zero.

A space offers its morphisms with it: make the candidate (one decision larger), and ask. What is not known to keep the
function is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import cast

from engine.network.morphism import Made
from engine.network.operation import module_path
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan, Node

#: a bias this small lets the gradient of relu pass a branch that begins as zero, and is lost in float32 sums
TINY = 1e-8
_EPS = 1e-5
_BATCH = ("batch_norm1d", "batch_norm2d")
_CONVS = ("conv1d", "conv2d", "depthwise_conv2d", "grouped_conv2d")
_SEPARABLE = ("separable_conv1d", "separable_conv2d")
_SIZES = frozenset(
    ("in_channels", "out_channels", "kernel_size", "padding", "groups", "num_features", "num_channels", "num_groups",
     "in_features", "out_features")
)  # fmt: skip


class _Refused(Exception):
    """The child is not known to compute what the parent does."""


@dataclass(frozen=True)
class _Value:
    """What a tensor of the child is, in terms of the parent's.

    Attributes:
        stands: the parent's tensor.
        take: which of its channels (or features) each of the child's is.
        channels: how many the parent's has.
        positive: nothing below zero, in the parent too.
        averaged: it is the parent's after an averaging into equal windows, which a later mean over everything undoes.
    """

    stands: str
    take: tuple[int, ...]
    channels: int
    positive: bool = False
    averaged: bool = False

    @property
    def plain(self) -> bool:
        return not self.averaged and self.take == tuple(range(self.channels))

    @property
    def counts(self) -> tuple[float, ...]:
        times = [self.take.count(i) for i in range(self.channels)]
        if not all(times):
            raise _Refused
        return tuple(float(times[i]) for i in self.take)


_ZERO = _Value("zero", (), 0)
_WILD = _Value("wild", (), 0)


def carry(parent: NetworkPlan, child: NetworkPlan, null: Collection[str] = ()) -> dict[str, Made] | None:
    """The weights with which the child computes what the parent does, or None where none are known.

    Args:
        parent: the smaller network.
        child: the larger one; nodes of the same id are the same part.
        null: nodes of the child alone (a norm, or a convolution or dense layer without one) that begin as zero, as the
            end of a branch that is added to something; what leads to nothing else begins fresh. All other new layers
            begin as the identity.

    Returns:
        Tensors by name, as in `Morphism.weights`: those not named are the parent's.
    """
    try:
        return _Carrier(parent, child, frozenset(null)).weights()
    except _Refused:
        return None


def spread(old: int, new: int) -> tuple[int, ...]:
    """Which of the old channels each of the new ones repeats: in turn, or side by side where they divide evenly."""
    if new < old:
        raise _Refused
    return tuple(i // (new // old) for i in range(new)) if new % old == 0 else tuple(i % old for i in range(new))


class _Carrier:
    def __init__(self, parent: NetworkPlan, child: NetworkPlan, null: frozenset[str]) -> None:
        self.parent, self.child, self.null = parent, child, null
        self.made: dict[str, Made] = {}
        self.values: dict[str, _Value] = {}
        self.readers: dict[str, list[Node]] = {}
        for node in child.nodes:
            for source in node.inputs:
                self.readers.setdefault(source, []).append(node)
        # new nodes that nothing but a zero reads: a branch up to its end
        self.wild: set[str] = set()
        for node in reversed(child.nodes):
            readers = self.readers.get(node.id, [])
            ends = all(r.id in self.wild or (r.id in null and r.id not in parent.by_id) for r in readers)
            if readers and ends and node.id not in parent.by_id and node.id not in null:
                self.wild.add(node.id)
        # a parent's tensor under the name of the one it equals in use
        self.alias: dict[str, str] = {"input": "input"}
        for node in parent.nodes:
            through = _passes(node) or (OPERATIONS[node.op].role == "sum" and len(node.inputs) == 1)
            self.alias[node.id] = self.alias[node.inputs[0]] if through else node.id

    def weights(self) -> dict[str, Made]:
        if (self.parent.input_shape, self.parent.n_outputs) != (self.child.input_shape, self.child.n_outputs):
            raise _Refused
        first = self.child.input_shape[0]
        self.values["input"] = _Value("input", tuple(range(first)), first)
        for node in self.child.nodes:
            self.values[node.id] = self._value(node, [self.values[i] for i in node.inputs])
        last = self.values[self.child.nodes[-1].id]
        if last.stands != self.alias[self.parent.nodes[-1].id] or not last.plain:
            raise _Refused
        return self.made

    # -- one node -----------------------------------------------------------------------------
    def _value(self, node: Node, inputs: list[_Value]) -> _Value:
        role = OPERATIONS[node.op].role
        if node.id in self.null and node.id not in self.parent.by_id:
            return self._nothing(node)
        if node.id in self.wild:
            return self._fresh(node)
        if role == "sum":
            return self._sum(node, inputs)
        if _passes(node):
            return inputs[0]
        if inputs[0] is _ZERO:
            if not OPERATIONS[node.op].keeps_zero:
                raise _Refused
            return _ZERO
        twin = self.parent.by_id.get(node.id)
        if twin is None:
            return self._new(node, inputs)
        return self._twin(node, twin, inputs)

    def _sum(self, node: Node, inputs: list[_Value]) -> _Value:
        terms = [v for v in inputs if v is not _ZERO]
        if not terms:
            return _ZERO
        if len(terms) == 1:
            return terms[0]
        twin = self.parent.by_id.get(node.id)
        if twin is None or sorted(v.stands for v in terms) != sorted(self.alias[i] for i in twin.inputs):
            raise _Refused
        if any(v.averaged or v.take != terms[0].take for v in terms):
            raise _Refused
        return replace(terms[0], stands=twin.id, positive=all(v.positive for v in terms))

    def _twin(self, node: Node, twin: Node, inputs: list[_Value]) -> _Value:
        """A node that both networks have."""
        if node.op != twin.op or [v.stands for v in inputs] != [self.alias[i] for i in twin.inputs]:
            raise _Refused
        if {k: v for k, v in node.args.items() if k not in _SIZES} != {
            k: v for k, v in twin.args.items() if k not in _SIZES
        }:
            raise _Refused
        kind, x = OPERATIONS[node.op].kind, inputs[0]
        if x.averaged and node.op not in ("global_avg_pool1d", "global_avg_pool2d"):
            raise _Refused
        if node.op in _CONVS or node.op in _SEPARABLE:
            return self._convolution(node, twin, x)
        if node.op == "linear":
            return self._matrix(node, twin, x, {})
        if node.op in _BATCH:
            if node.args.get("affine", True):
                self._take(node, twin, ("weight", "bias"), x.take)
            self._take(node, twin, ("running_mean", "running_var"), x.take)
            return _Value(twin.id, x.take, x.channels)
        if node.op in ("group_norm", "layer_norm"):
            return self._grouped(node, twin, x)
        if node.op == "flatten":
            size = len(x.take)
            each = node.shape[0] // size
            take = tuple(i * each + j for i in x.take for j in range(each))
            return _Value(twin.id, take, x.channels * each, x.positive)
        if len(inputs) == 1 and OPERATIONS[node.op].stateless and kind in ("act", "pool"):
            if dict(node.args) != dict(twin.args):
                raise _Refused
            positive = node.op in ("relu", "relu6", "sigmoid") or (kind == "pool" and x.positive)
            return _Value(twin.id, x.take, x.channels, positive)
        # anything else is the same, or it is unknown
        if dict(node.args) != dict(twin.args) or node.shape != twin.shape or not all(v.plain for v in inputs):
            raise _Refused
        return _Value(twin.id, tuple(range(node.shape[0])), node.shape[0])

    def _new(self, node: Node, inputs: list[_Value]) -> _Value:
        """A node that the parent lacks: it hands its input on, or something behind it does away with it."""
        x = inputs[0]
        if node.op in _CONVS[:2] or node.op in _SEPARABLE:
            kernel, padding = _number(node, "kernel_size"), _number(node, "padding")
            if (
                node.args["stride"] != 1
                or kernel % 2 == 0
                or padding != (kernel - 1) // 2
                or _number(node, "dilation", 1) != 1
            ):
                raise _Refused
            return self._identity(node, x, node.shape[0])
        if node.op == "linear" and len(node.shape) == 1:
            return self._identity(node, x, node.shape[0])
        if node.op in _BATCH and node.args.get("affine", True):
            eps = cast(float, node.args.get("eps", _EPS))
            self._fill(node, {"weight": Made(fill="ones", factor=(1 + eps) ** 0.5), "bias": Made(fill="zeros"),
                              "running_mean": Made(fill="zeros"), "running_var": Made(fill="ones"),
                              "num_batches_tracked": Made(fill="zeros")})  # fmt: skip
            return x
        if node.op in ("relu", "leaky_relu") and x.positive:
            return x
        if node.op in ("avg_pool1d", "avg_pool2d") and not x.averaged:
            kernel, sides = _number(node, "kernel_size"), self.child.shape_of(node.inputs[0])[1:]
            whole = node.args.get("stride") == kernel and not node.args.get("padding", 0)
            if whole and all(side % kernel == 0 for side in sides):
                return replace(x, averaged=True)
        raise _Refused

    def _fresh(self, node: Node) -> _Value:
        """A new node that only a zero behind it reads: its weights are as initialized."""
        operation = OPERATIONS[node.op]
        if operation.kind == "norm" and node.args.get("affine", True):
            inner = "norm." if node.op == "layer_norm" else ""
            names = [f"{inner}weight", f"{inner}bias"]
            names += ["running_mean", "running_var", "num_batches_tracked"] if node.op in _BATCH else []
        elif node.op in _SEPARABLE:
            names = ["depthwise.weight", "pointwise.weight"] + ["pointwise.bias"] * bool(node.args["bias"])
        elif node.op in _CONVS or node.op == "linear":
            names = ["weight"] + ["bias"] * bool(node.args["bias"])
        elif operation.stateless or operation.train_only:
            names = []
        else:
            raise _Refused
        self._fill(node, dict.fromkeys(names, Made()))
        return _WILD

    def _nothing(self, node: Node) -> _Value:
        """A node that begins as zero; what stands before it is as fresh."""
        tiny = any(r.op == "relu" for r in self.readers.get(node.id, []))
        shift = Made(fill="ones", factor=TINY) if tiny else Made(fill="zeros")
        if OPERATIONS[node.op].kind == "norm":
            inner = "norm." if node.op == "layer_norm" else ""
            self._fill(node, {f"{inner}weight": Made(fill="zeros"), f"{inner}bias": shift})
            if node.op in _BATCH:
                for name in ("running_mean", "running_var", "num_batches_tracked"):
                    self._fill(node, {name: Made()})
        elif node.op in _CONVS[:2] or node.op == "linear":
            self._fill(node, {"weight": Made(fill="zeros")})
            if node.args["bias"]:
                self._fill(node, {"bias": shift})
        elif node.op in _SEPARABLE:
            self._fill(node, {"depthwise.weight": Made(), "pointwise.weight": Made(fill="zeros")})
            if node.args["bias"]:
                self._fill(node, {"pointwise.bias": shift})
        else:
            raise _Refused
        return _ZERO

    # -- weights ------------------------------------------------------------------------------
    def _convolution(self, node: Node, twin: Node, x: _Value) -> _Value:
        dims = len(node.shape) - 1
        grow = _number(node, "kernel_size") - _number(twin, "kernel_size")
        more = _number(node, "padding") - _number(twin, "padding")
        if grow < 0 or grow % 2 or more != grow // 2 * _number(node, "dilation", 1):
            raise _Refused
        pad = {axis: (grow // 2, grow // 2) for axis in range(2, 2 + dims)} if grow else {}
        groups, old_groups = _number(node, "groups", 1), _number(twin, "groups", 1)
        if node.op in _SEPARABLE:
            self._make(node, twin, "depthwise.weight", take={0: x.take}, pad=pad)
            return self._matrix(node, twin, x, {}, "pointwise.")
        if groups == 1 and old_groups == 1:
            return self._matrix(node, twin, x, pad)
        depthwise = groups == node.shape[0] == len(x.take) and old_groups == twin.shape[0] == x.channels
        if depthwise:
            self._make(node, twin, "weight", take={0: x.take}, pad=pad)
            if node.args["bias"]:
                self._take(node, twin, ("bias",), x.take)
            return _Value(twin.id, x.take, x.channels)
        if not x.plain or node.shape[0] != twin.shape[0] or groups != old_groups:
            raise _Refused
        self._make(node, twin, "weight", pad=pad)
        return _Value(twin.id, tuple(range(node.shape[0])), node.shape[0])

    def _matrix(self, node: Node, twin: Node, x: _Value, pad: Mapping[int, tuple[int, int]], inner: str = "") -> _Value:
        """A dense map over channels: rows repeated, columns repeated and divided."""
        rows = spread(twin.shape[0], node.shape[0])
        counts = x.counts
        divide = {1: counts} if any(c != 1 for c in counts) else {}
        self._make(node, twin, f"{inner}weight", take={0: rows, 1: x.take}, divide=divide, pad=pad)
        if node.args["bias"]:
            self._take(node, twin, (f"{inner}bias",), rows)
        return _Value(twin.id, rows, twin.shape[0])

    def _identity(self, node: Node, x: _Value, channels: int) -> _Value:
        """Hands on: each channel is that of the input which stands for the channel it is to stand for."""
        target = spread(x.channels, channels)
        first: dict[int, int] = {}
        for place, stands in enumerate(x.take):
            first.setdefault(stands, place)
        rows = tuple(first[i] for i in target)
        inner = ""
        if node.op in _SEPARABLE:
            inner = "pointwise."
            self._fill(node, {"depthwise.weight": Made(fill="identity")})
        elif max(rows, default=0) >= channels:
            raise _Refused
        made = Made(fill="identity") if rows == tuple(range(len(rows))) else Made(fill="identity", take={0: rows})
        self._fill(node, {f"{inner}weight": made})
        if node.args["bias"]:
            self._fill(node, {f"{inner}bias": Made(fill="zeros")})
        return replace(x, take=target)

    def _grouped(self, node: Node, twin: Node, x: _Value) -> _Value:
        """Group and layer norm: each group must hold one of the parent's, every channel equally often."""
        inner = "norm." if node.op == "layer_norm" else ""
        groups, old = _number(node, "num_groups", 1), _number(twin, "num_groups", 1)
        size, old_size = len(x.take) // groups, x.channels // old
        for g in range(groups):
            held = x.take[g * size : (g + 1) * size]
            times = [held.count(c) for c in sorted(set(held))]
            base = held[0] // old_size * old_size
            if set(held) != set(range(base, base + old_size)) or len(set(times)) != 1:
                raise _Refused
        self._take(node, twin, (f"{inner}weight", f"{inner}bias"), x.take)
        return _Value(twin.id, x.take, x.channels)

    def _take(self, node: Node, twin: Node, names: tuple[str, ...], take: tuple[int, ...]) -> None:
        for name in names:
            self._make(node, twin, name, take={0: take})

    def _make(self, node: Node, twin: Node, name: str, *, take: Mapping[int, tuple[int, ...]] | None = None,
              divide: Mapping[int, tuple[float, ...]] | None = None,
              pad: Mapping[int, tuple[int, int]] | None = None) -> None:  # fmt: skip
        kept = {axis: p for axis, p in (take or {}).items() if not _trivial(twin, name, axis, p)}
        if kept or divide or pad:
            self.made[_tensor(node, name)] = Made(_tensor(twin, name), take=kept, divide=divide or {}, pad=pad or {})

    def _fill(self, node: Node, made: Mapping[str, Made]) -> None:
        self.made.update({_tensor(node, name): how for name, how in made.items()})


def _trivial(twin: Node, name: str, axis: int, take: tuple[int, ...]) -> bool:
    """Whether these positions are all of the parent's in their order."""
    inputs = _number(twin, "in_features" if twin.op == "linear" else "in_channels", 0)
    size = inputs if axis == 1 or name == "depthwise.weight" else twin.shape[0]
    return take == tuple(range(size))


def _passes(node: Node) -> bool:
    return OPERATIONS[node.op].role == "identity" or OPERATIONS[node.op].train_only


def _tensor(node: Node, name: str) -> str:
    return ".".join((*module_path(node), name))


def _number(node: Node, name: str, usual: int = 0) -> int:
    return cast(int, node.args.get(name, usual))
