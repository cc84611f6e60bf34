"""model.py where it is more than a chain: expressions of several inputs, auxiliary heads, many nodes, tuples."""

from __future__ import annotations

import ast
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.export.onnx import export_onnx
from engine.export.source import model_source
from engine.network.assemble import Assembler
from engine.network.build import build
from engine.network.operation import Operation, equal, free, named
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan


def difference(plan: NetworkPlan, text: str) -> float:
    """Largest difference of the logits between the written model and the built one; the weights load strictly."""
    network = build(plan, seed=0).eval()
    names: dict[str, Any] = {}
    exec(compile(text, "model.py", "exec"), names)
    written = names["Network"]()
    written.load_state_dict(network.state_dict(), strict=True)
    x = torch.randn(3, *plan.input_shape)
    with torch.inference_mode():
        return float((written.eval()(x) - network(x)).abs().max())


class Product(torch.nn.Module):
    """Multiplies."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y


class Negative(torch.nn.Module):
    """Changes the sign."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -x


class Size(torch.nn.Module):
    """The size of a number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs()


def test_expressions_of_several_inputs_keep_their_operands_together(monkeypatch: pytest.MonkeyPatch) -> None:
    block = f"{__name__}:"
    for op in (
        Operation("product", "act", block + "Product", equal, free, named("product"), expression="{x0} * {x1}"),
        Operation("negative", "act", block + "Negative", lambda a, s: s[0], free, named("-"), expression="-{x}"),
        Operation("size", "act", block + "Size", lambda a, s: s[0], free, named("size"), expression="{x}.abs()"),
    ):
        monkeypatch.setitem(OPERATIONS, op.name, op)
    net = Assembler((6,))
    a = net.add("first", "linear", "input", out_features=5)
    b = net.add("second", "linear", "input", out_features=5)
    total = net.add("total", "add", a, b)
    net.add("part", "product", total, a)
    net.add("minus", "negative", "part")
    net.add("length", "size", "minus")  # of the whole, not of what stands last
    net.add("logits", "linear", "length", out_features=2)
    plan = net.finish()
    text = model_source(plan, title="x")
    assert difference(plan, text) == 0
    assert "(-" in text or "= -" in text


def test_only_what_is_used_is_imported() -> None:
    net = Assembler((4,))
    net.add("logits", "linear", "input", out_features=2)
    plan = net.finish()
    # a word that looks like an import in a comment or a title is none
    assert "functional" not in model_source(plan, title="F. Scott, math.")
    net = Assembler((4,))
    net.add("logits", "linear", net.add("act", "relu", "input"), out_features=2)
    assert "import torch.nn.functional as F" in model_source(net.finish(), title="x")


def with_head() -> NetworkPlan:
    net = Assembler((2, 8, 8))
    x = net.add("stem", "conv2d", "input", out_channels=4, kernel_size=3)
    y = net.add("aux_pool", "max_pool2d", x, kernel_size=2, stride=2)
    y = net.add("aux_flat", "flatten", net.add("aux_norm", "batch_norm2d", y))
    side = net.add("aux_output", "linear", y, out_features=3)
    net.add("unread", "conv2d", x, out_channels=4, kernel_size=1)
    x = net.add("body", "conv2d", x, out_channels=4, kernel_size=3)
    net.add("logits", "linear", net.add("flat", "flatten", x), out_features=3)
    return net.finish(auxiliary=(side,))


def test_auxiliary_heads_are_kept_with_their_weights_and_not_run(tmp_path: Path) -> None:
    plan = with_head()
    text = model_source(plan, title="x")
    assert "# aux_pool, aux_norm, aux_output: took part in training alone" in text
    assert "the output does not depend on unread" in text
    assert difference(plan, text) == 0
    forward = text[text.rindex("def forward") :]
    assert "self.aux" not in forward
    network = build(plan, seed=0).eval()
    export_onnx(network, plan.input_shape, tmp_path / "m.onnx")
    import onnxruntime

    x = torch.randn(5, *plan.input_shape)
    session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        np.testing.assert_allclose(session.run(None, {"input": x.numpy()})[0], network(x).numpy(), atol=1e-5)


def test_tuples_and_words_are_literal_arguments() -> None:
    net = Assembler((4,))
    x = net.add("columns", "table_input", "input", cardinalities=(0, 3, 0, 2), sizes=(0, 2, 0, 1))
    net.add("logits", "linear", x, out_features=2)
    plan = net.finish()
    text = model_source(plan, title="x")
    assert "TableInput((0, 3, 0, 2), (0, 2, 0, 1))" in text
    # as they come back from JSON
    again = replace(
        plan, nodes=(replace(plan.nodes[0], args={k: list(v) for k, v in plan.nodes[0].args.items()}), *plan.nodes[1:])
    )
    assert difference(again, model_source(again, title="x")) == 0


def test_a_thousand_nodes_are_written_within_seconds() -> None:
    net = Assembler((8, 4, 4))
    x, before = "input", "input"
    for cell in range(100):
        name = f"stage.cell{cell}"
        prefix = f"stage_cell{cell}_"
        ends = []
        for i, source in enumerate((x, before)):
            y = net.add(
                f"{prefix}conv{i}", "conv2d", source, cell=name, group="stage", out_channels=8, kernel_size=1 + 2 * i
            )
            y = net.add(f"{prefix}norm{i}", "batch_norm2d", y, cell=name, group="stage")
            ends.append(net.add(f"{prefix}act{i}", "relu", y, cell=name, group="stage"))
        before, x = x, net.add(f"{prefix}sum", "add", *ends, cell=name, group="stage")
    net.add("logits", "linear", net.add("flat", "flatten", x), out_features=3)
    plan = net.finish()
    began = time.process_time()
    text = model_source(plan, title="x")
    assert time.process_time() - began < 3
    ast.parse(text)
    assert len(text.splitlines()) < 600
