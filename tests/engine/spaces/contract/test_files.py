"""What leaves the product: model.py and model.onnx of random architectures of every space."""

from __future__ import annotations

import ast
import builtins

import numpy as np
import onnxruntime
import torch

from engine.export.onnx import export_onnx
from engine.export.source import model_source
from engine.network.build import build

from .conftest import made_up, share


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
