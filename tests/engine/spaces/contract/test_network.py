"""Plans, costs, built networks, model.py, ONNX: all from one plan."""

from __future__ import annotations

import ast
import builtins
import json

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.data.arrays import example
from engine.export.onnx import export_onnx
from engine.export.source import model_source
from engine.network.build import build
from engine.network.costs import costs as plan_costs
from engine.network.operations import OPERATIONS, module_path
from engine.spaces.base import SearchSpace

from .conftest import share


def made_up(space: SearchSpace, n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(example(space.data, n, np.random.default_rng(seed)))


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
        with torch.device("meta"):
            counted = build(plan).eval()
            with FlopCounterMode(display=False) as counter:
                out = counted(torch.empty(1, *space.input_shape, dtype=getattr(torch, plan.input_type)))
        assert out.shape == (1, space.n_classes)
        assert counter.get_total_flops() == 2 * costs.n_macs
        network = build(plan, seed=i).train()
        assert sum(p.numel() for p in network.parameters()) == costs.n_params
        out = network(made_up(space, 4, i))
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


def undefined_names(tree: ast.Module) -> set[str]:
    bound = set(dir(builtins)) | {"__class__", "annotations"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(a.asname or a.name).split(".")[0] for a in node.names}
        elif isinstance(node, ast.ClassDef | ast.FunctionDef):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - bound


def test_the_bundles_files_stand_alone_and_agree(space, rng, tmp_path):
    """model.py of 12 and model.onnx of at least 3 random architectures of each space."""
    import onnxruntime

    files = share(space, 3)
    for i in range(share(space, 12)):
        plan = space.plan(space.sample(rng))
        text = model_source(plan, title='A "network"\nof tests')
        tree = ast.parse(text)
        imported = {
            module
            for n in ast.walk(tree)
            if isinstance(n, ast.Import | ast.ImportFrom)
            for module in ([n.module] if isinstance(n, ast.ImportFrom) else [a.name for a in n.names])
        }
        assert {m.split(".")[0] for m in imported} <= {"torch", "math", "__future__"}
        assert undefined_names(tree) == set()
        assert max(map(len, text.splitlines())) <= 200
        namespace: dict = {"__name__": "model"}
        exec(compile(text, "model.py", "exec"), namespace)  # noqa: S102
        trained = build(plan, seed=i).train()
        x = made_up(space, 5, i)
        with torch.no_grad():
            trained(x)  # so that running statistics differ from their defaults
            trained.eval()
            alone = namespace["Network"]()
            alone.load_state_dict(trained.state_dict(), strict=True)
            alone.eval()
            expected = trained(x)
            assert torch.equal(alone(x), expected)
        if i < files:
            path = tmp_path / f"{i}.onnx"
            export_onnx(trained, plan.input_shape, path, plan.input_type)
            session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
            (found,) = session.run(["logits"], {"input": x.numpy()})
            assert np.allclose(found, expected.numpy(), atol=1e-4, rtol=1e-3)


def test_canonical_keys(space, rng):
    archs = [space.sample(rng) for _ in range(40)]
    for a in archs:
        assert space.canonical_key(a) == space.canonical_key(type(a).from_json(a.to_json()))
    fresh = space.restrict({})  # nothing remembered
    assert [fresh.canonical_key(a) for a in archs] == [space.canonical_key(a) for a in archs]
    assert len({space.canonical_key(a) for a in archs}) > 0.1 * len(set(archs))
