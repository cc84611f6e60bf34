"""Elastic weights: each operation on the slice that its rule names, and what the bank does with them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from engine import catalog
from engine.network.build import PlanNetwork, make_block
from engine.network.operations import OPERATIONS
from engine.network.plan import Node
from engine.spaces.base import space_of
from engine.supernets.nets.elastic import ElasticBank, Sliced, cover
from engine.supernets.nets.slicing import RULES, Window
from tests.engine.spaces import specs

CONV = {"stride": 1, "bias": True}


def node(op, **args):
    return Node("x", op, args, (), ())


def conv(into, out, kernel, **more):
    return {**CONV, "in_channels": into, "out_channels": out, "kernel_size": kernel, "padding": kernel // 2, **more}


def depthwise(channels, kernel):
    return conv(channels, channels, kernel, groups=channels, bias=False)


#: operation: (largest, smaller, {tensor of the smaller: the slice of the larger, by hand})
GRU = {"kind": "gru", "bidirectional": True}
CASES = {
    "conv1d": (conv(6, 8, 5), conv(4, 3, 3), {"weight": lambda w: w[:3, :4, 1:4], "bias": lambda b: b[:3]}),
    "conv2d": (conv(6, 8, 5), conv(4, 3, 1), {"weight": lambda w: w[:3, :4, 2:3, 2:3], "bias": lambda b: b[:3]}),
    "depthwise_conv2d": (depthwise(8, 7), depthwise(5, 3), {"weight": lambda w: w[:5, :, 2:5, 2:5]}),
    "grouped_conv2d": (
        conv(8, 12, 1, groups=2), conv(6, 4, 1, groups=2),
        {"weight": lambda w: torch.cat([w[0:2, :3], w[6:8, :3]]), "bias": lambda b: b[[0, 1, 6, 7]]},
    ),
    **dict.fromkeys(
        ("separable_conv1d", "separable_conv2d"),
        (conv(6, 8, 5), conv(4, 3, 3), {
            "depthwise.weight": lambda w: w[:4, :, 1:4] if w.ndim == 3 else w[:4, :, 1:4, 1:4],
            "pointwise.weight": lambda w: w[:3, :4], "pointwise.bias": lambda b: b[:3],
        }),
    ),
    "linear": (
        {"in_features": 7, "out_features": 5, "bias": True}, {"in_features": 3, "out_features": 4, "bias": True},
        {"weight": lambda w: w[:4, :3], "bias": lambda b: b[:4]},
    ),
    **dict.fromkeys(
        ("batch_norm1d", "batch_norm2d"),
        ({"num_features": 6}, {"num_features": 4},
         dict.fromkeys(("weight", "bias", "running_mean", "running_var"), lambda v: v[:4])),
    ),
    "group_norm": (
        {"num_channels": 8, "num_groups": 8}, {"num_channels": 6, "num_groups": 2},
        dict.fromkeys(("weight", "bias"), lambda v: v[:6]),
    ),
    "layer_norm": (
        {"num_channels": 8}, {"num_channels": 6}, dict.fromkeys(("norm.weight", "norm.bias"), lambda v: v[:6])
    ),
    "squeeze_excite2d": (
        {"channels": 8, "squeeze": 4, "activation": "relu", "gate": "sigmoid"},
        {"channels": 6, "squeeze": 2, "activation": "relu", "gate": "sigmoid"},
        {"fc1.weight": lambda w: w[:2, :6], "fc1.bias": lambda b: b[:2],
         "fc2.weight": lambda w: w[:6, :2], "fc2.bias": lambda b: b[:6]},
    ),
    "self_attention": (
        {"channels": 8, "heads": 4}, {"channels": 6, "heads": 2},
        {f"{p}.{t}": (lambda w: w[:6, :6]) if t == "weight" else (lambda b: b[:6])
         for p in ("query", "key", "value", "output") for t in ("weight", "bias")},
    ),
    "recurrent_layer": (
        {**GRU, "in_channels": 6, "out_channels": 8}, {**GRU, "in_channels": 4, "out_channels": 5},
        # three gates of four units ahead and back; three units ahead and two back are left
        {"ahead.weight_ih_l0": lambda w: w[[0, 1, 2, 4, 5, 6, 8, 9, 10], :4],
         "back.weight_hh_l0": lambda w: w[[0, 1, 4, 5, 8, 9], :2],
         "ahead.bias_hh_l0": lambda b: b[[0, 1, 2, 4, 5, 6, 8, 9, 10]]},
    ),
    "embedding": (
        {"num_embeddings": 9, "embedding_dim": 8}, {"num_embeddings": 9, "embedding_dim": 5},
        {"table.weight": lambda w: w[:, :5]},
    ),
    "learned_position": (
        {"channels": 8, "length": 4}, {"channels": 5, "length": 4}, {"weight": lambda w: w[:5]}
    ),
    "class_token": ({"channels": 8}, {"channels": 5}, {"weight": lambda w: w[:5]}),
}  # fmt: skip
INPUTS = {"linear": lambda a: torch.randn(3, a["in_features"]), "embedding": lambda a: torch.randint(0, 9, (3, 4))}


def sample(op, args):
    """A batch for an operation."""
    if op in INPUTS:
        return INPUTS[op](args)
    channels = next(args[k] for k in ("in_channels", "num_features", "num_channels", "channels") if k in args)
    flat = op.endswith("1d") or op in ("self_attention", "recurrent_layer", "learned_position", "class_token")
    return torch.randn(3, channels, *((4,) if flat else (4, 4)))


@pytest.mark.parametrize("op", sorted(RULES))
def test_an_operation_runs_on_the_slice_that_its_rule_names(op):
    large, small, by_hand = CASES[op]
    bank = ElasticBank([("x", node(op, **small)), ("x", node(op, **large))], seed=1).eval()
    assert len(bank.blocks) == 1
    whole, part = bank.blocks[0].state_dict(), bank.block("x", node(op, **small)).state_dict()
    alone = make_block(node(op, **small)).eval()
    assert part.keys() == alone.state_dict().keys() and by_hand.keys() <= part.keys()
    for name, cut in by_hand.items():
        assert torch.equal(part[name], cut(whole[name])), name
    alone.load_state_dict(part)
    x = sample(op, small)
    assert torch.equal(bank.block("x", node(op, **small))(x), alone(x))
    # gradients reach the large weights, where they were cut from and nowhere else
    bank.block("x", node(op, **small))(x).square().sum().backward()
    alone(x).square().sum().backward()
    expected = dict(alone.named_parameters())
    for name, p in bank.blocks[0].named_parameters():
        cut = by_hand.get(name)
        if cut is not None:
            assert torch.allclose(cut(p.grad), expected[name].grad, atol=1e-6)
            assert torch.isclose(p.grad.abs().sum(), expected[name].grad.abs().sum(), rtol=1e-4)
        assert op in OPERATIONS


def test_what_fits_into_no_largest_operation_has_weights_of_its_own():
    bank = ElasticBank([("x", node("conv2d", **conv(4, 8, 3)))], seed=1)
    for other in (conv(4, 9, 3), conv(4, 8, 5), conv(4, 8, 3, stride=2), conv(4, 8, 2, padding=1)):
        assert not isinstance(bank.block("x", node("conv2d", **other)), Sliced)
    assert bank.block("y", node("conv2d", **conv(4, 8, 3))) is not bank.block("x", node("conv2d", **conv(4, 8, 3)))
    assert len(bank.blocks) == 6


def test_largest_arguments_are_put_together_from_all_that_is_announced():
    bank = ElasticBank(
        [("x", node("conv2d", **conv(*a))) for a in ((2, 8, 1), (6, 2, 3), (3, 3, 5))], seed=1
    )  # fmt: skip
    assert tuple(bank.blocks[0].weight.shape) == (8, 6, 5, 5) and bank.blocks[0].padding == (2, 2)


def test_a_smaller_norm_keeps_its_statistics_in_the_leading_entries_of_the_large_one():
    bank = ElasticBank([("x", node("batch_norm2d", num_features=6))], seed=1).train()
    x = torch.randn(32, 4, 3, 3) + 2
    bank.block("x", node("batch_norm2d", num_features=4))(x)
    mean = bank.blocks[0].running_mean
    assert torch.allclose(mean[:4], 0.1 * x.mean(dim=(0, 2, 3)), atol=1e-6) and not mean[4:].any()


def test_window_of_whole_tensors_is_the_tensor():
    t = torch.randn(4, 3, 5, 5)
    assert Window((4, 3), 5).of(t) is t
    assert Window((2, 3), 3).of(t).data_ptr() == t[:2, :, 1:4, 1:4].data_ptr()


def test_kernel_matrices_begin_as_the_centre_and_are_learned():
    ops = [("x", node("depthwise_conv2d", **depthwise(4, k))) for k in (3, 5, 7)]
    bank = ElasticBank(ops, seed=1, transforms=True)
    large = bank.blocks[0]
    assert {n: tuple(p.shape) for n, p in large.named_parameters()} == {
        "weight": (4, 1, 7, 7), "to5": (25, 25), "to3": (9, 9),
    }  # fmt: skip
    small = node("depthwise_conv2d", **depthwise(3, 3))
    assert torch.equal(bank.block("x", small).state_dict()["weight"], large.weight[:3, :, 2:5, 2:5])
    with torch.no_grad():
        large.to5.add_(0.1 * torch.randn(25, 25))
        large.to3.add_(0.1 * torch.randn(9, 9))
    w = large.weight[:3, :, 1:6, 1:6].reshape(3, 25) @ large.to5.T
    w = w.reshape(3, 1, 5, 5)[..., 1:4, 1:4].reshape(3, 9) @ large.to3.T
    x = torch.randn(2, 3, 6, 6)
    out = bank.block("x", small)(x)
    assert torch.allclose(out, F.conv2d(x, w.reshape(3, 1, 3, 3), padding=1, groups=3), atol=1e-6)
    out.sum().backward()
    assert large.to5.grad.any() and large.to3.grad.any() and large.weight.grad[:3].any()
    # the largest kernel is used as it is, and its own state has no matrices in it
    whole = bank.block("x", ops[-1][1])
    assert list(whole.state_dict()) == ["weight"] and torch.equal(whole.state_dict()["weight"], large.weight)


# -- whole spaces -----------------------------------------------------------------------------------
OPTIONS = {
    "mobile": {"stages": [{"width": [8], "depth": [1, 2]}, {"width": [8, 12], "depth": [1, 2], "stride": 2}],
               "kernel": [3, 5], "expansion": [1.0, 2.0, 3.0]},
    "layers": {"depth": (2, 3), "width": (8, 12), "head_pool": ("avg", "flatten"), "dense": (0, 8, 16),
               "operation": ("conv3", "conv5", "sep3", "max3"), "norm": ("batch", "group", "layer", "none")},
    "transformer": {"depth": (1, 2, 3), "width": (8, 12), "heads": (2, 4), "patch": (2, 4),
                    "pool": ("mean", "max", "first")},
}  # fmt: skip
SPACES = [("mobile", specs.DIGITS), ("layers", specs.DIGITS), ("layers", specs.SIGNAL), ("transformer", specs.DIGITS),
          ("transformer", specs.TEXT)]  # fmt: skip


@pytest.fixture(scope="module", params=SPACES, ids=[f"{n}-{d.name}" for n, d in SPACES])
def space(request):
    name, data = request.param
    cls = catalog.get("space", name)
    return space_of(cls, cls.Options(**OPTIONS[name]), data)


def batch(space, n=5):
    generator = torch.Generator().manual_seed(3)
    if space.data.vocabulary:
        return torch.randint(0, space.data.vocabulary, (n, *space.input_shape), generator=generator)
    return torch.randn(n, *space.input_shape, generator=generator)


def test_the_covering_architectures_announce_every_operation_of_every_network(space):
    bank = ElasticBank(cover(space), seed=0)
    held = bank.keys()
    rng = np.random.default_rng(0)
    for _ in range(60):
        a = space.sample(rng)
        bank.blocks_of(space.plan(a), space.weight_names(a))
    assert bank.keys() == held


def test_a_subnet_alone_computes_what_it_does_in_the_bank_and_owns_no_weights(space):
    bank = ElasticBank(cover(space), seed=0)
    with torch.no_grad():
        for p in bank.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)))
    mine = {t.untyped_storage().data_ptr() for _, t in bank.named_weights()}
    rng, x = np.random.default_rng(1), batch(space)
    for _ in range(6):
        arch = space.sample(rng)
        plan, names = space.plan(arch), space.weight_names(arch)
        bank.train()
        bank.run(plan, x, names)
        bank.eval()
        alone = PlanNetwork(plan)
        alone.load_state_dict(bank.extract(plan, names))
        assert torch.equal(alone.eval()(x), bank.run(plan, x, names))
        for block in bank.blocks_of(plan, names):
            for name, t in block.state_dict().items():
                # of several gates or groups it is a copy that is made anew each time
                assert t.untyped_storage().data_ptr() in mine or "_l0" in name


def test_a_checkpoint_makes_the_same_bank(space):
    bank, again = ElasticBank(cover(space), seed=0), ElasticBank(cover(space), seed=5)
    rng = np.random.default_rng(2)
    archs = [space.sample(rng) for _ in range(4)]
    bank.block("alone", node("linear", in_features=3, out_features=2, bias=True))
    again.hold(bank.keys())
    assert again.keys() == bank.keys()
    with torch.no_grad():
        for (a, s), (b, t) in zip(bank.named_weights(), again.named_weights(), strict=True):
            assert a == b
            t.copy_(s)
    x = batch(space)
    for bank_ in (bank, again):
        bank_.eval()
    for arch in archs:
        plan, names = space.plan(arch), space.weight_names(arch)
        assert torch.equal(bank.run(plan, x, names), again.run(plan, x, names))


def test_making_subnets_draws_nothing_from_torchs_generator(space):
    bank = ElasticBank(cover(space), seed=0)
    before = torch.get_rng_state()
    arch = space.sample(np.random.default_rng(3))
    bank.blocks_of(space.plan(arch), space.weight_names(arch))
    assert torch.equal(before, torch.get_rng_state())


def test_in_training_and_evaluation_small_operations_are_in_the_mode_of_the_bank(space):
    bank = ElasticBank(cover(space), seed=0)
    arch = space.sample(np.random.default_rng(4))
    plan, names = space.plan(arch), space.weight_names(arch)
    for mode in (True, False, True):
        bank.train(mode)
        assert all(m.training is mode for block in bank.blocks_of(plan, names) for m in block.modules())
