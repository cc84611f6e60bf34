"""What leaves the product: model.py and model.onnx of random architectures of every space."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from engine.export.onnx import export_onnx
from engine.export.source import model_source
from engine.network.build import build
from engine.spaces.base import SearchSpace, space_of

from .conftest import kind_of, made_up, share

#: an export takes seconds for each dozen steps, and what may go wrong in it lies in a cell, not in how many follow:
#: spaces of deep networks are shallower for it
SHALLOW: dict[str, dict[str, Any]] = {
    "darts": {"layers": 3},
    "nasbench101": {"stacks": 2, "cells": 1},
    "nasbench201": {"cells": 1},
    "transformer": {"depth": (1, 2), "patch": (4,)},
}
#: spaces with operations that go from step to step: the exporter writes each step out, so a signal has few of them
STEP_BY_STEP = ("recurrent", "transformer")


def shallow(space: SearchSpace) -> SearchSpace:
    """The space with options and data that are quick to export."""
    options, data = type(space).suggested(space.data) | SHALLOW.get(space.name, {}), space.data
    if data.kind == "signal" and space.name in STEP_BY_STEP:
        data = data.model_copy(update={"input_shape": (data.input_shape[0], 9)})
    return space_of(type(space), type(space).Options(**options), data)


@pytest.fixture(scope="module")
def one_registry() -> Iterator[None]:
    """The exporter reads the sources of all its operators for every export, half a second each time; here once."""
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry
    except ImportError:
        yield
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib)))
        yield


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


def test_model_py_stands_alone_and_agrees(space, rng):
    """Of 12 random architectures of each space."""
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


def test_model_onnx_agrees(space, one_registry, tmp_path):
    """Of 3 random architectures of each space, another one for each kind of data."""
    space = shallow(space)
    rng = np.random.default_rng([11, kind_of(space)])
    for i in range(share(space, 3)):
        plan = space.plan(space.sample(rng))
        network = build(plan, seed=i).train()
        x = made_up(space, 5, i)
        with torch.no_grad():
            network(x)  # so that running statistics differ from their defaults
            expected = network.eval()(x)
        path = tmp_path / f"{i}.onnx"
        export_onnx(network, plan.input_shape, path, plan.input_type)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(["logits"], {"input": x.numpy()})
        assert np.allclose(found, expected.numpy(), atol=1e-4, rtol=1e-3)
