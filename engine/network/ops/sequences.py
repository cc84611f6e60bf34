"""Operations for token sequences and time series: embedding, positions, attention, recurrence, pooling over time.

Everything is (C, L), channels first. Text is (L,) whole numbers with padding (token 0) at the end: only `embedding`
and `padding_mask` read it. Operations that must not see padding take the mask, (1, L), as their last input:

    mask = net.add("mask", "padding_mask", "input")
    x = net.add("embedding", "embedding", "input", num_embeddings=data.vocabulary, embedding_dim=64)
    x = net.add("attention", "self_attention", x, mask, heads=4)
    x = net.add("pool", "mean_over_time", x, mask)

Without the mask they take the whole sequence. A dense layer over time is a `conv1d` of kernel 1; patches of an image
are a `conv2d` whose stride is its kernel, followed by `to_sequence`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import CannotBuild
from engine.network.operation import Args, Operation, Shape, free, named, norm_cost, same

_BLOCKS = "engine.network.blocks.sequences"
#: gates of one step: (input + state) x hidden matrices each
_GATES = {"gru": 3, "lstm": 4}
#: of the nodes of a recurrent cell
ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")


def _sequence(shapes: Sequence[Shape], what: str) -> Shape:
    """The first shape, (C, L); the second one, where there is one, must be its mask."""
    if len(shapes[0]) != 2:
        raise CannotBuild(f"{what} needs a sequence (channels, steps), got the shape {shapes[0]}")
    if len(shapes) > 1 and shapes[1] != (1, shapes[0][1]):
        raise CannotBuild(
            f"{what} over {shapes[0][1]} steps needs a mask of shape (1, {shapes[0][1]}), got {shapes[1]}"
        )
    return shapes[0]


def _kept(what: str) -> Callable[[Args, Sequence[Shape]], Shape]:
    """The shape stays."""
    return lambda args, shapes: _sequence(shapes, what)


def _pooled(what: str) -> Callable[[Args, Sequence[Shape]], Shape]:
    """Steps go, channels stay."""
    return lambda args, shapes: _sequence(shapes, what)[:1]


def _tokens(shapes: Sequence[Shape], what: str) -> int:
    if len(shapes[0]) != 1:
        raise CannotBuild(f"{what} reads tokens (steps,), got the shape {shapes[0]}")
    return shapes[0][0]


def _needs(name: str, args: Args, shapes: Sequence[Shape], what: str) -> Shape:
    shape = _sequence(shapes, what)
    if shape[0] != args[name]:
        raise CannotBuild(f"{what} of {args[name]} channels got {shape[0]}")
    return shape


def _channels(name: str) -> Callable[[Args, Sequence[Shape]], dict[str, Any]]:
    return lambda args, shapes: {name: shapes[0][0], **args}


def _positioned(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    channels, length = _sequence(shapes, "a positional encoding")
    return {"channels": channels, "length": length, **args}


def _longer(args: Args, shapes: Sequence[Shape]) -> Shape:
    channels, length = _sequence(shapes, "a class token")
    return (channels, length + 1)


def _attention_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    shape = _needs("channels", args, shapes, "attention")
    if shape[0] % args["heads"]:
        raise CannotBuild(f"{shape[0]} channels cannot be divided among {args['heads']} heads")
    return shape


def _attention_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Four projections, and the two products of the attention itself."""
    width, steps = shape
    return 4 * (width * width + width), 4 * width * width * steps + 2 * width * steps * steps


def _window_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    if args["kernel_size"] % 2 == 0:
        raise CannotBuild(f"pooling that keeps the length needs an odd window, not {args['kernel_size']}")
    return _sequence(shapes, "pooling over steps")


def _layer_args(args: Args, shapes: Sequence[Shape]) -> dict[str, Any]:
    return {"kind": "gru", "in_channels": shapes[0][0], "bidirectional": True, **args}


def _layer_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    _, steps = _needs("in_channels", args, shapes, "a recurrent layer")
    if args["bidirectional"] and args["out_channels"] < 2:
        raise CannotBuild("two directions need at least 2 channels")
    return (int(args["out_channels"]), steps)


def _layer_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Matrix products of the gates at every step; two bias vectors a gate, as in torch."""
    gates, back = _GATES[args["kind"]], args["out_channels"] // 2 if args["bidirectional"] else 0
    n_params = n_macs = 0
    for hidden in (args["out_channels"] - back, back):
        weights = gates * hidden * (args["in_channels"] + hidden)
        n_params += weights + 2 * gates * hidden
        n_macs += weights * shape[1]
    return n_params, n_macs


def _cell_shape(args: Args, shapes: Sequence[Shape]) -> Shape:
    _, steps = _needs("in_channels", args, shapes, "a recurrent cell")
    activations, inputs, outputs = args["activations"], args["inputs"], args["outputs"]
    if not activations or len(activations) != len(inputs):
        raise CannotBuild(f"a recurrent cell needs one input for each of its nodes, got {inputs} for {activations}")
    if unknown := set(activations) - set(ACTIVATIONS):
        raise CannotBuild(f"no activation {min(unknown)!r} in a recurrent cell; it has {', '.join(ACTIVATIONS)}")
    if any(not 0 <= source <= i for i, source in enumerate(inputs)):
        raise CannotBuild(f"each node reads an earlier one (0 = the first state), not {inputs}")
    if not outputs or not set(outputs) <= set(range(len(inputs) + 1)):
        raise CannotBuild(f"the next state is the mean of some of the nodes 0 to {len(inputs)}, not of {outputs}")
    return (int(args["hidden_channels"]), steps)


def _cell_cost(args: Args, shapes: Sequence[Shape], shape: Shape) -> tuple[int, int]:
    """Candidate and gate of each node, at every step; no biases."""
    width, steps = shape
    weights = 2 * width * (args["in_channels"] + width * (1 + len(args["inputs"])))
    return weights, weights * steps


def _cell_inside(args: Args) -> dict[str, Any]:
    """One step of the cell as a drawing: nodes with their activations, the mean of some of them as the next state."""
    width, count = args["hidden_channels"], len(args["inputs"])

    def box(id: str, kind: str, title: str, detail: str, weights: int = 0, n_nodes: int = 1) -> dict[str, Any]:
        return {
            "id": id, "kind": kind, "title": title, "detail": detail, "group": "", "shape": [width],
            "n_params": weights, "n_macs": weights, "dashed": False, "repeat": 1, "opens": None, "n_nodes": n_nodes,
        }  # fmt: skip

    def edge(source: str, target: str) -> dict[str, str]:
        return {"source": source, "target": target, "title": ""}

    each = 2 * width * width
    nodes = [
        box("in0", "input", "input", "of the step", n_nodes=0),
        box("in1", "input", "state", "before", n_nodes=0),
        box("node0", "act", "tanh", "node 0", each + 2 * width * args["in_channels"]),
        *(box(f"node{i}", "act", name, f"node {i}", each) for i, name in enumerate(args["activations"], start=1)),
        box("out", "output", "mean", "next state"),
    ]
    edges = [edge("in0", "node0"), edge("in1", "node0")]
    edges += [edge(f"node{source}", f"node{i}") for i, source in enumerate(args["inputs"], start=1)]
    edges += [edge(f"node{i}", "out") for i in args["outputs"]]
    return {
        "title": f"recurrent cell of {count} node{'s' if count > 1 else ''}",
        "caption": "one step: each node moves what it reads towards its activation as far as its gate lets it",
        "nodes": nodes,
        "edges": edges,
    }


def _patches(args: Args, shapes: Sequence[Shape]) -> Shape:
    if len(shapes[0]) != 3:
        raise CannotBuild(f"only an image (channels, height, width) becomes a sequence, not the shape {shapes[0]}")
    channels, height, width = shapes[0]
    return (channels, height * width)


def operations() -> list[Operation]:
    """The operations over sequences."""
    pure: dict[str, Any] = {"stateless": True, "keeps_zero": True}
    return [
        Operation(
            "embedding", "embed", f"{_BLOCKS}:TokenEmbedding",
            lambda a, s: (int(a["embedding_dim"]), _tokens(s, "an embedding")),
            lambda a, s, shape: (a["num_embeddings"] * a["embedding_dim"], 0),
            lambda a: ("embedding", f"{a['embedding_dim']} of {a['num_embeddings']:,} words"),
        ),
        Operation(
            "padding_mask", "mask", f"{_BLOCKS}:PaddingMask",
            lambda a, s: (1, _tokens(s, "a padding mask") + int(a["extra"])), free, named("padding", "mask"),
            lambda a, s: {"extra": 0, **a}, stateless=True,
        ),
        Operation(
            "mask_steps", "other", f"{_BLOCKS}:MaskSteps", _kept("masking"), free, named("without padding"), **pure
        ),
        Operation(
            "learned_position", "embed", f"{_BLOCKS}:LearnedPosition", _kept("a positional encoding"),
            lambda a, s, shape: (shape[0] * shape[1], 0), named("position", "learned"), _positioned,
        ),
        Operation(
            "sinusoidal_position", "other", f"{_BLOCKS}:SinusoidalPosition", _kept("a positional encoding"),
            free, named("position", "sinusoidal"), _positioned, stateless=True,
        ),
        Operation(
            "class_token", "embed", f"{_BLOCKS}:ClassToken", _longer,
            lambda a, s, shape: (shape[0], 0), named("class token"), _channels("channels"),
        ),
        Operation(
            "layer_norm", "norm", f"{_BLOCKS}:ChannelLayerNorm", same, norm_cost, named("layer norm"),
            _channels("num_channels"),
        ),
        Operation(
            "self_attention", "attention", f"{_BLOCKS}:SelfAttention", _attention_shape, _attention_cost,
            lambda a: ("attention", f"{a['heads']} head{'s' if a['heads'] > 1 else ''}"), _channels("channels"),
        ),
        Operation(
            "window_pool", "pool", f"{_BLOCKS}:WindowPool", _window_shape, free,
            lambda a: (a["mode"], str(a["kernel_size"])), **pure,
        ),
        Operation(
            "recurrent_layer", "recurrent", f"{_BLOCKS}:RecurrentLayer", _layer_shape, _layer_cost,
            lambda a: (a["kind"].upper(), f"{a['out_channels']}{', both ways' if a['bidirectional'] else ''}"),
            _layer_args,
        ),
        Operation(
            "recurrent_cell", "recurrent", f"{_BLOCKS}:RecurrentCell", _cell_shape, _cell_cost,
            lambda a: ("recurrent cell", f"{len(a['inputs'])} node{'s' if len(a['inputs']) > 1 else ''}"),
            _channels("in_channels"), inside=_cell_inside, free_args=("activations", "inputs", "outputs"),
        ),
        Operation(
            "mean_over_time", "pool", f"{_BLOCKS}:MeanOverTime", _pooled("the mean over time"), free,
            named("mean", "over time"), **pure,
        ),
        Operation(
            "max_over_time", "pool", f"{_BLOCKS}:MaxOverTime", _pooled("the maximum over time"), free,
            named("max", "over time"), **pure,
        ),
        Operation(
            "last_step", "pool", f"{_BLOCKS}:LastStep", _pooled("the last step"), free, named("last", "step"), **pure
        ),
        Operation(
            "first_step", "pool", f"{_BLOCKS}:FirstStep", _pooled("the first step"), free, named("first", "step"),
            expression="{x}[:, :, 0]", linear=True, **pure,
        ),
        Operation(
            "to_sequence", "other", f"{_BLOCKS}:ToSequence", _patches, free, named("as sequence"),
            expression="{x}.flatten(2)", linear=True, **pure,
        ),
    ]  # fmt: skip
