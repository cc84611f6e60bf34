"""Which precision and layout are fastest here: five steps of each, chosen once per search and device model."""

from __future__ import annotations

import fcntl
import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import torch
from torch import nn

from engine.config import Recipe
from engine.data.arrays import Arrays, Split
from engine.training.device import Layout, Precision, Setting, device_model, repeatable
from engine.training.loop import DeviceData, Trainer

STEPS, WARM_UP = 5, 2
#: a setting must be this much faster than a simpler one: a close race would be decided by the noise
MARGIN = 1.08


@dataclass(frozen=True)
class Probe:
    """What a probe measured and chose.

    Attributes:
        setting: the choice.
        step_s: seconds per step of every candidate, "float32 contiguous" first.
    """

    setting: Setting
    step_s: dict[str, float]

    @property
    def message(self) -> str:
        """One line for the log."""
        first = next(iter(self.step_s.values()))
        times = ", ".join(f"{name} {1000 * s:.2f} ms" for name, s in self.step_s.items())
        chosen = self.step_s[_name(self.setting)]
        return f"{_name(self.setting)} chosen ({first / chosen:.2f}x): {times} a step"


def candidates(recipe: Recipe, shape: tuple[int, ...]) -> list[Setting]:
    """The settings worth a try, the simplest first."""
    precisions = get_args(Precision) if recipe.precision == "auto" else (recipe.precision,)
    layouts = get_args(Layout) if len(shape) == 3 else ("contiguous",)
    return [Setting(precision=p, layout=la, threads=recipe.threads) for p, la in itertools.product(precisions, layouts)]


def probe(
    make: Callable[[], nn.Module], arrays: Arrays, recipe: Recipe, device: torch.device, steps: int = STEPS
) -> Probe:
    """Times a few training steps of one network under every candidate setting, taking turns.

    Each is judged by its fastest step: what else runs on the machine only ever adds time.

    Args:
        make: a new instance of the network, on the CPU.
        arrays: the data; one batch of it is used.
        recipe: batch size, precision ("auto" or fixed), threads.
        device: where.
        steps: timed steps per candidate.
    """
    options = candidates(recipe, arrays.spec.input_shape)
    n = max(2, min(len(arrays.train), recipe.batch_size))
    part = Split(arrays.train.x[:n], arrays.train.y[:n])
    little = Arrays(arrays.spec, part, Split(arrays.validation.x[:1], arrays.validation.y[:1]))
    # one thread on a CPU: its own time does not count what other processes take from it
    clock = time.thread_time if device.type == "cpu" and recipe.threads == 1 else time.perf_counter
    best = [float("inf")] * len(options)
    with repeatable(device, recipe.threads):
        trainers = []
        for setting in options:
            data = DeviceData.of(little, recipe, setting, device)
            trainers.append(Trainer(make(), data, recipe=recipe, setting=setting, device=device, epochs=1, seed=0))
        for turn in range(WARM_UP + steps):
            for i, trainer in enumerate(trainers):
                _wait(device)
                begun = clock()
                trainer.warm_step(turn)
                _wait(device)
                if turn >= WARM_UP:
                    best[i] = min(best[i], clock() - begun)
    chosen = 0
    for i in range(1, len(options)):
        if best[i] * MARGIN < best[chosen]:
            chosen = i
    return Probe(options[chosen], {_name(s): t for s, t in zip(options, best, strict=True)})


def settle(folder: Path, device: torch.device, choose: Callable[[], Probe]) -> tuple[Setting, Probe | None]:
    """The setting of a device model that all trials of a search share, kept as one small file in `folder`.

    The first one to come probes while others wait for its answer.

    Returns:
        The setting, and the probe if this call made it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    safe = "".join(c if c.isalnum() else "-" for c in device_model(device))
    with (folder / f"setting-{safe}.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read()
        if text:
            return Setting.model_validate_json(text), None
        made = choose()
        file.write(json.dumps(made.setting.model_dump()))
        return made.setting, made


def _name(setting: Setting) -> str:
    return f"{setting.precision} {setting.layout}"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def fixed(value: object) -> Setting | None:
    """The setting a piece of work carries (`work.extra["setting"]`), or None."""
    return None if value is None else Setting.model_validate(value)
