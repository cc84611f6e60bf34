"""What a search would cost here: a few real steps of a few of its networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from engine.config import Recipe
from engine.training.device import Setting, repeatable
from engine.training.loop import DeviceData, Trainer
from engine.training.memory import PeakMemory

#: steps are timed for at least so long, and so many
SECONDS, STEPS, WARM_UP = 0.5, 5, 2


def measure(
    make: Callable[[], nn.Module],
    data: Callable[[], DeviceData],
    recipe: Recipe,
    setting: Setting,
    device: torch.device,
    should_stop: Callable[[], str | None],
) -> dict[str, Any]:
    """Runs a few training steps and one validation.

    Returns:
        `{"n_params", "memory_bytes", "step_s", "epoch_s", "samples_per_s"}`; memory is the process's peak (the
        device's on a GPU); an epoch includes its validation.
    """
    with repeatable(device, setting.threads):
        memory = PeakMemory(device)
        torch.manual_seed(0)
        trainer = Trainer(make(), data(), recipe=recipe, setting=setting, device=device, epochs=1, seed=0)
        for turn in range(WARM_UP):
            trainer.warm_step(turn)
        begun, steps = time.perf_counter(), 0
        while (steps < STEPS or time.perf_counter() - begun < SECONDS) and should_stop() is None:
            trainer.warm_step(WARM_UP + steps)
            steps += 1
            if steps >= STEPS and device.type == "cuda":
                torch.cuda.synchronize(device)
        step_s = (time.perf_counter() - begun) / max(1, steps)
        begun = time.perf_counter()
        trainer.evaluate()
        evaluation_s = time.perf_counter() - begun
        epoch_s = step_s * len(trainer.bounds) + evaluation_s
        return {
            "n_params": sum(p.numel() for p in trainer.module.parameters()),
            "memory_bytes": memory.peak(),
            "step_s": step_s,
            "epoch_s": epoch_s,
            "samples_per_s": len(trainer.data.train_y) / (step_s * len(trainer.bounds)),
        }
