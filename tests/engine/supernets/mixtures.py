"""A tiny mixture in float64 with made-up data, for tests that compare gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine import catalog
from engine.data.spec import DataSpec
from engine.spaces.base import SearchSpace
from engine.spaces.nasbench201 import Nasbench201
from engine.supernets.nets.learner import At, Batch, Setup
from engine.supernets.nets.mixed import MixedLearner
from engine.training.device import Setting


def tiny_space(**options: Any) -> SearchSpace:
    """A cell a stage, two channels, four operations."""
    small = ["none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3"]
    data = DataSpec(
        name="d", input_shape=(1, 6, 6), n_classes=3, class_names=("a", "b", "c"),
        sizes={"train": 32, "validation": 8, "test": 8}, digest="", split_digest="", mean=(0.0,), std=(1.0,),
    )  # fmt: skip
    return Nasbench201(Nasbench201.Options(**{"cells": 1, "channels": 2, "operations": small, **options})).bind(data)


def tiny_learner(
    method: str = "darts", space: SearchSpace | None = None, seed: int = 1, **options: Any
) -> MixedLearner:
    """Its learner; alphas are large enough to differ."""
    cls = catalog.get("supernet", method)
    options = {"epochs": 4, "batch_size": 8, **options}
    learner: MixedLearner = cls.learner(
        Setup(
            space=space or tiny_space(), options=cls.Options(**options), device=torch.device("cpu"),
            setting=Setting(), seed=seed, epochs=options["epochs"], samples=32,
        )
    )  # fmt: skip
    with torch.no_grad():
        for a in learner.alphas.values():
            a.mul_(300)
    return learner


def batch(seed: int, n: int = 8) -> Batch:
    """Samples and classes."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 6, 6, generator=generator), torch.randint(3, (n,), generator=generator)


AT = At(epoch=0, step=3, rate=0.1)


@contextmanager
def in_float64() -> Iterator[None]:
    """Everything made inside is float64."""
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def flat(tensors: Any) -> Tensor:
    """(n,) of all values."""
    return torch.cat([t.detach().reshape(-1) for t in tensors])


def walk(learner: MixedLearner, steps: int, *, rate: float = 0.1, watch: Callable[[], None] | None = None) -> None:
    """Steps on made-up batches."""
    for step in range(steps):
        learner.step(At(0, step, rate), batch(2 * step), batch(2 * step + 1))
        if watch is not None:
            watch()
