"""Plans, costs, built networks, model.py, ONNX: all from one plan."""

from __future__ import annotations

import json

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.network.operations import OPERATIONS, module_path

from .conftest import made_up, share


def test_plans_are_well_formed(space, rng):
    for _ in range(10):
        plan = space.plan(space.sample(rng))
        seen = {"input"}
        for node in plan.nodes:
            assert node.id.isidentifier() and node.id not in seen
            assert set(node.inputs) <= seen
            seen.add(node.id)
            shapes = [plan.shape_of(i) for i in node.inputs]
            assert OPERATIONS[node.op].infer(node.args, shapes) == node.shape
        assert plan.nodes[-1].shape == (space.n_classes,) == (plan.n_outputs,)
        assert plan.input_shape == space.input_shape and plan.input_type == space.data.input_type
        paths = [module_path(node) for node in plan.nodes]
        assert len(set(paths)) == len(paths)
        json.dumps(plan.to_json())


def test_costs_are_those_of_the_plan(space, rng):
    archs = [space.sample(rng) for _ in range(20)]
    assert [space.costs(a) for a in archs] == [plan_costs(space.plan(a)) for a in archs]


def test_random_networks_run_learn_and_cost_what_is_said(space, rng):
    """50 of each space: forward, backward, parameters exactly, multiply-adds as half of torch's count."""
    for i in range(share(space, 50)):
        arch = space.sample(rng)
        plan, costs = space.plan(arch), space.costs(arch)
        network = build(plan, seed=i)
        assert sum(p.numel() for p in network.parameters()) == costs.n_params
        # fused attention is not counted
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            assert network.eval()(made_up(space, 1, i)).shape == (1, space.n_classes)
        assert counter.get_total_flops() == 2 * costs.n_macs
        out = network.train()(made_up(space, 4, i))
        out.square().sum().backward()
        assert out.shape == (4, space.n_classes) and torch.isfinite(out).all()
        grads = [p.grad for p in network.parameters() if p.grad is not None]
        assert grads and all(torch.isfinite(g).all() for g in grads)


def test_weights_follow_the_seed(each, rng):
    plan = each.plan(each.sample(rng))
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, two, other = build(plan, seed=3), build(plan, seed=3), build(plan, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_canonical_keys(space, rng):
    archs = [space.sample(rng) for _ in range(40)]
    for a in archs:
        assert space.canonical_key(a) == space.canonical_key(type(a).from_json(a.to_json()))
    fresh = space.restrict({})  # nothing remembered
    assert [fresh.canonical_key(a) for a in archs] == [space.canonical_key(a) for a in archs]
    assert len({space.canonical_key(a) for a in archs}) > 0.1 * len(set(archs))
