"""Auxiliary heads: their share of the loss, and that predictions run without them."""

import copy
from pathlib import Path

import pytest
import torch
from torch import nn

from engine.architecture import Architecture
from engine.config import Recipe
from engine.data.arrays import Arrays
from engine.errors import Interrupted
from engine.network.assemble import Assembler
from engine.network.build import build
from engine.network.plan import AUXILIARY_WEIGHT, NetworkPlan
from engine.training.device import Setting
from engine.training.loop import DeviceData, Trainer
from tests.engine.training.networks import never, session, work

CPU = torch.device("cpu")


def with_head(auxiliary: bool = True) -> NetworkPlan:
    net = Assembler((1, 8, 8))
    x = net.add("act", "relu", net.add("conv", "conv2d", "input", out_channels=4, kernel_size=3))
    head = net.add("aux_norm", "batch_norm2d", x)
    head = net.add("aux_flat", "flatten", net.add("aux_drop", "dropout", head, p=0.5))
    side = net.add("aux_output", "linear", head, out_features=10)
    x = net.add("conv2", "conv2d", x, out_channels=4, kernel_size=3)
    net.add("logits", "linear", net.add("flat", "flatten", x), out_features=10)
    return net.finish(auxiliary=(side,) if auxiliary else ())


def test_auxiliary_logits_join_the_loss_with_their_weight_and_leave_nothing_behind() -> None:
    module = build(with_head(), seed=0)
    recipe = Recipe(label_smoothing=0.1, shift=0, clip=0)
    data = DeviceData.of(image_arrays(), recipe, Setting(), CPU)
    made = Trainer(module, data, recipe=recipe, setting=Setting(), device=CPU, epochs=1, seed=0)
    plain = copy.deepcopy(module)
    x, y = data.augmentation.x[:20], data.train_y[:20]
    torch.manual_seed(5)
    out = plain.train()(x)
    assert len(plain.side_logits) == 1
    losses = [nn.functional.cross_entropy(logits, y, label_smoothing=0.1) for logits in (out, plain.side_logits[0])]
    torch.manual_seed(5)
    module.train()
    loss = made.step(x, y, 0.0)
    assert float(loss) == pytest.approx((losses[0] + AUXILIARY_WEIGHT * losses[1]).item(), rel=1e-6)
    (losses[0] + AUXILIARY_WEIGHT * losses[1]).backward()
    for (name, a), b in zip(module.named_parameters(), plain.parameters(), strict=True):
        assert b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-7, msg=name)
    assert module.side_logits == []
    copy.deepcopy(module)  # a graph of gradients cannot be copied


def image_arrays() -> Arrays:
    from engine.data import registry

    return registry.load("digits")


def test_a_prediction_runs_no_auxiliary_head_and_does_not_depend_on_it() -> None:
    module = build(with_head(), seed=0).eval()
    x = torch.randn(3, 1, 8, 8)
    seen: list[str] = []
    for name, part in module.named_children():
        part.register_forward_hook(lambda *args, name=name: seen.append(name))
    out = module(x)
    assert not any(name.startswith("aux") for name in seen)
    assert module.side_logits == []
    with torch.no_grad():
        module.get_submodule("aux_output").weight.fill_(float("nan"))
    assert torch.equal(module(x), out)
    module.train()(x)
    assert {name for name in seen if name.startswith("aux")} == {"aux_norm", "aux_flat", "aux_drop", "aux_output"}


def test_a_network_with_auxiliary_heads_trains_checkpoints_and_resumes(tmp_path: Path) -> None:
    def make(architecture: Architecture) -> nn.Module:
        return build(with_head())

    whole = session(make).evaluate(work(tmp_path / "whole"), lambda e: None, never)
    left = [7]

    def stop() -> str | None:
        left[0] -= 1
        return "pause" if left[0] < 0 else None

    with pytest.raises(Interrupted):
        session(make).evaluate(work(tmp_path / "part"), lambda e: None, stop)
    again = work(tmp_path / "part", checkpoint=tmp_path / "part" / "checkpoint.safetensors")
    resumed = session(make).evaluate(again, lambda e: None, never)
    assert (resumed.metrics, resumed.correct) == (whole.metrics, whole.correct)
    without = session(lambda a: build(with_head(auxiliary=False))).evaluate(
        work(tmp_path / "no"), lambda e: None, never
    )
    assert without.metrics != whole.metrics
