"""Problems without a table: small spaces listed whole, with accuracies from formulas whose optimum is known exactly.

Every network of the space (one canonical key) has one accuracy, computed from the features of its simplest writing:

    z = a U + b V + c S,    accuracy = 95 - 1.5 log(1 + exp(1.5 - 1.2 z))   (percent)

U is a sum of one hashed effect per active decision and option (a concave parabola with a hashed peak where options are
a scale), V one of hashed effects per pair of active decisions, S the logarithm of the live multiply-adds; each is
standardized over the networks, and so is z. Where a problem is sizeless, what a parabola in S explains of z is taken
out first. The reward is the accuracy plus the problem's noise, drawn once per row and run; the report is the accuracy.
No data stand behind any of this: it is for seeing how strategies work, and for asking whether what holds on one table
holds where accuracies have another character.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Any

import numpy as np

from engine.arena.problem import Floats, Problem, priced
from engine.arena.renamed import Renamed
from engine.arena.tables import bound_space, data_of, limit_of
from engine.errors import DataError
from engine.spaces.base import SearchSpace


@dataclass(frozen=True)
class Landscape:
    """One synthetic problem.

    Attributes:
        title, summary: for people.
        space: "cell" (NAS-Bench-201's cell, one a stage) or "blocks" (two stages of mobile blocks).
        single, pairs, size: the weights a, b, c.
        sizeless: nothing of it can be read off the size.
        noise: standard deviation of the reward, in points.
    """

    title: str
    summary: str
    space: str
    single: float = 1.0
    pairs: float = 0.0
    size: float = 0.0
    sizeless: bool = False
    noise: float = 0.0


LANDSCAPES: dict[str, Landscape] = {
    "cell-additive": Landscape("Cell, additive", "Each operation of a cell helps or hurts by itself.", "cell"),
    "cell-size": Landscape(
        "Cell, larger is better", "Size explains most of it, operations and their pairs the rest.", "cell",
        0.5, 0.5, 1.2,
    ),
    "cell-pairs": Landscape(
        "Cell, interactions", "What an operation is worth depends on all the others.", "cell", 0.5, 1.2, 0.3
    ),
    "cell-sizeless": Landscape(
        "Cell, size says nothing", "Operations and their pairs, with all that size explains taken out.", "cell",
        1.0, 0.7, sizeless=True,
    ),
    "cell-noisy": Landscape(
        "Cell, noisy", "Size, operations and pairs, seen through noise of one point.", "cell", 0.8, 0.6, 0.6, noise=1.0
    ),
    "blocks-additive": Landscape(
        "Blocks, additive", "Each part of a block helps or hurts by itself; decisions come and go.", "blocks",
        1.0, 0.0, 0.3,
    ),
    "blocks-pairs": Landscape(
        "Blocks, interactions", "What a block is worth depends on the others.", "blocks", 0.6, 1.0, 0.4
    ),
    "blocks-sizeless": Landscape(
        "Blocks, noisy, size says nothing", "Interactions without size, seen through noise of half a point.", "blocks",
        0.8, 0.8, sizeless=True, noise=0.5,
    ),
}  # fmt: skip

_SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    "cell": ("nasbench201", {"channels": 8, "cells": 1}),
    "blocks": (
        "mobile",
        {
            "stages": [{"width": [16], "depth": [1, 2]}, {"width": [24], "depth": [1, 2], "stride": 2}],
            "kernel": [3, 5], "expansion": [2.0, 4.0], "se": [False, True], "activation": ["relu"], "head_conv": 96,
        },
    ),
}  # fmt: skip


@lru_cache(maxsize=8)
def space_of_problem(name: str) -> SearchSpace:
    """The space of a synthetic problem, without listing it.

    Raises:
        DataError: no such problem.
    """
    if name not in LANDSCAPES:
        raise DataError(f"no synthetic problem is called {name[:60]!r}; there are {', '.join(LANDSCAPES)}")
    return bound_space(*_SPACES[LANDSCAPES[name].space], data_of([]))


@lru_cache(maxsize=2)
def _listed(space: str) -> Problem:
    """All architectures of a space, with accuracies still to come."""
    bound = bound_space(*_SPACES[space], data_of([]))
    every = list(bound.enumerate())
    macs = np.array([bound.costs(a).n_macs for a in every], dtype=float)
    nothing = np.zeros((len(every), 1))
    return Problem("", bound, every, nothing, nothing, ("accuracy",), ("true accuracy",), priced(macs), "")


@lru_cache(maxsize=8)
def problem(name: str, limit: str = "", permuted: bool = False, renamed: int | None = None) -> Problem:
    """A synthetic problem by its name.

    Args:
        name: one of `LANDSCAPES`.
        limit: "n_macs<=NUMBER", "n_params<=p50" and the like; "" = none.
        permuted, renamed: see `Problem`.

    Raises:
        DataError: no such problem, or a limit that is none.
    """
    space_of_problem(name)  # refuses unknown names
    scape, listed = LANDSCAPES[name], _listed(LANDSCAPES[name].space)
    values = accuracies(listed, name, scape)[:, None]
    space: SearchSpace = listed.space
    architectures = listed.architectures
    if renamed is not None:
        space = other = Renamed.of(space, renamed)
        architectures = [other.forward(a) for a in architectures]
    made = Problem(
        name=name, space=space, architectures=architectures, rewards=values, reports=values,
        reward_names=listed.reward_names, report_names=listed.report_names, seconds=listed.seconds,
        digest=hashlib.sha256(np.round(values, 9).tobytes()).hexdigest(), noise=scape.noise, permuted=permuted,
        renamed=renamed,
    )  # fmt: skip
    return made.with_limits(*limit_of(made, None, limit)) if limit else made


def accuracies(listed: Problem, name: str, scape: Landscape) -> Floats:
    """The formula of the module, in percent, shape (rows,)."""
    chosen = np.flatnonzero(listed.simplest)
    macs = listed.live_macs[chosen]
    u, v = np.empty(chosen.size), np.empty(chosen.size)
    s = np.log10(np.maximum(macs, macs[macs > 0].min()))  # where nothing is live: the smallest
    decisions = {d.name: d for d in listed.space.all_decisions()}
    for i, row in enumerate(map(int, chosen)):
        arch = listed.architectures[row]
        live = [(n, arch[n], decisions[n]) for n in decisions if n in arch.choices and n in listed.space.features(arch)]
        u[i] = sum(_single(name, n, o, d.options if d.ordered else ()) for n, o, d in live)
        v[i] = sum(_hashed(name, "v", a[0], a[1], b[0], b[1]) for a, b in combinations(live, 2))
    z = scape.single * _standard(u) + scape.pairs * _standard(v) + scape.size * _standard(s)
    if scape.sizeless:
        terms = np.stack([np.ones_like(s), _standard(s), _standard(s) ** 2], axis=1)
        z = z - terms @ np.linalg.lstsq(terms, z, rcond=None)[0]
    value = 95 - 1.5 * np.log1p(np.exp(1.5 - 1.2 * _standard(z)))
    by_class = np.empty(listed.classes.max() + 1)
    by_class[listed.classes[chosen]] = value
    out: Floats = by_class[listed.classes]
    return out


def _standard(x: Floats) -> Floats:
    """Mean 0, standard deviation 1."""
    spread = float(x.std())
    return (x - x.mean()) / spread if spread else x * 0


def _single(seed: str, name: str, option: Any, scale: Sequence[Any]) -> float:
    if len(scale) < 3:
        return _hashed(seed, "u", name, option)
    x = scale.index(option) / (len(scale) - 1)
    peak = 0.5 + 0.5 * _hashed(seed, "peak", name)
    return 1 - 2 * (x - peak) ** 2 / max(peak, 1 - peak) ** 2


@lru_cache(maxsize=1 << 16, typed=True)
def _hashed(*parts: object) -> float:
    """In [-1, 1], the same on every machine."""
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big") / 2**55 - 1
