"""What a step of each weight-sharing method holds for its backward pass, beside that of one path and of all.

    python -m benchmarks supernet_memory                                                    # a quarter of a minute

Peak bytes of the tensors that autograd saves during a step (`torch.autograd.graph.saved_tensors_hooks`), each storage
once, weights themselves not counted: they are there anyway. One small NAS-Bench-201 mixture on made-up images; the
largest of a few steps of the weights, and of the architecture parameters or controller where a method has steps of
theirs. "One path" is the most that the forward pass of any single network of these steps' space holds, "all" the
forward pass of all options side by side.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine import catalog
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.objectives import Objective
from engine.spaces.base import SearchSpace, make_space
from engine.supernets.nets.learner import At, Batch, Learner, Setup
from engine.supernets.nets.mixed import MixedLearner
from engine.training.device import Setting

SPACE = {"name": "nasbench201", "cells": 1, "channels": 8}
SIZE, STEPS, SAMPLES = 16, 4, 128


class Saved:
    """Counts what is saved for backward passes, as long as anything holds it."""

    def __init__(self) -> None:
        self.now = self.peak = 0
        self._held: dict[int, int] = {}

    @contextmanager
    def watching(self) -> Iterator[Saved]:
        """Everything saved within, but for weights."""
        with torch.autograd.graph.saved_tensors_hooks(lambda t: _Kept(self, t), lambda kept: kept.tensor):
            yield self

    def take(self, place: int, n_bytes: int) -> None:
        """One more holder of a storage."""
        self._held[place] = self._held.get(place, 0) + 1
        if self._held[place] == 1:
            self.now += n_bytes
            self.peak = max(self.peak, self.now)

    def give(self, place: int, n_bytes: int) -> None:
        """One holder less."""
        self._held[place] -= 1
        if not self._held[place]:
            self.now -= n_bytes
            del self._held[place]


class _Kept:
    """A saved tensor; its storage counts until the graph lets go of it."""

    def __init__(self, saved: Saved, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self.tensor, self.saved = tensor, saved
        self.place, self.size = storage.data_ptr(), storage.nbytes()
        self.counted = not (tensor.is_leaf and tensor.requires_grad)
        if self.counted:
            saved.take(self.place, self.size)

    def __del__(self) -> None:
        if getattr(self, "counted", False):
            self.saved.give(self.place, self.size)


def peak(run: Callable[[], Any]) -> int:
    """Most bytes saved at a time while something runs."""
    saved = Saved()
    with saved.watching():
        run()
    return saved.peak


def space_of() -> SearchSpace:
    """The space, for made-up images of three channels."""
    spec = DataSpec(
        name="made up", kind="image", input_shape=(3, SIZE, SIZE), n_classes=10, class_names=tuple("0123456789"),
        sizes={"train": SAMPLES, "validation": SAMPLES, "test": 0}, digest="0" * 64, split_digest="0" * 64,
        mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    return make_space(SearchConfig.parse({"name": "memory", "space": SPACE}), spec)


def learner_of(method: str, space: SearchSpace, batch: int) -> Learner:
    """A fresh learner with its own options; latencies are made up where it wants them."""
    cls = catalog.get("strategy", method)
    latency: dict[str, Any] = {}
    if cls.measures:
        latency = {t.name: {str(o): 0.1 for o in t.options} for t in space.mixture().tables} | {"": {"": 1.0}}
    setup = Setup(
        space=space, options=cls.Options(batch_size=batch), device=torch.device("cpu"), setting=Setting(), seed=0,
        epochs=4, samples=SAMPLES, latency_ms=latency,
    )  # fmt: skip
    return cls.learner(setup)  # type: ignore[no-any-return]


def batch_of(n: int) -> Batch:
    """Noise."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, SIZE, SIZE, generator=generator), torch.randint(10, (n,), generator=generator)


def measured(method: str, space: SearchSpace, n: int = 32) -> dict[str, Any]:
    """{"method", "bytes", "path_bytes", "all_bytes" (of methods with mixtures), "paths", "of_all"}."""
    learner, batch = learner_of(method, space, n), batch_of(n)
    learner.begin_epoch(0)
    learner.bank.train()
    held = batch if learner.halves else None
    most = 0
    for step in range(STEPS):
        # a late epoch, so that no architecture parameter is frozen any more
        at = At(min(step, 3), step, 0.01)
        most = max(most, peak(lambda at=at: learner.step(at, batch, held)))  # type: ignore[misc]
        if learner.held_steps:
            most = max(most, peak(lambda at=at: learner.held_step(at, batch)))  # type: ignore[misc]
    row: dict[str, Any] = {"method": method, "bytes": most, "path_bytes": path(learner, batch)}
    row["paths"] = round(most / row["path_bytes"], 2)
    if isinstance(learner, MixedLearner):
        row["all_bytes"] = everything(learner, batch)
        row["of_all"] = round(most / row["all_bytes"], 2)
    return row


def path(learner: Learner, batch: Batch) -> int:
    """The most that one path holds: each operation everywhere, where the mixture still has it."""
    options = learner.space.all_decisions()[0].options
    mixture = learner.mixture if isinstance(learner, MixedLearner) else learner.space.mixture()
    most = 0
    for option in options:
        chosen = {t.name: option if option in t.options else t.options[0] for t in mixture.tables}
        a = learner.space.validate(chosen)
        most = max(most, peak(lambda a=a: learner.loss(learner.run(a, batch[0]), batch[1])))  # type: ignore[misc]
    return most


def everything(learner: MixedLearner, batch: Batch) -> int:
    """What all options side by side hold, weighted as DARTS does."""
    weights = {t.name: torch.full((len(t.options),), 0.2, requires_grad=True) for t in learner.mixture.tables}
    gates = {name: (range(len(w)), w) for name, w in weights.items()}
    return peak(lambda: learner.loss(learner.forward(batch[0], gates), batch[1]))


def methods(space: SearchSpace) -> list[str]:
    """Those that serve the space."""
    one = (Objective(metric="accuracy"),)
    return [name for name, cls in catalog.plugins("supernet").items() if cls.supports(space, one) is None]


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Measures all of them and prints the table."""
    parser = argparse.ArgumentParser(prog="benchmarks supernet_memory", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--methods", default="", help="names separated by commas; all by default")
    parser.add_argument("--batch", type=int, default=32)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    space = space_of()
    rows = [measured(m, space, args.batch) for m in (args.methods.split(",") if args.methods else methods(space))]
    for row in rows:
        print(json.dumps(row))
    print(f"{'method':18} {'kB':>8} {'paths':>6} {'of all':>7}")
    for row in sorted(rows, key=lambda r: int(r["bytes"])):
        print(f"{row['method']:18} {row['bytes'] / 1024:8,.0f} {row['paths']:6.2f} {row.get('of_all', ''):>7}")
    return rows
