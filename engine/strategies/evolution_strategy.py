"""Evolution strategies on relaxed decisions: CMA-ES (Hansen and Ostermeier 2001), separable, or natural (SNES)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.strategies._distributions import make
from engine.strategies._population import best_first
from engine.strategies._relaxed import Slots, Vector
from engine.strategies._views import MOST_ROWS, heat, lines, view
from engine.strategies.base import TRIES, Arrays, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.spaces.base import Decision

#: numbers up to which all covariances are learned when the option is left empty
FULL = 100
#: generations in a row without a new network after which the search starts anew
STALE = 4
#: times that the samples of a generation are doubled at most
DOUBLINGS = 3
#: generations kept for the picture
SHOWN = 12
#: samples without a value that are remembered beyond a generation's
LATE = 200
#: draws behind each probability of the picture
DRAWS = 400

_ONE = NormalDist()
#: (generation, sample)
At = tuple[int, int]


class Options(BaseModel):
    """Which distribution, how many samples, and how wide it begins."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    update: Literal["cma", "separable", "natural"] | None = Field(
        None,
        description="Learn all covariances, variances alone, or by natural gradient; empty = all up to 100 numbers.",
    )
    samples: int | None = Field(
        None, ge=4, le=1_000, description="Networks of a generation; empty = 4 + 3 ln(numbers), as published."
    )
    spread: float = Field(1.0, gt=0, le=10, description="Standard deviation of each number at the start.")


@dataclass(frozen=True)
class Snapshot:
    """A distribution at the beginning of a generation, for the picture."""

    generation: int
    mean: Vector
    deviations: Vector
    scale: float


class EvolutionStrategy(Strategy):
    """A normal distribution over one number per (decision, option) is moved towards its better samples.

    A sample x ~ N(m, s^2 C) is read decision by decision: the offered option with the largest of its numbers; an
    ordered decision of k > 2 options has a single number z, read as option floor(k Phi(z / sigma_0)). When lambda
    samples have a value, m, s and C are moved by their ranks: by CMA-ES (library `cma`), with all of C or its diagonal
    (Ros and Hansen 2008), or by SNES, a separable natural evolution strategy (Schaul et al. 2011).

    Symbols: lambda = `samples`, sigma_0 = `spread`, m_0 = 0, so that at first every option is equally likely.

    Deviations: only samples that are new networks are proposed. One whose network is known has its value at no cost;
    one over the limits ranks behind all within, by how much it is over; what failed or cannot be built is last; one
    that falls on a network under way is passed over. Nobody waits for a generation: more samples of the same
    distribution are drawn, and a result that comes after its generation was closed counts in the next. Ranks are by
    `best_first`, so several objectives are served by non-domination, then crowding. After four generations without
    a new network the distribution starts anew with twice the samples (IPOP, Auger and Hansen 2005). What others propose
    counts once a sample falls on it. `cma` draws nothing by itself: a sample follows from (seed, restart, generation,
    number), so that a snapshot holds ranks only and a restarted process takes the distribution through them again.
    """

    name = "evolution_strategy"
    summary = "CMA-ES: a normal distribution over options moves towards better networks"
    reference = "Hansen and Ostermeier 2001, Completely Derandomized Self-Adaptation in Evolution Strategies"
    group = "evolution"
    guide = (
        "Spaces with many ordered decisions such as depths and widths, and hundreds of trials. "
        "With few trials, or options without an order, take evolution by age or a model-based strategy."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.slots = Slots(context.space, scales=True)
        self._reopen: list[At] = []  # samples whose numbers follow with the arrays
        self._begin(0)

    def _begin(self, restarts: int) -> None:
        """A new distribution; what was learned is forgotten."""
        n, self.restarts = self.slots.n, restarts
        self.samples = samples_of(self.options, n) * 2 ** min(restarts, DOUBLINGS)
        update = self.options.update or ("cma" if n <= FULL else "separable")
        self.distribution = make(update, n, self.options.spread, self.samples)
        self.generation = self.drawn = self.stale = 0
        self.new = False  # whether this generation gave a new network
        self.open: dict[At, tuple[Vector, Architecture]] = {}  # samples that no generation has used yet
        self.closed: list[tuple[list[At], list[float]]] = []  # by generation: samples used, and their ranks
        self.trace = [Snapshot(0, self.distribution.mean, self.distribution.deviations, self.distribution.scale)]

    # -- proposing -------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next sample that is new; generations that hold nothing new pass at no cost."""
        self._close()
        for _ in range(TRIES):
            at = (self.generation, self.drawn)
            x = self._sample(self.drawn)
            architecture = self.read(x)
            self.drawn += 1
            if self.fresh(architecture):
                self.open[at] = (x, architecture)
                self.new = True
                why = f"generation {at[0] + 1}, sample {at[1] + 1}, step size {self.distribution.scale:.2g}"
                again = f" (restart {self.restarts})" if self.restarts else ""
                return Proposal(architecture, why=why + again, by=self.name)
            if self._value(architecture) is not None:
                self.open[at] = (x, architecture)
                self._close()
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: the distribution gives nothing new", by="random")

    def _sample(self, k: int) -> Vector:
        return self.distribution.sample(
            np.random.default_rng([self.context.seed, 2, self.restarts, self.generation, k])
        )

    def read(self, x: Vector) -> Architecture:
        """The architecture that a sample (n,) stands for."""

        def choose(d: Decision) -> int:
            numbers = self.slots.numbers(x, d)
            if not self.slots.is_scale(d):
                return int(np.argmax(numbers))
            k = len(d.options)
            return min(int(k * _ONE.cdf(float(numbers[0]) / self.options.spread)), k - 1)

        return self.slots.read(choose)

    # -- generations -----------------------------------------------------------------------------
    def _value(self, architecture: Architecture) -> tuple[int, float] | None:
        """(0, trial) of a known network, (1, share over the limits), (2, 0) of what came to nothing; None = not yet."""
        entries = [self.context.history[n] for n in self.context.trials_of(architecture)]
        if done := [e for e in entries if e.values]:
            return (0, done[0].number)
        if entries:
            return (2, 0.0) if all(e.failure is not None for e in entries) else None
        try:
            costs = self.context.costs(architecture)
        except CannotBuild:
            return (2, 0.0)
        over = sum(max(0.0, costs[name] / limit - 1) for name, limit in self.context.limits.items())
        return (1, over) if over > 0 else None

    def _close(self) -> None:
        """Ends the generation once as many of its samples as it has places have a value."""
        while True:
            while len(self.open) > self.samples + LATE:
                del self.open[next(iter(self.open))]
            values = {at: value for at, (_, a) in self.open.items() if (value := self._value(a)) is not None}
            if len(values) < self.samples:
                return
            used = list(values)[: self.samples]
            self._move(used, self._ranks([values[at] for at in used]), [self.open[at][0] for at in used])
            for at in used:
                del self.open[at]
            self.stale = 0 if self.new else self.stale + 1
            self.drawn, self.new = 0, False
            if self.stale >= STALE:
                self._begin(self.restarts + 1)

    def _ranks(self, values: Sequence[tuple[int, float]]) -> list[float]:
        """Place of each in the generation; equal for equal networks."""
        known = best_first(self.context.history[int(n)] for kind, n in set(values) if kind == 0)
        place = {e.number: i for i, e in enumerate(known)}
        keys = [(kind, place[int(v)] if kind == 0 else v) for kind, v in values]
        rank = {key: float(i) for i, key in enumerate(sorted(set(keys)))}
        return [rank[key] for key in keys]

    def _move(self, used: list[At], ranks: list[float], xs: Sequence[Vector]) -> None:
        self.distribution.tell(xs, ranks)
        self.closed.append((used, ranks))
        self.generation += 1
        d = self.distribution
        self.trace.append(Snapshot(self.generation, d.mean, d.deviations, d.scale))
        if len(self.trace) > SHOWN:  # every second one goes, the first and the last stay
            self.trace = [*self.trace[:-1:2], self.trace[-1]]

    # -- about it --------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "30 samples of a normal distribution over the options, which moves to the better half of them"."""
        some: int | None = getattr(options, "samples", None)
        generation = f" of each {some:,}" if some else ""
        return (
            f"{budget.trials:,} samples of a normal distribution over the options, which moves towards the better ones"
            f"{generation}"
        )

    def state(self) -> dict[str, Any]:
        """Where the generation stands."""
        return {
            **super().state(),
            "restarts": self.restarts,
            "drawn": self.drawn,
            "stale": self.stale,
            "new": self.new,
            "open": [list(at) for at in self.open],
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`; the distribution follows with the arrays."""
        super().load(state)
        self._begin(int(state["restarts"]))
        self.drawn, self.stale, self.new = int(state["drawn"]), int(state["stale"]), bool(state["new"])
        self._reopen = [(int(g), int(k)) for g, k in state["open"]]

    def arrays(self) -> Arrays:
        """Samples (generations, samples, 2) and ranks (generations, samples) of the closed generations."""
        shape = (len(self.closed), self.samples)
        used = np.array([u for u, _ in self.closed], dtype=np.int32).reshape(*shape, 2)
        return {"used": used, "ranks": np.array([r for _, r in self.closed], dtype=float).reshape(shape)}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes the distribution through the closed generations again, drawing the samples they used."""
        used = [[(int(g), int(k)) for g, k in row] for row in arrays["used"]]
        wanted: dict[int, list[int]] = {}
        for g, k in [*(at for row in used for at in row), *self._reopen]:
            wanted.setdefault(g, []).append(k)
        xs: dict[At, Vector] = {}
        for row, ranks in zip([*used, None], [*arrays["ranks"], None], strict=True):
            xs |= {(self.generation, k): self._sample(k) for k in wanted.get(self.generation, ())}
            if row is not None and ranks is not None:
                self._move(row, [float(r) for r in ranks], [xs.pop(at) for at in row])
        self.open = {at: (xs[at], self.read(xs[at])) for at in self._reopen}

    def views(self) -> dict[str, dict[str, Any]]:
        """How likely each option was over the generations, and the step size."""
        shares = [(s.generation, self._likely(s)) for s in self.trace]
        labels: list[tuple[str, int, int]] = []  # words, decision, option; -1 = the likeliest
        for i, d in enumerate(self.slots.decisions):
            labels += [(self.slots.words(d.name, o), i, j) for j, o in enumerate(d.options)]
        title, note = "How likely each option is", ""
        if len(labels) * len(shares) > MOST_ROWS:
            labels = [(self.context.space.title(d.name), i, -1) for i, d in enumerate(self.slots.decisions)]
            title = "How settled each decision is"
            fit = MOST_ROWS // len(shares)
            note = "probability of the likeliest option" + (f"; the first {fit}" if len(labels) > fit else "")
            labels = labels[:fit]
        rows = [
            [g, words, round(float(p[i].max() if j < 0 else p[i][j]), 4)] for g, p in shares for words, i, j in labels
        ]
        return {
            "probabilities": view(
                title, ["generation", "choice", "probability"], rows, note=note,
                chart=heat("generation", "choice", "probability"),
            ),
            "step": view(
                "Step size", ["generation", "step size"], [[s.generation, float(f"{s.scale:.4g}")] for s in self.trace],
                chart=lines("generation", "step size"),
                note=f"since restart {self.restarts}" if self.restarts else "",
            ),
        }  # fmt: skip

    def _likely(self, s: Snapshot) -> list[Vector]:
        """For each decision the probability of its options, each number taken by itself."""
        z = np.random.default_rng(0).standard_normal((DRAWS, self.slots.n)) * s.deviations + s.mean
        out: list[Vector] = []
        for i, d in enumerate(self.slots.decisions):
            start, k = int(self.slots.starts[i]), len(d.options)
            if self.slots.single[i]:
                m, sd = float(s.mean[start]), max(float(s.deviations[start]), 1e-12)
                edges = [_ONE.inv_cdf(j / k) * self.options.spread for j in range(1, k)]
                below = np.array([0.0, *(_ONE.cdf((e - m) / sd) for e in edges), 1.0])
                out.append(np.diff(below))
            else:
                best = z[:, start : start + k].argmax(axis=1)
                out.append(np.bincount(best, minlength=k) / DRAWS)
        return out


def samples_of(options: BaseModel, n: int) -> int:
    """Samples of a generation for so many numbers."""
    return getattr(options, "samples", None) or 4 + int(3 * math.log(max(1, n)))
