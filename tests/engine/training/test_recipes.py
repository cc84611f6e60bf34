"""Recipes: the second optimizer, and the recipes that architectures decide."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.errors import Interrupted
from engine.training.flat import FlatParameters
from engine.training.optim import Optimizer
from tests.engine.training.networks import Small, network, never, session, work


# -- SGD ------------------------------------------------------------------------------------------
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
