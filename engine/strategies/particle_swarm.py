"""Particle swarm over discrete decisions (Kennedy and Eberhart 1995, 1997; Strasser et al. 2016, ICPSO)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.analysis.genealogy import ancestors
from engine.architecture import Architecture
from engine.history import TrialEntry, common_level, dominates
from engine.strategies._population import best_first, fronts
from engine.strategies._relaxed import Slots, Vector, segments_normalized
from engine.strategies._views import MOST_ROWS, bars, heat, tree, view
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.spaces.base import Decision

#: moves in a row that may give nothing new before a particle starts anew
VAIN = 10
#: particles that may do so for one proposal
FRESH_STARTS = 3


class Options(BaseModel):
    """The swarm and how it flies."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    particles: int | None = Field(
        None, ge=2, le=1_000, description="Particles of the swarm; empty = a tenth of the trials, 5 to 20."
    )
    inertia: float = Field(0.729, ge=0, le=1, description="Share of its velocity that a particle keeps.")
    own: float = Field(1.49618, ge=0, le=4, description="Pull towards the best a particle has found itself.")
    swarm: float = Field(1.49618, ge=0, le=4, description="Pull towards the best of the swarm.")
    keep: float = Field(
        0.75, ge=0, lt=1, description="Share of its probability that an option not chosen keeps in a best position."
    )


def size_of(options: BaseModel, trials: int) -> int:
    """Particles for a budget."""
    return getattr(options, "particles", None) or min(20, max(5, trials // 10))


class ParticleSwarm(Strategy):
    """Particles are probabilities of options; they fly towards their own best and the swarm's, and networks are drawn.

    A position x holds one probability per (decision, option). Each time a particle is asked it moves,
    v <- w v + U(0, c1) (p - x) + U(0, c2) (g - x), x <- x + v, clipped to [0, 1] and divided so that each decision's
    probabilities sum to one; then one option is drawn for each active decision. When the network is better than the
    particle's best so far, its best position p becomes x leant towards the network: options not chosen keep the share
    eps of their probability and the chosen ones take the rest.

    Symbols: w = `inertia`, c1 = `own`, c2 = `swarm` (Kennedy and Eberhart; the values are Clerc and Kennedy's 2002
    constriction), eps = `keep` (Strasser et al.'s scaling factor, 0.75 as published). Probabilities as positions follow
    Kennedy and Eberhart 1997, who draw bits from them; Strasser et al. make them whole distributions.

    Deviations: particles move one at a time, each as soon as it has its result, not in rounds; with more workers than
    particles one has several networks under way. A drawn network that was measured already is told to its particle at
    no cost and the particle moves on; one over the limits is drawn again. A particle that finds nothing new in ten
    moves starts anew at a random position and forgets its best. Decisions that did not act lean nowhere. What others
    propose counts for the particle whose own best is the worst. With several objectives a best is replaced by what
    dominates it (by a new network also by chance where neither does), and the swarm's best is drawn from the front of
    the particles' bests, the less crowded of two. The size of the swarm scales with the budget when left empty.
    """

    name = "particle_swarm"
    summary = "Particle swarm: probabilities that fly towards the best networks"
    reference = "Strasser et al. 2016, A New Discrete Particle Swarm Optimization Algorithm; Kennedy and Eberhart 1997"
    group = "evolution"
    guide = (
        "Many workers and spaces whose decisions matter each for itself. "
        "Where decisions depend on each other evolution by age or local search finds good networks sooner."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.size = size_of(self.options, context.budget.trials)
        self.slots = Slots(context.space, scales=False)
        self.x = np.stack([self._anywhere(np.random.default_rng([context.seed, 0, i])) for i in range(self.size)])
        self.v = np.zeros_like(self.x)
        self.p = self.x.copy()
        self.best: list[int] = [0] * self.size  # trial of each particle's best, 0 = none yet
        self.flying: dict[str, int] = {}  # identity of an architecture under way -> particle
        self.turn = 0
        self._leaders: list[int] | None = None  # trials that may lead the swarm, best first

    def _anywhere(self, rng: np.random.Generator) -> Vector:
        return segments_normalized(rng.random(self.slots.n), self.slots.starts, self.slots.sizes)

    # -- proposing -------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next particle that has nothing under way moves and draws."""
        for _ in range(FRESH_STARTS):
            i = self._next()
            for _ in range(VAIN):
                leader = self._move(i, rng)
                architecture = self._drawn(self.x[i], rng)
                if self.fresh(architecture):
                    self.flying[self.context.identity(architecture)] = i
                    return self._proposal(architecture, i, leader)
                if known := self.context.trials_of(architecture):
                    self._judge(i, self.context.history[known[0]], again=True)
            self.x[i], self.v[i], self.best[i] = self._anywhere(rng), 0.0, 0
            self.p[i], self._leaders = self.x[i], None
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: the swarm finds nothing new", by="random")

    def _next(self) -> int:
        """The next in turn that has nothing under way; if all have, the next in turn."""
        busy = set(self.flying.values())
        order = [(self.turn + k) % self.size for k in range(self.size)]
        i = next((k for k in order if k not in busy), order[0])
        self.turn = (i + 1) % self.size
        return i

    def _move(self, i: int, rng: np.random.Generator) -> int | None:
        """One step of particle i; the particle that leads the swarm."""
        leader = self._leader(rng)
        if leader is None:
            return None
        o, n = self.options, self.slots.n
        pull = o.swarm * rng.random(n) * (self.p[leader] - self.x[i])
        if self.best[i]:
            pull += o.own * rng.random(n) * (self.p[i] - self.x[i])
        self.v[i] = o.inertia * self.v[i] + pull
        self.x[i] = segments_normalized(np.clip(self.x[i] + self.v[i], 0, 1), self.slots.starts, self.slots.sizes)
        return leader

    def _leader(self, rng: np.random.Generator) -> int | None:
        """The particle with the best best; of a front the less crowded of two drawn."""
        if self._leaders is None:
            ranked = best_first([self.context.history[n] for n in dict.fromkeys(self.best) if n])
            if len(self.context.objectives) > 1:
                front = fronts(ranked)
                self._leaders = [e.number for e in ranked if front[e.number] == 0]
            else:
                self._leaders = [e.number for e in ranked[:1]]
        if not self._leaders:
            return None
        n = len(self._leaders)
        return self.best.index(self._leaders[min(rng.integers(n, size=2).tolist()) if n > 1 else 0])

    def _drawn(self, x: Vector, rng: np.random.Generator) -> Architecture:
        """One option for each active decision, by its probabilities among those offered."""

        def choose(d: Decision) -> int:
            sums = np.cumsum(self.slots.numbers(x, d))
            if sums[-1] <= 0:
                return int(rng.integers(len(d.options)))
            return min(int(np.searchsorted(sums, rng.random() * sums[-1], side="right")), len(d.options) - 1)

        return self.slots.read(choose)

    def _proposal(self, architecture: Architecture, i: int, leader: int | None) -> Proposal:
        if leader is None:
            return Proposal(architecture, why=f"particle {i + 1}, from its first position", by=self.name)
        swarm, own = self.best[leader], self.best[i]
        parents = tuple(dict.fromkeys(n for n in (own, swarm) if n))
        towards = f"#{swarm}" + (f", the swarm's best, and #{own}, its own" if own not in (0, swarm) else "")
        return Proposal(architecture, parents=parents, why=f"particle {i + 1} flies towards {towards}", by=self.name)

    # -- told ------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """The first result of a trial is its particle's; that of a trial of nobody's the worst particle's."""
        self._leaders = None
        first = report.failure is not None or len(entry.reports) == 1
        i = self.flying.pop(self.context.identity(entry.architecture), None) if first else None
        if report.failure is not None or not first:
            return
        self._judge(self._worst() if i is None else i, entry)

    def _worst(self) -> int:
        if 0 in self.best:
            return self.best.index(0)
        history = self.context.history
        return self.best.index(best_first([history[n] for n in dict.fromkeys(self.best)])[-1].number)

    def _judge(self, i: int, entry: TrialEntry, *, again: bool = False) -> None:
        """A particle's best is replaced by what is better; by what was measured before (`again`) without chance."""
        if entry.values and (not self.best[i] or self._better(entry, self.context.history[self.best[i]], not again)):
            self.best[i], self._leaders = entry.number, None
            self.p[i] = self._leant(self.x[i], entry.architecture)

    def _better(self, a: TrialEntry, b: TrialEntry, chance: bool) -> bool:
        level = common_level([a, b])
        if level is None or a.number == b.number:
            return False
        if dominates(a.values[level], b.values[level]):
            return True
        if not chance or len(self.context.objectives) == 1 or dominates(b.values[level], a.values[level]):
            return False
        return bool(np.random.default_rng([self.context.seed, 1, a.number, b.number]).random() < 0.5)

    def _leant(self, x: Vector, architecture: Architecture) -> Vector:
        """The position with the probability of what was not chosen cut to the share `keep`."""
        out = x.copy()
        for name, option in architecture.items:
            i = self.slots.index(name)
            start, size = int(self.slots.starts[i]), int(self.slots.sizes[i])
            out[start : start + size] *= self.options.keep
            out[self.slots.position(name, option)] += 1 - out[start : start + size].sum()
        return out

    # -- about it --------------------------------------------------------------------------------
    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "30 networks drawn by 5 particles that fly towards the best ones"."""
        return f"{budget.trials:,} networks drawn by {size_of(options, budget.trials)} particles that fly to the best"

    def state(self) -> dict[str, Any]:
        """Bests by trial, who is under way, whose turn it is."""
        return {**super().state(), "best": list(self.best), "flying": dict(self.flying), "turn": self.turn}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self._leaders = None
        self.best, self.turn = [int(n) for n in state["best"]], int(state["turn"])
        self.flying = {str(k): int(i) for k, i in state["flying"].items()}

    def arrays(self) -> Arrays:
        """Positions, velocities and best positions, (particles, numbers) each."""
        return {"x": self.x, "v": self.v, "p": self.p}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        self.x, self.v, self.p = (np.array(arrays[name], dtype=float) for name in ("x", "v", "p"))

    def views(self) -> dict[str, dict[str, Any]]:
        """Each particle and its best; what the swarm as a whole prefers; where the bests came from."""
        history, metric = self.context.history, self.context.objectives[0].metric
        largest = np.maximum.reduceat(self.x, self.slots.starts, axis=1).mean(axis=1)
        particles = [
            [f"particle {i + 1}", n or None, history[n].metrics().get(metric) if n else None, round(float(c), 4)]
            for i, (n, c) in enumerate(zip(self.best, largest, strict=True))
        ]
        mean = self.x.mean(axis=0)
        rows = [
            [self.context.space.title(d.name), self.context.space.format(d.name, o), round(float(mean[start + j]), 4)]
            for d, start in zip(self.slots.decisions, self.slots.starts.tolist(), strict=True)
            for j, o in enumerate(d.options)
        ]
        edges = ancestors(history, [n for n in dict.fromkeys(self.best) if n])
        return {
            "swarm": view(
                "The swarm", ["particle", "best trial", metric, "certainty"], particles[:MOST_ROWS],
                chart=bars("particle", "certainty"), note="certainty: largest probability of a decision, on average",
            ),
            "probabilities": view(
                "What the swarm prefers", ["decision", "option", "probability"], rows[:MOST_ROWS],
                chart=heat("option", "decision", "probability"), note="mean over the particles",
            ),
            "genealogy": view("Where the bests came from", ["trial", "parent"], edges, chart=tree("trial", "parent")),
        }  # fmt: skip
