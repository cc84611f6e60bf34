"""A small mixture for tests of single methods: NAS-Bench-201's cell, once a stage, on images of 8x8."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine import catalog
from engine.spaces.base import SearchSpace, space_of
from engine.spaces.nasbench201 import Nasbench201
from engine.supernets.nets.learner import At, Setup
from engine.training.device import Setting
from tests.engine.spaces.specs import data_spec

SAMPLES = 32


def tiny_space(**options: Any) -> SearchSpace:
    """The space, bound."""
    values = {"channels": 4, "cells": 1, **options}
    return space_of(Nasbench201, Nasbench201.Options(**values), data_spec((1, 8, 8), n_classes=3))


def tiny_learner(
    method: str, *, space: dict[str, Any] | None = None, bound: SearchSpace | None = None, seed: int = 3, **options: Any
) -> Any:
    """A fresh learner of a method, on the tiny space with these options or on another one."""
    cls = catalog.get("strategy", method)
    values = cls.Options(**{"epochs": 3, "batch_size": 8, **options})
    return cls.learner(
        Setup(
            space=bound or tiny_space(**space or {}), options=values, device=torch.device("cpu"), setting=Setting(),
            seed=seed, epochs=values.epochs, samples=SAMPLES,
        )
    )  # fmt: skip


def batch(n: int = 8, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Made-up samples and classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 1, 8, 8, generator=generator)
    return x, torch.randint(3, (n,), generator=generator)


def at(step: int = 0, epoch: int = 0, turn: int = 0) -> At:
    """A step."""
    return At(epoch, step, 0.025, turn)
