"""Operations over sequences against their blocks: shape, parameters, multiply-adds, padding, export, source."""

from __future__ import annotations

import numpy as np
import pytest

from engine.data.arrays import example
from engine.errors import CannotBuild
from engine.network.assemble import Assembler
from engine.network.costs import costs
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan

torch = pytest.importorskip("torch")

WIDTH, STEPS = 8, 11
VARIANTS = {
    "mask_steps": [{}],
    "learned_position": [{}],
    "sinusoidal_position": [{}],
    "class_token": [{}],
    "layer_norm": [{}],
    "self_attention": [{"heads": 1}, {"heads": 4}],
    "window_pool": [{"mode": m, "kernel_size": k} for m in ("avg", "max") for k in (3, 5)],
    "recurrent_layer": [
        {"kind": c, "out_channels": o, "bidirectional": b}
        for c in ("gru", "lstm")
        for o in (6, 9)
        for b in (True, False)
    ],
    "recurrent_cell": [
        {
            "hidden_channels": h,
            "activations": ("relu", "identity", "sigmoid", "tanh"),
            "inputs": (0, 0, 1, 3),
            "outputs": o,
        }
        for h, o in ((6, (2, 4)), (9, (1, 2, 3, 4)))
    ],
    "mean_over_time": [{}],
    "max_over_time": [{}],
    "last_step": [{}],
    "first_step": [{}],
}
MASKED = (
    "recurrent_cell", "mask_steps", "self_attention", "window_pool", "recurrent_layer",
    "mean_over_time", "max_over_time", "last_step",
)  # fmt: skip


def network_plan(name: str, args: dict, masked: bool, steps: int = STEPS) -> NetworkPlan:
    """Text, the operation, logits."""
    net = Assembler((steps,), "int64")
    x = net.add("words", "embedding", "input", num_embeddings=20, embedding_dim=WIDTH)
    with_mask = (net.add("mask", "padding_mask", "input"),) if masked else ()
    x = net.add("it", name, x, *with_mask, **args)
    if len(net.shape(x)) == 2:
        x = net.add("mean", "mean_over_time", x, *(with_mask if name != "class_token" else ()))
    net.add("output", "linear", x, out_features=3)
    return net.finish()


CASES = [
    pytest.param(name, args, masked, id=f"{name}-{'-'.join(map(str, args.values()))}-{'masked' if masked else 'whole'}")
    for name, variants in VARIANTS.items()
    for args in variants
    for masked in ((True, False) if name in MASKED else (False,))
    if masked or name != "mask_steps"
]


def tokens(n: int = 5, steps: int = STEPS) -> torch.Tensor:
    from engine.data.spec import DataSpec

    spec = DataSpec(
        name="t", kind="text", input_shape=(steps,), n_classes=3, class_names=("a", "b", "c"),
        sizes={"train": 1, "validation": 1, "test": 1}, digest="0", split_digest="1", mean=(0.0,), std=(1.0,),
        vocabulary=20,
    )  # fmt: skip
    return torch.from_numpy(example(spec, n, np.random.default_rng(1)))


def test_every_operation_of_the_family_is_tried():
    from engine.network.ops.sequences import operations

    tried = {"embedding", "padding_mask", "to_sequence"} | set(VARIANTS)
    assert {op.name for op in operations()} == tried


@pytest.mark.parametrize(("name", "args", "masked"), CASES)
def test_closed_formulas_equal_the_network(name, args, masked):
    from torch.utils.flop_counter import FlopCounterMode

    from engine.network.build import build

    plan = network_plan(name, args, masked)
    with torch.device("meta"):
        network = build(plan).eval()
        x = torch.empty(1, STEPS, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        assert network(x).shape == (1, 3)
    assert sum(p.numel() for p in network.parameters()) == costs(plan).n_params
    assert counter.get_total_flops() == 2 * costs(plan).n_macs
    with torch.no_grad():
        shapes = [plan.shape_of(i) for i in plan.by_id["it"].inputs]
        block = network.get_submodule("it")
        out = block(*(torch.zeros(2, *shape, device="meta") for shape in shapes))
    assert tuple(out.shape[1:]) == plan.by_id["it"].shape


@pytest.mark.parametrize(("name", "args", "masked"), CASES)
def test_learns_and_stands_alone(name, args, masked):
    from engine.export.source import model_source
    from engine.network.build import build

    plan = network_plan(name, args, masked)
    network = build(plan, seed=1)
    x = tokens()
    out = network(x)
    out.square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert (network.get_submodule("words").table.weight.grad[0] == 0).all()
    namespace: dict = {"__name__": "model"}
    exec(compile(model_source(plan, title="t"), "model.py", "exec"), namespace)  # noqa: S102
    alone = namespace["Network"]()
    alone.load_state_dict(network.state_dict(), strict=True)
    assert torch.equal(alone(x), network(x))
    assert torch.isfinite(network(torch.zeros_like(x))).all()  # nothing but padding


@pytest.mark.parametrize("name", MASKED)
def test_padding_changes_nothing(name):
    from engine.network.build import build

    for args in VARIANTS[name]:
        short, long = (build(network_plan(name, args, True, steps), seed=2).eval() for steps in (STEPS, STEPS + 6))
        x = tokens()
        padded = torch.nn.functional.pad(x, (0, 6))
        with torch.no_grad():
            assert torch.allclose(short(x), long(padded), atol=1e-6)
            # and what stands in a padded step is not seen
            assert not torch.allclose(short(x), short(torch.where(x == 0, 7, x)), atol=1e-4)


def test_what_pooling_over_time_takes():
    from engine.network.blocks.sequences import LastStep, MaxOverTime, MeanOverTime, WindowPool

    x = -torch.arange(1.0, 7.0).view(1, 1, 6)
    mask = torch.tensor([[[1.0, 1, 1, 1, 0, 0]]])
    assert MeanOverTime()(x, mask).item() == -2.5 and MaxOverTime()(x, mask).item() == -1
    assert LastStep()(x, mask).item() == -4 and LastStep()(x).item() == -6
    assert WindowPool("max", 3)(x, mask).tolist() == [[[-1, -1, -2, -3, 0, 0]]]
    assert torch.allclose(WindowPool("avg", 3)(x, mask), torch.tensor([[[-1.5, -2, -3, -3.5, 0, 0]]]))


def test_sinusoids_are_those_of_the_paper():
    from engine.network.blocks.sequences import SinusoidalPosition

    added = SinusoidalPosition(8, 5)(torch.zeros(1, 8, 5))[0]
    for i in range(4):
        angle = torch.arange(5.0) / 10000 ** (2 * i / 8)
        assert torch.allclose(added[2 * i], angle.sin(), atol=1e-6)
        assert torch.allclose(added[2 * i + 1], angle.cos(), atol=1e-6)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_the_way_back_is_that_of_a_packed_sequence(cell):
    """Equal to torch's own bidirectional layer over packed sequences."""
    from engine.network.blocks.sequences import RecurrentLayer

    torch.manual_seed(0)
    layer = RecurrentLayer(cell, 4, 6)
    own = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell](4, 3, batch_first=True, bidirectional=True)
    state = {}
    for key in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
        state[key] = getattr(layer.ahead, key)
        state[f"{key}_reverse"] = getattr(layer.back, key)
    own.load_state_dict(state)
    x, lengths = torch.randn(3, 4, 7), torch.tensor([7, 2, 5])
    mask = (torch.arange(7) < lengths.unsqueeze(1)).float().unsqueeze(1)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x.transpose(1, 2), lengths, True, enforce_sorted=False)
    expected = torch.nn.utils.rnn.pad_packed_sequence(own(packed)[0], batch_first=True)[0].transpose(1, 2)
    assert torch.allclose(layer(x, mask), expected, atol=1e-6)


def test_the_cell_is_that_of_the_papers():
    """One step written out, and the state kept at padding."""
    from engine.network.blocks.sequences import RecurrentCell

    torch.manual_seed(0)
    cell = RecurrentCell(4, 3, ("relu", "sigmoid"), (0, 0), (1, 2))
    x, h = torch.randn(2, 4, 5), torch.zeros(2, 3)
    mask = torch.tensor([[1.0, 1, 1, 1, 1], [1, 1, 0, 0, 0]]).unsqueeze(1)
    out = cell(x, mask)
    for t in range(5):
        value, gate = (cell.from_input(x[:, :, t]) + cell.from_state(h)).split(3, dim=1)
        first = gate.sigmoid() * value.tanh() + (1 - gate.sigmoid()) * h
        nodes = []
        for matrix, function in zip(cell.nodes, (torch.relu, torch.sigmoid), strict=True):
            value, gate = matrix(first).split(3, dim=1)
            nodes.append(gate.sigmoid() * function(value) + (1 - gate.sigmoid()) * first)
        after = (nodes[0] + nodes[1]) / 2
        h = torch.where(mask[:, :, t] > 0, after, h)
        assert torch.allclose(out[:, :, t], h, atol=1e-6)
    assert torch.equal(out[1, :, 1], out[1, :, 4])


def export(plan: NetworkPlan, path, x: torch.Tensor) -> float:
    """Largest difference between ONNX Runtime and torch, at a batch size of its own."""
    import onnxruntime

    from engine.network.build import build

    network = build(plan, seed=3).eval()
    torch.onnx.export(
        network, (x[:4],), path, dynamo=True, input_names=["input"], output_names=["logits"],
        dynamic_shapes=({0: "batch"},), external_data=False, verbose=False,
    )  # fmt: skip
    session = onnxruntime.InferenceSession(str(path))
    worst = 0.0
    for n in (1, 5):
        got = session.run(None, {"input": x[:n].numpy()})[0]
        worst = max(worst, float((torch.from_numpy(got) - network(x[:n]).detach()).abs().max()))
    return worst


def test_everything_exports(tmp_path):
    """One network of all operations over text; of few steps, since the exporter writes each of them out."""
    steps = 5
    net = Assembler((steps,), "int64")
    mask = net.add("mask", "padding_mask", "input", extra=1)
    x = net.add("words", "embedding", "input", num_embeddings=20, embedding_dim=WIDTH)
    x = net.add("token", "class_token", x)
    x = net.add("learned", "learned_position", x)
    x = net.add("waves", "sinusoidal_position", x)
    x = net.add("norm", "layer_norm", x)
    x = net.add("attention", "self_attention", x, mask, heads=2)
    x = net.add("masked", "mask_steps", x, mask)
    for mode in ("avg", "max"):
        x = net.add(mode, "window_pool", x, mask, mode=mode, kernel_size=3)
    # of the two kinds one: the loop over the steps is what takes the exporter its time
    x = net.add("lstm", "recurrent_layer", x, mask, kind="lstm", out_channels=WIDTH)
    x = net.add(
        "cell", "recurrent_cell", x, mask,
        hidden_channels=WIDTH, activations=("relu", "identity"), inputs=(0, 1), outputs=(1, 2),
    )  # fmt: skip
    pooled = [
        net.add("mean", "mean_over_time", x, mask), net.add("most", "max_over_time", x, mask),
        net.add("last", "last_step", x, mask), net.add("first", "first_step", x),
    ]  # fmt: skip
    net.add("output", "linear", net.add("joined", "concat", *pooled), out_features=3)
    assert export(net.finish(), tmp_path / "text.onnx", tokens(steps=steps)) < 1e-5


def test_patches_export_and_count(tmp_path):
    from torch.utils.flop_counter import FlopCounterMode

    from engine.network.build import build

    net = Assembler((3, 8, 6))
    x = net.add("patch", "conv2d", "input", out_channels=WIDTH, kernel_size=2, stride=2, padding=0)
    x = net.add("steps", "to_sequence", net.add("norm", "layer_norm", x))
    x = net.add("attention", "self_attention", x, heads=2)
    x = net.add("pool", "mean_over_time", net.add("max", "window_pool", x, mode="max", kernel_size=3))
    net.add("output", "linear", x, out_features=3)
    plan = net.finish()
    assert plan.shape_of("steps") == (WIDTH, 12)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build(plan).eval()(torch.empty(1, 3, 8, 6))
    assert counter.get_total_flops() == 2 * costs(plan).n_macs
    assert export(plan, tmp_path / "image.onnx", torch.randn(5, 3, 8, 6)) < 1e-5


def test_misfits_are_explained():
    net = Assembler((4, 9))
    cell = {"hidden_channels": 4, "activations": ("tanh",), "inputs": (0,), "outputs": (1,)}
    for op, args, words in (
        ("self_attention", {"heads": 3}, "4 channels cannot be divided among 3 heads"),
        ("window_pool", {"mode": "max", "kernel_size": 2}, "odd window"),
        ("embedding", {"num_embeddings": 5, "embedding_dim": 4}, "reads tokens"),
        ("to_sequence", {}, "only an image"),
        ("recurrent_layer", {"out_channels": 1}, "at least 2 channels"),
        ("recurrent_cell", {**cell, "inputs": (1,)}, "each node reads an earlier one"),
        ("recurrent_cell", {**cell, "inputs": (0, 0)}, "one input for each of its nodes"),
        ("recurrent_cell", {**cell, "outputs": (2,)}, "mean of some of the nodes 0 to 1"),
        ("recurrent_cell", {**cell, "activations": ("gelu",)}, "no activation 'gelu'"),
    ):
        with pytest.raises(CannotBuild, match=words):
            net.add("it", op, "input", **args)
    with pytest.raises(CannotBuild, match=r"needs a mask of shape \(1, 9\)"):
        net.add("it", "mean_over_time", "input", "input")
    assert OPERATIONS["padding_mask"].infer({"extra": 1}, [(9,)]) == (1, 10)
