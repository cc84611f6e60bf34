"""The bank: what is shared by which name, what it runs, what leaves it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.config import SearchConfig
from engine.network.build import build, without_side
from engine.network.plan import Node
from engine.spaces.base import make_space
from engine.supernets.nets.bank import Bank, key_of
from tests.engine.spaces.specs import data_spec
from tests.engine.supernets.small import SPACES, data_of, space_of

SHARING = [s for s in SPACES if "supernet" not in space_of(s).unavailable]


def conv(name: str, channels: int = 4, kernel: int = 3) -> Node:
    args = {"in_channels": channels, "out_channels": channels, "kernel_size": kernel}
    return Node(name, "relu_conv2d_norm", args, ("input",), (channels, 8, 8))


def test_name_operation_and_arguments_are_what_is_shared() -> None:
    """Anything else makes another block."""
    bank = Bank(seed=1)
    first = bank.block("a", conv("node 1"))
    assert bank.block("a", conv("node 2")) is first
    assert bank.block("b", conv("node 1")) is not first
    assert bank.block("a", conv("node 1", kernel=1)) is not first
    assert bank.block("a", conv("node 1", channels=6)) is not first
    assert len(bank.blocks) == len(bank.keys()) == 4
    assert bank.keys()[0] == list(key_of("a", conv("x")))


def test_initial_weights_depend_on_seed_and_key_alone() -> None:
    """Not on the order of asking, nor on torch's generator, which is left as it was."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one, other = Bank(seed=3), Bank(seed=3)
    a = one.block("a", conv("a")).state_dict()
    one.block("b", conv("b"))
    other.block("b", conv("b"))
    torch.manual_seed(2)
    for name, t in other.block("a", conv("a")).state_dict().items():
        assert torch.equal(t, a[name])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), before)
    Bank(seed=3).block("a", conv("a"))
    assert torch.equal(torch.get_rng_state(), before)
    differs = [not torch.equal(t, a[n]) for n, t in Bank(seed=4).block("a", conv("a")).state_dict().items()]
    differs += [not torch.equal(t, a[n]) for n, t in one.block("b", conv("b")).state_dict().items()]
    assert sum(differs) == 2  # the kernel of each


@pytest.mark.parametrize("space", SHARING)
def test_its_list_of_weights_grows_with_it(space: str) -> None:
    """What a step trains: nothing that was made since the last one may be missing."""
    bound, rng = space_of(space), np.random.default_rng(2)
    bank = Bank(seed=1)
    sizes = set()
    for _ in range(6):
        a = bound.sample(rng)
        bank.blocks_of(bound.planned(a), bound.weight_names(a))
        assert [id(w) for w in bank.weights] == [id(w) for w in bank.parameters()]
        sizes.add(len(bank.weights))
    assert len(sizes) > 1 or space == "recurrent"  # one cell holds everything


def test_what_has_no_weights_is_made_once_and_kept_nowhere() -> None:
    """And follows the mode all the same."""
    bank = Bank(seed=0)
    drop = Node("d", "dropout", {"p": 0.5}, ("input",), (4,))
    assert bank.block("d", drop) is bank.block("e", drop)
    assert not bank.keys() and not list(bank.named_weights())
    assert not bank.eval().block("d", drop).training and bank.train().block("d", drop).training


def test_without_affine_the_norms_learn_no_scale() -> None:
    """Liu et al. 2019, section 3.1.1."""
    block = Bank(seed=0, affine=False).block("a", conv("a"))
    assert [n for n, p in block.named_parameters() if p.requires_grad] == ["conv.weight"]
    assert all(p.requires_grad for p in Bank(seed=0).block("a", conv("a")).parameters())


def test_keys_make_the_same_bank_again() -> None:
    """In their order, with the same initial weights, whatever the types of the arguments."""
    bank = Bank(seed=5)
    for space in SHARING:
        bound = space_of(space)
        for i in range(4):
            a = bound.sample(np.random.default_rng(i))
            bank.blocks_of(bound.planned(a), bound.weight_names(a))
    again = Bank(seed=5)
    again.hold(bank.keys())
    assert again.keys() == bank.keys()
    assert [n for n, _ in again.named_weights()] == [n for n, _ in bank.named_weights()]
    assert all(torch.equal(t, dict(bank.named_weights())[n]) for n, t in again.named_weights())


@pytest.mark.parametrize("space", SHARING)
def test_a_subnet_of_the_bank_is_the_network_that_leaves_it(space: str) -> None:
    """Same logits as the stand-alone network with the extracted weights; copies, not the bank's own."""
    bound, data = space_of(space), data_of(space)
    bank = Bank(seed=1)
    x = data.validation_x[:8]
    for i in range(6):
        a = bound.sample(np.random.default_rng(i))
        plan, names = bound.planned(a), bound.weight_names(a)
        bank.train()
        bank.run(plan, data.augmentation.plain(16), names)  # so that running statistics are not the initial ones
        bank.eval()
        alone = build(plan)
        taken = bank.extract(plan, names)
        alone.load_state_dict(taken, strict=True)
        alone.eval()
        with torch.no_grad():
            assert torch.equal(bank.run(plan, x, names), alone(x))
            for t in alone.parameters():
                t.zero_()
            for t in taken.values():
                t.zero_()
            assert not torch.equal(bank.run(plan, x, names), alone(x))


@pytest.mark.parametrize("space", SHARING)
def test_two_networks_share_what_has_the_same_place(space: str) -> None:
    """Some, and where they differ not all."""
    bound, bank = space_of(space), Bank(seed=1)
    used = []
    for i in range(12):
        a = bound.sample(np.random.default_rng(i))
        blocks = bank.blocks_of(bound.planned(a), bound.weight_names(a))
        used.append({id(p) for m in blocks for p in m.parameters()})
    assert any(one & other and one != other for one in used for other in used)
    assert len(set.union(*used)) == len(list(bank.parameters())) < sum(map(len, used))


def test_auxiliary_heads_are_not_computed() -> None:
    """Nor anything that leads to them alone."""
    space = {"name": "darts", "channels": 4, "layers": 6, "steps": [2], "auxiliary": True}
    bound = make_space(SearchConfig.parse({"name": "test", "space": space}), data_spec((1, 16, 16)))
    a = bound.sample(np.random.default_rng(0))
    plan = bound.planned(a)
    assert plan.auxiliary
    names = bound.weight_names(a)
    bank, ran = Bank(seed=0), []
    main = {n.id for n in without_side(plan)}
    side = [bank.block(names.get(n.id, n.id), n) for n in plan.nodes if n.id not in main]
    side = [m for m in side if any(True for _ in m.parameters())]
    assert len(side) > 1
    for module in side:
        module.register_forward_hook(lambda *_: ran.append(1))
    alone = build(plan)
    alone.load_state_dict(bank.extract(plan, names), strict=True)  # heads leave with their weights
    alone.eval()
    bank.eval()
    x = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(bank.run(plan, x, names), alone(x))
    assert not ran
