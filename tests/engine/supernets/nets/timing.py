"""Tiny learners with made-up latencies: for tests of methods that weigh them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from engine import catalog
from engine.supernets.nets.learner import Setup
from engine.training.device import Setting
from tests.engine.supernets.nets.tiny import SAMPLES, tiny_space


def made_up(space: Any, seed: int = 0) -> dict[str, dict[str, float]]:
    """Milliseconds between 1 and 5, apart by at least half of one within a table; 2 ms are fixed."""
    rng = np.random.default_rng(seed)
    out = {t.name: dict(zip(map(str, t.options), 1 + rng.permutation(len(t.options)) * 4 / len(t.options), strict=True))
           for t in space.mixture().tables}  # fmt: skip
    return {name: {o: float(ms) for o, ms in row.items()} for name, row in out.items()} | {"": {"": 2.0}}


def timed_learner(method: str, *, measured: bool = True, **options: Any) -> Any:
    """A fresh learner of a method on the tiny space."""
    cls, space = catalog.get("strategy", method), tiny_space()
    values = cls.Options(**{"epochs": 3, "batch_size": 8, "warm_up": 0, **options})
    return cls.learner(
        Setup(
            space=space, options=values, device=torch.device("cpu"), setting=Setting(), seed=3, epochs=values.epochs,
            samples=SAMPLES, latency_ms=made_up(space) if measured else {},
        )
    )  # fmt: skip


def cheapest(learner: Any) -> dict[str, Any]:
    """Option of each table that takes least."""
    rows = {t.name: (t.options, learner.option_ms[t.name].tolist()) for t in learner.mixture.tables}
    return {name: min(zip(ms, options, strict=True))[1] for name, (options, ms) in rows.items()}
