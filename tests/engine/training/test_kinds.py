"""Training on signals, text and tables; two optimizers; auxiliary heads; recipes that architectures decide."""

import copy
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
from engine.errors import Interrupted
from engine.evaluation.trained import TrainedSession
from engine.network.assemble import Assembler
from engine.network.build import build, initialize
from engine.network.plan import AUXILIARY_WEIGHT, NetworkPlan
from engine.training.augment import Augmentation, draw
from engine.training.device import Setting
from engine.training.flat import FlatParameters
from engine.training.inference import reference_logits
from engine.training.loop import DeviceData, Trainer
from engine.training.optim import Optimizer
from engine.training.probe import candidates, probe
from tests.engine.training.networks import Small, network, never, session, work

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


# -- optimizers -----------------------------------------------------------------------------------
@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_flat_sgd_is_nesterov_s_momentum_with_decoupled_decay_over_single_tensors(momentum: float) -> None:
    recipe = Recipe(optimizer="sgd", momentum=momentum, clip=0, weight_decay=0.3, learning_rate=0.05)
    torch.manual_seed(0)
    ours = Small(8)
    plain = copy.deepcopy(ours)
    optimizer = Optimizer(flat := FlatParameters(ours), recipe)
    decays = {"conv.weight": 0.3, "deep.weight": 0.3, "head.weight": 0.3}
    velocity = {name: torch.zeros_like(p) for name, p in plain.named_parameters()}
    x, y = torch.randn(16, 1, 8, 8), torch.arange(16) % 10
    for step in range(6):
        rate = 0.05 / (step + 1)
        flat.zero_gradients()
        plain.zero_grad()
        for module in (ours, plain):
            torch.manual_seed(step)  # dropout
            nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step(rate)
        with torch.no_grad():  # Sutskever et al. 2013 in torch's form, beside the decay
            for name, p in plain.named_parameters():
                assert p.grad is not None
                velocity[name] = momentum * velocity[name] + p.grad
                p -= rate * decays.get(name, 0.0) * p
                p -= rate * (p.grad + momentum * velocity[name])
    for (name, a), b in zip(ours.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("recipe", [{}, {"momentum": 0.0}, {"ema": 0.0}], ids=["momentum", "plain", "no average"])
def test_sgd_interrupted_and_resumed_is_the_same_training(tmp_path: Path, recipe: dict[str, Any]) -> None:
    recipe = {"optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 0.01, **recipe}
    whole = session(**recipe).evaluate(work(tmp_path / "whole"), lambda e: None, never)
    for stop_at in (0, 1, 20):  # before the first step there is no momentum to keep
        folder = tmp_path / str(stop_at)
        left = [stop_at]

        def stop(left: list[int] = left) -> str | None:
            left[0] -= 1
            return "pause" if left[0] < 0 else None

        with pytest.raises(Interrupted):
            session(**recipe).evaluate(work(folder), lambda e: None, stop)
        again = work(folder, checkpoint=folder / "checkpoint.safetensors")
        resumed = session(**recipe).evaluate(again, lambda e: None, never)
        assert resumed.metrics == whole.metrics
        assert resumed.correct == whole.correct
    assert whole.metrics["accuracy"] > 0.3


# -- auxiliary heads ------------------------------------------------------------------------------
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


# -- recipes that architectures decide ------------------------------------------------------------
def test_an_architecture_s_recipe_is_what_trains_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.training import loop

    used: list[Recipe] = []
    real = loop.Trainer.__init__

    def noted(self: Any, *args: Any, **values: Any) -> None:
        used.append(values["recipe"])
        real(self, *args, **values)

    monkeypatch.setattr(loop.Trainer, "__init__", noted)
    decided = {
        "width": 6,
        "recipe_optimizer": "sgd",
        "recipe_learning_rate": 0.05,
        "recipe_batch_size": 32,
        "recipe_weight_decay": 0.0,
        "recipe_augmentation": "shift+flip+cutout",
    }
    one = session(network)
    first = one.evaluate(
        work(tmp_path / "a", architecture=Architecture.of("hand_made", decided)), lambda e: None, never
    )
    assert used[0] == Recipe(
        precision="float32", optimizer="sgd", learning_rate=0.05, batch_size=32, weight_decay=0, flip=True, cutout=4
    )
    plain = one.evaluate(work(tmp_path / "b"), lambda e: None, never)  # the same session, the search's own recipe again
    assert used[1] == Recipe(precision="float32")
    alone = session(network).evaluate(work(tmp_path / "c"), lambda e: None, never)
    assert plain.metrics == alone.metrics != first.metrics


def test_the_final_training_of_a_search_uses_the_winner_s_recipe(tmp_path: Path, monkeypatch: Any) -> None:
    from engine.loop import run
    from engine.training import loop

    used: list[Recipe] = []
    real = loop.Trainer.__init__

    def noted(self: Any, *args: Any, **values: Any) -> None:
        used.append(values["recipe"])
        real(self, *args, **values)

    monkeypatch.setattr(loop.Trainer, "__init__", noted)
    recipe = {"optimizer": ["sgd", "adamw"], "learning_rate": [0.001, 0.01], "batch_size": [128]}
    config = SearchConfig.parse(
        {
            "name": "recipe",
            "space": {"name": "layers", "depth": [2], "width": [8], "recipe": recipe},
            "strategy": "random",
            "training": {"precision": "float32"},
            "budget": {"trials": 3, "epochs": 1},
            "final": {"enabled": True, "epochs": 1},
        }
    )
    result = run(config, workdir=tmp_path)
    assert result.final is not None
    assert result.best is not None
    choices = result.best.architecture.choices
    last = used[-1]
    assert (last.optimizer, last.learning_rate, last.batch_size) == (
        choices["recipe_optimizer"],
        choices["recipe_learning_rate"],
        128,
    )
    assert {r.batch_size for r in used} == {128}


def test_a_signal_is_shifted_by_an_eighth_of_its_length_at_most_32() -> None:
    chosen = {"recipe_augmentation": "shift"}
    assert Recipe().chosen(chosen, (1, 3000)).shift == 32
    assert Recipe().chosen(chosen, (1, 80)).shift == 10
    assert Recipe().chosen({"recipe_augmentation": "none"}, (1, 80)).shift == 0
    assert Recipe().chosen(chosen, (3, 32, 16)).shift == 2


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
