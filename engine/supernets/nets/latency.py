"""What each option of a mixture takes on this device: medians over repeats, after a warm-up."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import Interrupted
from engine.evaluation.base import ShouldStop
from engine.network.plan import Node
from engine.spaces.base import SearchSpace
from engine.supernets.mixture import Slot
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.network import MixtureNetwork, _run
from engine.training.device import Setting
from engine.training.inference import autocast

WARM_UP, REPEATS = 3, 15


@torch.no_grad()
def measure(
    space: SearchSpace, device: torch.device, setting: Setting, should_stop: ShouldStop, batch: int = 1
) -> list[dict[str, Any]]:
    """Milliseconds of every option of every table, summed over the slots that share it.

    Returns:
        {"table", "option", "ms", "spread_ms"} an option: medians and the distance of the quartiles; the table "" is all
        that stands outside of slots.
    """
    bank = Bank(seed=0, device=device, layout=setting.memory_format)
    mixture = space.mixture()
    network = MixtureNetwork(mixture, bank)
    bank.eval()
    shapes = {"input": mixture.input_shape} | {p.id: p.shape for p in mixture.parts}
    sums: dict[tuple[str, str], list[float]] = {}

    def add(key: tuple[str, str], run: Callable[[], Any]) -> None:
        if reason := should_stop():
            raise Interrupted(reason)
        median, spread = timed(run, device)
        total = sums.setdefault(key, [0.0, 0.0])
        total[0] += median
        total[1] += spread

    def blank(shape: Sequence[int]) -> Tensor:
        out = torch.zeros(batch, *shape, device=device, dtype=torch.float32)
        return out.contiguous(memory_format=setting.memory_format) if out.ndim == 4 else out

    with autocast(device, setting):
        for part in mixture.parts:
            if isinstance(part, Slot):
                x = blank(shapes[part.input])
                for option, (steps, end) in network._chains[part.id].items():
                    add((part.table, str(option)), lambda s=steps, e=end, x=x: _run(s, e, x))  # type: ignore[misc]
            elif isinstance(part, Node):
                inputs = [blank(shapes[i]) for i in part.inputs]
                block = network._blocks[part.id]
                add(("", ""), lambda b=block, i=inputs: b(*i))  # type: ignore[misc]
    return [
        {"table": table, "option": option, "ms": ms, "spread_ms": spread}
        for (table, option), (ms, spread) in sums.items()
    ]


def timed(run: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """(median, distance of the quartiles) in milliseconds."""
    took = []
    for i in range(WARM_UP + REPEATS):
        began = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if i >= WARM_UP:
            took.append(1000 * (time.perf_counter() - began))
    low, median, high = np.percentile(took, [25, 50, 75])
    return float(median), float(high - low)
