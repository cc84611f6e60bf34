"""Small spaces, made-up data and quick options, on which every weight-sharing method is tried.

`pins/<method>.json` holds {"options": {...}} where a method needs others than these to be quick.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import catalog
from engine.config import Recipe, SearchConfig
from engine.data.arrays import Arrays, Split
from engine.data.spec import DataSpec
from engine.errors import Interrupted
from engine.objectives import Objective
from engine.spaces.base import SearchSpace, make_space
from engine.supernets.nets.learner import Learner, Setup
from engine.supernets.nets.training import SupernetTrainer
from engine.training.device import Setting
from engine.training.loop import DeviceData
from tests.engine.spaces.specs import data_spec

METHODS = list(catalog.plugins("supernet"))
PINS = Path(__file__).parent / "pins"
CPU, SETTING = torch.device("cpu"), Setting()
TRAIN, VALIDATION = 27, 24

CELL = {"name": "nasbench201", "cells": 1, "channels": 4}
#: a cell, blocks of several kinds and a number of them, a recurrent cell, blocks of a phone's network
SPACES: dict[str, dict[str, Any]] = {
    "cell": CELL,
    "macro": {
        "name": "layers", "depth": [2, 3], "width": [6], "widen": [1], "pool_after": [1], "norm": ["batch"],
        "activation": ["relu"], "dense": [0], "dropout": [0.2], "operation": ["conv3", "sep3"],
    },
    "recurrent": {
        "name": "recurrent", "nodes": [2, 3], "width": [6], "layers": [1], "embedding": [6], "dropout": [0.1],
        "pool": ["mean"],
    },
    "mobile": {
        "name": "mobile", "stages": [{"width": [6], "depth": [1, 2]}], "kernel": [3, 5], "expansion": [2, 3],
        "se": [False], "stem_width": 4,
    },
    "darts": {
        "name": "darts", "channels": 4, "layers": 3, "steps": [2],
        "operations": ["none", "skip_connect", "max_pool_3x3", "sep_conv_3x3"],
    },
}  # fmt: skip


def spec_of(space: str) -> DataSpec:
    """The made-up data that a space is tried on: small images, or short texts."""
    spec = data_spec((6,), n_classes=3, vocabulary=12) if space == "recurrent" else data_spec((1, 8, 8), n_classes=3)
    return spec.model_copy(update={"sizes": {"train": TRAIN, "validation": VALIDATION, "test": VALIDATION}})


def options_of(method: str, **changes: Any) -> dict[str, Any]:
    """Quick options of a method."""
    pin = PINS / f"{method}.json"
    own = json.loads(pin.read_text())["options"] if pin.exists() else {}
    cls = catalog.get("strategy", method)
    searched = {"scores": 6} if cls.searches else {}
    return {"epochs": 2, "batch_size": 8, "calibration": 16, "runs": 1, **searched, **own, **changes}


def config_of(method: str, space: str = "cell", options: dict[str, Any] | None = None, **changes: Any) -> SearchConfig:
    """A small search with this method."""
    base: dict[str, Any] = {
        "name": "test", "space": SPACES[space], "strategy": {"name": method, **options_of(method, **(options or {}))},
        "training": {"precision": "float32", "batch_size": 16},
        "schedule": "full", "budget": {"trials": 4, "epochs": 1},
    }  # fmt: skip
    return SearchConfig.parse({**base, **changes})


@cache
def space_of(space: str) -> SearchSpace:
    """A space, bound to its data."""
    return make_space(SearchConfig.parse({"name": "test", "space": SPACES[space]}), spec_of(space))


def served(method: str) -> list[str]:
    """The spaces that a method serves."""
    one = (Objective(metric="accuracy"),)
    return [s for s in SPACES if catalog.get("strategy", method).supports(space_of(s), one) is None]


def pairs() -> list[tuple[str, str]]:
    """Every method on the first small space that it serves, and on one of the others in turn."""
    out: list[tuple[str, str]] = []
    for i, method in enumerate(METHODS):
        first, *others = [*served(method), None]
        chosen = [first, others[i % (len(others) - 1)] if len(others) > 1 else None]
        out += [(method, space) for space in chosen if space is not None]
    return out


PAIRS = pairs()


@cache
def arrays_of(space: str) -> Arrays:
    """Samples whose class can be seen: a level of grey, or a word that comes often."""
    spec, rng = spec_of(space), np.random.default_rng(3)

    def split(n: int) -> Split:
        y = rng.integers(0, spec.n_classes, n)
        if spec.kind == "text":
            x = rng.integers(1, spec.vocabulary, (n, *spec.input_shape))
            x[:, ::2] = 1 + y[:, None]
            return Split(x, y)
        x = rng.standard_normal((n, *spec.input_shape)) + 2 * y[:, None, None, None]
        return Split(x.astype(np.float32), y)

    return Arrays(spec, split(TRAIN), split(VALIDATION))


@cache
def data_of(space: str) -> DeviceData:
    """The same as the training has it."""
    return DeviceData.of(arrays_of(space), RECIPE, SETTING, CPU)


RECIPE = Recipe(shift=1, flip=True, cutout=0)


def setup_of(method: str, space: str, *, seed: int = 5, **options: Any) -> Setup:
    """What a method's learner is given; latencies where it wants them."""
    cls = catalog.get("strategy", method)
    values = options_of(method, **options)
    bound = space_of(space)
    latency = {}
    if cls.measures:
        tables = bound.mixture().tables
        latency = {t.name: {str(o): 0.1 * (1 + i) for i, o in enumerate(t.options)} for t in tables} | {"": {"": 1.0}}
    return Setup(
        space=bound, options=cls.Options(**values), device=CPU, setting=SETTING, seed=seed, epochs=values["epochs"],
        samples=TRAIN, label_smoothing=0.1, latency_ms=latency,
    )  # fmt: skip


def learner_of(method: str, space: str, *, seed: int = 5, **options: Any) -> Learner:
    """A fresh learner."""
    return catalog.get("strategy", method).learner(setup_of(method, space, seed=seed, **options))  # type: ignore[no-any-return]


def trainer_of(method: str, space: str, *, seed: int = 5, **options: Any) -> SupernetTrainer:
    """Trains a fresh learner on the made-up data."""
    learner = learner_of(method, space, seed=seed, **options)
    return SupernetTrainer(learner, data_of(space), RECIPE, {"method": method, "seed": seed})


def quiet(event: dict[str, Any]) -> None:
    """Hears nothing."""


def never() -> None:
    """Goes on."""


def everything(trainer: SupernetTrainer) -> tuple[dict[str, Tensor], dict[str, Any], list[dict[str, Any]]]:
    """All that training led to: tensors (copies), what stands beside them, rows without what the clock decides."""
    tensors = {name: t.detach().clone() for name, t in trainer.learner.tensors().items()}
    rows = [{k: v for k, v in row.items() if k not in ("samples_per_s", "duration_s")} for row in trainer.progress.rows]
    return tensors, json.loads(json.dumps(trainer.learner.about(), allow_nan=False)), rows


def assert_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """Both agree bit for bit."""
    assert list(one[0]) == list(other[0])
    for name, t in one[0].items():
        assert torch.equal(t, other[0][name]), name
    assert one[1:] == other[1:]


def interrupted(fresh: Callable[[], SupernetTrainer], path: Path) -> tuple[SupernetTrainer, int]:
    """Trained to the end, each step in a process of its own; and how often it was interrupted."""
    trainer, turns = fresh(), 0
    while True:
        calls = 0

        def stop() -> str | None:
            nonlocal calls
            calls += 1
            return "drain" if calls > 1 else None

        try:
            trainer.run(quiet, stop, path)
        except Interrupted:
            turns += 1
            torch.manual_seed(turns)  # of another process
            trainer = fresh()
            trainer.restore(path)
        else:
            return trainer, turns
