"""Every weight-sharing method on a GPU: it learns there, and an interrupted training goes on to the same bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import catalog
from engine.supernets.nets.scoring import Judge
from engine.supernets.nets.training import SupernetTrainer
from engine.training.device import repeatable
from engine.training.loop import DeviceData
from tests.engine.supernets.small import (
    PAIRS,
    RECIPE,
    SETTING,
    arrays_of,
    assert_same,
    everything,
    interrupted,
    never,
    quiet,
    setup_of,
)

GPU = torch.device("cuda", 0)
pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]


def trainer_on_gpu(method: str, space: str) -> Callable[[], SupernetTrainer]:
    """Makes fresh trainers of a method."""
    data = DeviceData.of(arrays_of(space), RECIPE, SETTING, GPU)

    def fresh() -> SupernetTrainer:
        setup = replace(setup_of(method, space), device=GPU)
        return SupernetTrainer(catalog.get("strategy", method).learner(setup), data, RECIPE, {"method": method})

    return fresh


@pytest.mark.parametrize(("method", "space"), PAIRS)
def test_interrupted_at_every_step_equals_uninterrupted(method: str, space: str, tmp_path: Path) -> None:
    """On the GPU as on the CPU: weights, parameters, optimizers and rows agree bit for bit; subnets can be scored."""
    with repeatable(GPU, 1):
        fresh = trainer_on_gpu(method, space)
        whole = fresh()
        whole.run(quiet, never)
        other, turns = interrupted(fresh, tmp_path / "s.safetensors")
        assert turns > 1
        assert_same(everything(other), everything(whole))
        learner = whole.learner
        assert all(p.is_cuda for p in learner.bank.parameters())
        path = (learner.derived() or learner.paths(1, np.random.default_rng(0)))[0]
        judge = Judge(learner, whole.data, 16)
        first, second = judge.score(path), judge.score(path)
        assert np.array_equal(first.correct, second.correct) and first.loss == second.loss
