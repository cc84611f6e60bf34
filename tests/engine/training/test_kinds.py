"""Training on signals, text and tables: data on the device, preflight, the final logits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.data.arrays import Arrays, Split, example
from engine.data.spec import Column, DataSpec
from engine.evaluation.trained import TrainedSession
from engine.network.assemble import Assembler
from engine.network.build import build, initialize
from engine.network.plan import NetworkPlan
from engine.training.augment import Augmentation, draw
from engine.training.device import Setting
from engine.training.inference import reference_logits
from engine.training.loop import DeviceData, Trainer
from engine.training.probe import candidates, probe
from tests.engine.training.networks import never, work

CPU = torch.device("cpu")
BFLOAT16 = Setting(precision="bfloat16")
SHAPES: dict[str, tuple[int, ...]] = {"signal": (2, 40), "text": (9,), "table": (4,)}


def spec(kind: str) -> DataSpec:
    columns = [Column(name=f"c{i}", categories=("",) * n) for i, n in enumerate((0, 600, 0, 3))]
    n = {"signal": 2, "table": 4}.get(kind, 1)
    return DataSpec(
        name=kind,
        kind=kind,  # type: ignore[arg-type]
        input_shape=SHAPES[kind],
        n_classes=3,
        class_names=("a", "b", "c"),
        sizes={"train": 90, "validation": 40, "test": 40},
        digest="",
        split_digest="",
        mean=(0.0,) * n,
        std=(1.0,) * n,
        vocabulary=700 if kind == "text" else 0,
        columns=tuple(columns) if kind == "table" else (),
    )


def arrays(kind: str) -> Arrays:
    """Classes that follow from the samples: a loud place, a word, a category."""
    data, rng = spec(kind), np.random.default_rng(0)
    parts = []
    for n in (90, 40):
        x, y = example(data, n, rng), np.arange(n) % 3
        if kind == "signal":
            x += (y[:, None, None] == np.arange(3).repeat(14)[:40]) * 2
        elif kind == "text":
            x[:, :4] = 600 + y[:, None]
        else:
            x[:, 3] = y
        parts.append(Split(x, y.astype(np.int64)))
    return Arrays(data, *parts)


def plan(kind: str) -> NetworkPlan:
    """A small network of the operations that are there for each kind."""
    data = spec(kind)
    net = Assembler(data.input_shape, data.input_type)
    if kind == "signal":
        x = net.add("conv", "conv1d", "input", out_channels=6, kernel_size=5, stride=2)
        x = net.add("act", "relu", net.add("norm", "batch_norm1d", x))
        x = net.add("flat", "flatten", x)
    elif kind == "text":
        mask = net.add("mask", "padding_mask", "input")
        x = net.add("words", "embedding", "input", num_embeddings=data.vocabulary, embedding_dim=8)
        x = net.add("norm", "layer_norm", net.add("layer", "recurrent_layer", x, mask, out_channels=8))
        x = net.add("attend", "self_attention", x, mask, heads=2)
        x = net.add("pool", "max_over_time", net.add("drop", "dropout", x, p=0.1), mask)
    else:
        x = net.add("columns", "table_input", "input", cardinalities=data.cardinalities, sizes=(0, 6, 0, 3))
        x = net.add("act", "relu", net.add("hidden", "linear", x, out_features=12))
    net.add("logits", "linear", x, out_features=data.n_classes)
    return net.finish()


def trainer(kind: str, setting: Setting, **recipe: Any) -> Trainer:
    values = Recipe(**({"batch_size": 16, "learning_rate": 0.02, "precision": setting.precision} | recipe))
    data = DeviceData.of(arrays(kind), values, setting, CPU)
    return Trainer(build(plan(kind), seed=1), data, recipe=values, setting=setting, device=CPU, epochs=15, seed=3)


# -- data on the device ---------------------------------------------------------------------------
@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("setting", [Setting(), BFLOAT16], ids=["float32", "bfloat16"])
def test_every_kind_learns_in_both_precisions(kind: str, setting: Setting) -> None:
    done = trainer(kind, setting).run(15, lambda event: None, never)
    assert done.accuracy > 0.9


def test_word_numbers_and_codes_are_never_rounded() -> None:
    for kind in ("text", "table"):
        made = arrays(kind)
        assert made.train.x.max() > 256
        data = DeviceData.of(made, Recipe(), BFLOAT16, CPU)
        wanted = torch.int64 if kind == "text" else torch.float32
        for on_device, raw in ((data.augmentation.x, made.train.x), (data.validation_x, made.validation.x)):
            assert on_device.dtype == wanted
            assert np.array_equal(on_device.numpy(), raw)
    assert DeviceData.of(arrays("signal"), Recipe(), BFLOAT16, CPU).validation_x.dtype == torch.bfloat16


def test_signals_are_shifted_in_time_sample_by_sample_and_never_mirrored_or_erased() -> None:
    x = torch.randn(30, 2, 17, generator=torch.Generator().manual_seed(0))
    blank = torch.tensor([-1.0, 2.0])
    recipe = Recipe(shift=3, flip=True, cutout=5)
    augmentation = Augmentation(x, recipe, blank, torch.channels_last)
    draws = draw(30, (2, 17), recipe, 7, CPU)
    assert draws.dy is None
    assert draws.mirrored is None
    assert draws.cx is None
    assert draws.dx is not None
    assert set(draws.dx.tolist()) == set(range(7))
    out = augmentation.batch(draws, 4, 21)
    assert out.shape == (17, 2, 17)
    assert out.is_contiguous()
    for i, sample in enumerate(out, start=4):
        moved = int(draws.dx[i]) - 3
        wanted = blank.view(2, 1).expand(2, 17).clone()
        source = x[draws.order[i]]
        if moved >= 0:
            wanted[:, : 17 - moved] = source[:, moved:]
        else:
            wanted[:, -moved:] = source[:, :moved]
        assert torch.equal(sample, wanted)
    still = draw(30, (2, 17), Recipe(shift=0), 1, CPU)
    assert torch.equal(
        Augmentation(x, Recipe(shift=0), blank, torch.contiguous_format).batch(still, 0, 30), x[still.order]
    )


@pytest.mark.parametrize("kind", ["text", "table"])
def test_text_and_tables_are_left_as_they_are(kind: str) -> None:
    made = arrays(kind)
    recipe = Recipe(shift=4, flip=True, cutout=4)
    data = DeviceData.of(made, recipe, Setting(), CPU)
    draws = draw(90, data.shape, recipe, 5, CPU)
    assert np.array_equal(data.augmentation.batch(draws, 0, 90).numpy(), made.train.x[draws.order.numpy()])


def test_both_precisions_are_probed_and_one_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in SHAPES:
        found = candidates(Recipe(), SHAPES[kind])
        assert [(s.precision, s.layout) for s in found] == [("float32", "contiguous"), ("bfloat16", "contiguous")]
        made = probe(lambda kind=kind: build(plan(kind), seed=0), arrays(kind), Recipe(), CPU, steps=2)
        assert set(made.step_s) == {"float32 contiguous", "bfloat16 contiguous"}


# -- preflight, inference, initialization ---------------------------------------------------------
@pytest.mark.parametrize("kind", SHAPES)
def test_preflight_and_final_logits_of_every_kind(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = arrays(kind)
    config = SearchConfig.model_construct(
        data=SearchConfig.model_fields["data"].default, training=Recipe(batch_size=16), seed=0
    )
    one = TrainedSession(config, made.spec, lambda a: build(plan(kind)))
    one._arrays = made
    extra = {"architectures": [Architecture.of("hand_made", {}).to_json()]}
    report = one.evaluate(work(tmp_path, kind="preflight", architecture=None, extra=extra), lambda e: None, never)
    assert report.failure is None
    row = report.cost["networks"][0]
    assert row["n_params"] == sum(p.numel() for p in build(plan(kind)).parameters())
    assert row["memory_bytes"] > 0
    assert row["step_s"] > 0
    from engine.data import registry

    monkeypatch.setattr(registry, "load_test", lambda *args: made.validation)
    final = one.evaluate(work(tmp_path / "final", kind="final"), lambda e: None, never)
    assert final.metrics["test_accuracy"] == final.metrics["accuracy"]
    logits = np.load(final.artifacts["logits"])
    from safetensors.torch import load_file

    again = build(plan(kind))
    again.load_state_dict(load_file(final.artifacts["weights"]))
    assert np.array_equal(reference_logits(again, made.validation.x), logits)


def test_images_are_initialized_as_ever_and_words_small() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 64, 3), nn.Linear(64, 64), nn.Embedding(90, 8, padding_idx=0), nn.Embedding(9, 8)
    )
    before = {name: p.detach().clone() for name, p in module.named_parameters()}
    initialize(module)
    after = {name: p.detach() for name, p in module.named_parameters()}
    assert after["0.weight"].std().item() == pytest.approx((2 / 27) ** 0.5, rel=0.1)
    assert not after["0.bias"].any()
    assert not after["2.weight"][0].any()
    assert after["2.weight"][1:].std().item() == pytest.approx(0.1, rel=0.1)
    for name in ("1.weight", "1.bias", "3.weight"):
        assert torch.equal(after[name], before[name])
