"""What is raced on: every architecture of a table with its rewards and reports, and what one run of a seed sees of it.

A query is a row as written. A strategy sees the reward only; the report is what people would take away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.spaces.base import SearchSpace

Floats = NDArray[np.float64]

#: what a query is priced at where the table does not know: seconds for the mean network, others by multiply-adds
SECONDS = 60.0
#: keys of the generators that are drawn from for a seed, so that no two uses share one
_COLUMN, _TIES, _PERMUTED, _NOISE = 0xC01, 0x71E, 0x9E2, 0x5D


@dataclass(frozen=True)
class View:
    """What one run sees and is judged by, rows in the problem's order.

    Attributes:
        rewards: (n,) what a strategy is told.
        reports: (n,) what it is judged by.
        ties: (n,) distinct ranks drawn for the seed: of two equal rewards the one with the higher rank counts as best.
        optima: rows with the highest reward of those within the limits; where the problem adds noise of its own, those
            with the highest report, which is the reward without it.
    """

    rewards: Floats
    reports: Floats
    ties: NDArray[np.intp]
    optima: NDArray[np.intp]


@dataclass(frozen=True)
class Problem:
    """A table in memory.

    Attributes:
        name: for people.
        space: bound to the data.
        architectures: one a row.
        rewards: (n, columns) of which one is drawn per row and run.
        reports: (n, columns) of which the mean is taken, without the column that was drawn as the reward.
        reward_names, report_names: their columns.
        seconds: (n,) what a query costs.
        limits: on exact costs of the space, as a search has them.
        limit_text: for people; "" without one.
        digest: of the table's content (or of the formula).
        unit: what reward and report are measured in.
        scale: accuracies are told to strategies divided by this: 100 where the table holds percent.
        noise: standard deviation added to the reward, drawn once per row and run.
        permuted: rewards and reports change places over the architectures, anew in each run: a leak test.
        renamed: seed of new names for decisions and options, or None.
    """

    name: str
    space: SearchSpace
    architectures: Sequence[Architecture]
    rewards: Floats
    reports: Floats
    reward_names: tuple[str, ...]
    report_names: tuple[str, ...]
    seconds: Floats
    digest: str
    limits: Mapping[str, float] = field(default_factory=dict)
    limit_text: str = ""
    unit: str = "%"
    scale: float = 100.0
    noise: float = 0.0
    permuted: bool = False
    renamed: int | None = None

    def __len__(self) -> int:
        return len(self.architectures)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Row by the architecture as written."""
        return {a.key: i for i, a in enumerate(self.architectures)}

    @cached_property
    def costs(self) -> dict[str, Floats]:
        """Exact costs, (n,) each."""
        every = [self.space.costs(a).as_metrics() for a in self.architectures]
        return {name: np.array([c[name] for c in every], dtype=float) for name in every[0]}

    @cached_property
    def live_macs(self) -> Floats:
        """(n,) multiply-adds on a path from input to output."""
        return np.array([self.space.live_costs(a)[1] for a in self.architectures], dtype=float)

    @cached_property
    def feasible(self) -> NDArray[np.bool_]:
        """(n,) rows within the limits."""
        within = np.ones(len(self), dtype=bool)
        for name, limit in self.limits.items():
            within &= self.costs[name] <= limit
        return within

    @cached_property
    def classes(self) -> NDArray[np.intp]:
        """(n,) number of each row's class: rows of one `canonical_key` are one network."""
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(self.space.canonical_key(a), len(numbers)) for a in self.architectures])

    @cached_property
    def simplest(self) -> NDArray[np.bool_]:
        """(n,) the rows that stand for their class: the fewest multiply-adds, the first of equal ones."""
        order = np.lexsort((self.costs["n_macs"], self.classes))
        out = np.zeros(len(self), dtype=bool)
        out[order[np.flatnonzero(np.diff(self.classes[order], prepend=-1))]] = True
        return out

    @cached_property
    def _views(self) -> dict[int, View]:
        return {}

    def view(self, seed: int) -> View:
        """What the run of a seed sees; the same for every strategy and every repeat."""
        if seed not in self._views:
            if len(self._views) > 64:
                self._views.clear()
            self._views[seed] = self._seen(seed)
        return self._views[seed]

    def _seen(self, seed: int) -> View:
        n, columns = self.rewards.shape
        drawn = np.random.default_rng([seed, _COLUMN]).integers(columns, size=n)
        rewards = self.rewards[np.arange(n), drawn]
        # the report leaves out the column that was drawn
        weights = np.array([[r != q for r in self.report_names] for q in self.reward_names], dtype=float)[drawn]
        reports = (self.reports * weights).sum(axis=1) / weights.sum(axis=1)
        if self.noise:
            rewards = rewards + np.random.default_rng([seed, _NOISE]).normal(0, self.noise, n)
        if self.permuted:
            order = np.random.default_rng([seed, _PERMUTED]).permutation(n)
            rewards, reports = rewards[order], reports[order]
        ties = np.random.default_rng([seed, _TIES]).permutation(n)
        within = np.where(self.feasible, reports if self.noise else rewards, -np.inf)
        return View(rewards, reports, ties, np.flatnonzero(within == within.max()))

    def described(self) -> dict[str, object]:
        """What decides the outcome of a run besides the strategy, as JSON: for cache digests and result files."""
        return {
            "name": self.name, "space": self.space.name, "options": self.space.options.model_dump(mode="json"),
            "data": [list(self.space.input_shape), self.space.n_classes], "rows": len(self), "digest": self.digest,
            "reward": list(self.reward_names), "report": list(self.report_names), "limits": dict(self.limits),
            "scale": self.scale, "noise": self.noise, "permuted": self.permuted, "renamed": self.renamed,
        }  # fmt: skip

    def with_limits(self, limits: Mapping[str, float], text: str) -> Problem:
        """The same under limits on exact costs."""
        return replace(self, limits=dict(limits), limit_text=text)


def priced(macs: Floats, seconds: float = SECONDS) -> Floats:
    """Seconds of each query where nothing else is known: in proportion to multiply-adds, `seconds` on average."""
    out: Floats = seconds * macs / macs.mean()
    return out
