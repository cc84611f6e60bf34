"""The text of model.py: readable, literal, safe to paste."""

from __future__ import annotations

import torch

from engine.export.source import model_source
from engine.network.assemble import Assembler
from engine.network.build import build


def run(plan, text):
    namespace = {"__name__": "model"}
    exec(compile(text, "model.py", "exec"), namespace)  # noqa: S102
    network = build(plan, seed=1).eval()
    alone = namespace["Network"]()
    alone.load_state_dict(network.state_dict(), strict=True)
    x = torch.randn(2, *plan.input_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return alone.eval()(x), network(x)


def test_a_chain_is_one_line_with_its_shape():
    net = Assembler((3, 8, 8))
    x = net.add("stem_conv", "conv2d", "input", out_channels=8, kernel_size=3, bias=False)
    x = net.add("stem_norm", "batch_norm2d", x)
    x = net.add("stem_relu", "relu", x)
    x = net.add("pool", "max_pool2d", x, kernel_size=2, stride=2)
    x = net.add("global_pool", "global_avg_pool2d", x)
    net.add("output", "linear", x, out_features=4)
    plan = net.finish()
    text = model_source(plan, title="Chain")
    assert "        stem = F.relu(self.stem_norm(self.stem_conv(x)))  # (B, 8, 8, 8)\n" in text
    assert "self.stem_conv = nn.Conv2d(3, 8, 3, padding=1, bias=False)\n" in text
    assert "engine" not in text
    torch.testing.assert_close(*run(plan, text), rtol=0, atol=0)


def test_titles_cannot_leave_the_docstring():
    net = Assembler((3, 4, 4))
    net.add("pool", "global_avg_pool2d", "input")
    plan = net.finish()
    for title in ('"""\nimport os', "back\\slash\\", 'ends with "'):
        torch.testing.assert_close(*run(plan, model_source(plan, title=title)), rtol=0, atol=0)
        assert "\nimport os" not in model_source(plan, title=title)


def test_awkward_names_and_shared_values():
    """Ids that are words of Python or of the file, a norm read twice, joined channels, a part that leads nowhere."""
    net = Assembler((4, 6, 6))
    a = net.add("x", "conv2d", "input", out_channels=4, kernel_size=3)
    n = net.add("x_norm", "batch_norm2d", a)
    r = net.add("x_relu", "relu", n)
    b = net.add("torch", "conv2d", r, out_channels=4, kernel_size=1)
    c = net.add("is_", "avg_pool2d", n, kernel_size=3, stride=1, padding=1, count_include_pad=False)
    net.add("nowhere", "conv2d", c, out_channels=4, kernel_size=3)
    j = net.add("joined", "concat", b, c, r)
    s = net.add("sum", "add", j)
    z = net.add("nothing", "zero", s)
    t = net.add("lambda_", "add", s, z, s)
    g = net.add("flat", "flatten", t)
    net.add("output", "linear", g, out_features=3)
    plan = net.finish()
    text = model_source(plan, title="Awkward")
    assert "does not depend on nowhere" in text
    torch.testing.assert_close(*run(plan, text), rtol=0, atol=0)


def test_cells_with_two_inputs_and_cells_read_from_inside():
    net = Assembler((4, 6, 6))
    previous, x = "input", "input"
    for i in range(3):
        part = {"group": "cells", "cell": f"c{i}"}
        a = net.add(f"c{i}_left", "relu_conv2d_norm", previous, out_channels=4, kernel_size=3, **part)
        b = net.add(f"c{i}_right", "relu_conv2d_norm", x, out_channels=4, kernel_size=1, **part)
        previous, x = x, net.add(f"c{i}_sum", "add", a, b, **part)
    inside = net.add("d_conv", "conv2d", x, out_channels=4, kernel_size=3, cell="d", group="open")
    end = net.add("d_relu", "relu", inside, cell="d", group="open")
    y = net.add("both", "add", inside, end)
    y = net.add("pool", "global_avg_pool2d", y)
    net.add("output", "linear", y, out_features=3)
    plan = net.finish()
    text = model_source(plan, title="Cells")
    assert "def forward(self, x0: torch.Tensor, x1: torch.Tensor)" in text
    torch.testing.assert_close(*run(plan, text), rtol=0, atol=0)
