"""A wrapper that narrows the space while another strategy searches it."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine import catalog
from engine.architecture import Option
from engine.catalog import in_words
from engine.encodings import Places
from engine.errors import InvalidArchitecture, InvalidConfig
from engine.history import TrialEntry
from engine.objectives import ranking
from engine.strategies._measured import lifted
from engine.strategies._views import bars, heat, view
from engine.strategies._worth_of_options import worth
from engine.strategies.base import Arrays, Context, Exhausted, Group, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.spaces.base import SearchSpace

#: trials the model of options stands on at most
MOST = 300
#: rounds that are kept for people
KEPT = 60
#: what may search inside: strategies that read trials from outside of a narrowed space, too
Inner = Literal[
    "aging_nsga2", "gaussian_process", "genetic", "local_search", "nsga2", "random", "regularized_evolution",
    "simulated_annealing", "tournament_evolution",
]  # fmt: skip


class Options(BaseModel):
    """Who searches, and what is taken away."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inner: Inner = Field("regularized_evolution", description="The strategy that searches the narrowed space.")
    threshold: float = Field(
        0.05, gt=0, lt=0.5, description="Options that are better than the best one with less than this chance go."
    )
    first: int | None = Field(
        None, ge=4, le=10_000, description="Results before the first round; empty = a fifth of the trials, 10 to 50."
    )
    every: int | None = Field(
        None, ge=1, le=10_000, description="Results between rounds; empty = a tenth of the trials, 5 to 25."
    )


def rounds(options: Any, trials: int) -> tuple[int, int]:
    """Results before the first round and between rounds, for a budget."""
    first: int = getattr(options, "first", None) or min(50, max(10, trials // 5))
    every: int = getattr(options, "every", None) or min(25, max(5, trials // 10))
    return first, every


class Narrowing(Strategy):
    """Each round, options that are clearly worse leave the space; another strategy searches what remains.

    A Bayesian linear model over one-hot options (`_worth_of_options`) says with what probability an option is better
    than the best one of its decision; below `threshold` it is taken away, as Hu et al. 2020 prune operators that score
    low and Radosavovic et al. 2020 narrow a design space by what the better half has in common. Every round judges
    every option anew by all results, so that one comes back when the evidence turns. When the narrowed space is used
    up the whole space is open again until the next round, and the threshold is halved.

    The inner strategy is made anew for each narrowed space (`SearchSpace.restrict`) and told what was measured inside
    of it; it shares history, limits and costs.

    **Deviations**: both papers narrow for good, by weights of a supernet or by sampled populations. A decision whose
    narrowing leaves no complete architecture (entangled spaces) keeps its options. Strategies that keep numbers for
    each option (policies, TPE, swarms) are no inner ones: trials from outside of the narrowed space have options that
    these do not know. Climbs start again from random points whenever the space has changed.
    """

    name = "narrowing"
    summary = "The space learns as well: options that are clearly worse leave it, and may come back"
    reference = "Hu et al. 2020, Angle-based Search Space Shrinking; Radosavovic et al. 2020, Designing Network Spaces"
    group: ClassVar[Group] = "across"
    guide = (
        "Take it in large spaces with many options of which some are surely bad, and to see which ones are. "
        "Where what is good depends on combinations, take the inner strategy alone."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        inner = self.options.inner
        if (reason := catalog.get("strategy", inner).supports(context.space, context.objectives)) is not None:
            raise InvalidConfig([(("strategy", "inner"), f"{inner}: {reason}")])
        self.first, self.every = rounds(self.options, context.budget.trials)
        self.places = Places(context.space)
        self.results = self.judged = 0  # results told, and those at the last round
        self.threshold = float(self.options.threshold)
        self.removed: dict[str, list[int]] = {}  # decision -> places of options that are out
        self.history: deque[list[int]] = deque(maxlen=KEPT)  # results, then options left by decision
        self.chances: NDArray[np.float64] = np.zeros(0)  # of each option at the last round, in one-hot order
        self.inner = self._searcher(context.space)

    # -- asked -------------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """A round where one is due, then what the inner strategy wants; the whole space where it has nothing left."""
        if self.results >= (self.judged + self.every if self.judged else self.first):
            self._judge()
        answer = self._inner(number, rng)
        if self.removed and (isinstance(answer, Exhausted) or (isinstance(answer, Wait) and not self.under_way)):
            self.threshold /= 2
            self._open({})
            answer = self._inner(number, rng)
        if isinstance(answer, Exhausted):  # it gave up, the space need not be used up
            found = self.draw(rng)
            return (
                self.nothing_new() if found is None else Proposal(found, why="random: nothing else left", by="random")
            )
        return answer

    def _inner(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        self.inner.asked = number - 1
        return self.delegate(self.inner, rng)

    # -- the space ---------------------------------------------------------------------------------
    def _judge(self) -> None:
        """One round: what is clearly worse by all results goes, all else is in."""
        numbers, losses = lifted(self.context.history, self.context.history.top)
        self.judged = self.results
        if len(numbers) < 4:
            return
        if len(numbers) > MOST:
            order = ranking(losses)
            rest = order[MOST // 2 :]
            even = rest[np.linspace(0, len(rest) - 1, MOST - MOST // 2).astype(int)]
            chosen = np.sort(np.r_[order[: MOST // 2], even])
            numbers, losses = [numbers[i] for i in chosen], losses[chosen]
        model = worth(self.places, [self.context.history[n].architecture for n in numbers], losses)
        chances = model.better()
        self.chances = np.concatenate(chances)
        out = {
            d.name: np.flatnonzero(chance < self.threshold).tolist()
            for d, chance in zip(self.places.decisions, chances, strict=True)
        }
        self._open({name: gone for name, gone in out.items() if gone})

    def _open(self, removed: Mapping[str, list[int]]) -> None:
        """Makes the space without these options, and a searcher for it that knows what was measured inside."""
        space, kept = self._narrowed(removed)
        if kept != self.removed:
            self.removed = kept
            self.inner = self._searcher(space)
            self._retell(space)
        left = [len(d.options) - len(kept.get(d.name, ())) for d in self.places.decisions]
        self.history.append([self.results, *left])

    def _narrowed(self, removed: Mapping[str, list[int]]) -> tuple[SearchSpace, dict[str, list[int]]]:
        """The space without these options; a removal that leaves no architecture is left out."""
        space = self.context.space
        left = {d.name: _left(d.options, removed[d.name]) for d in self.places.decisions if d.name in removed}
        if not left:
            return space, {}
        try:
            return space.restrict(left), {name: list(gone) for name, gone in removed.items()}
        except InvalidArchitecture:
            pass
        kept: dict[str, list[int]] = {}
        for name, options in left.items():
            try:
                space, kept[name] = space.restrict({name: options}), list(removed[name])
            except InvalidArchitecture:
                continue
        return space, kept

    def _searcher(self, space: SearchSpace) -> Strategy:
        context = copy.copy(self.context)  # the same history, limits, costs and duplicates
        context.space = space
        cls = catalog.get("strategy", self.options.inner)
        made: Strategy = cls(cls.Options(), context)
        return made

    def _retell(self, space: SearchSpace) -> None:
        """All results so far of architectures of this space, in the order they came, rung by rung."""
        for number in self.context.history.told:
            entry = self.context.history[number]
            if not _inside(space, entry):
                continue
            for i, fidelity in enumerate(sorted(entry.reports)):
                report = entry.reports[fidelity]
                reports = dict(list(sorted(entry.reports.items()))[: i + 1])
                values = {(str(r.source), f): entry.values[str(r.source), f] for f, r in reports.items()}
                self.inner.tell(replace(entry, reports=reports, values=values), report)

    # -- told --------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Counts it, and tells the inner strategy."""
        if report.failure is None:
            self.results += 1
        self.inner.tell(entry, report)

    def recommend(self, k: int) -> list[int]:
        """As the inner strategy does."""
        return self.inner.recommend(k)

    def keeps(self) -> Collection[int]:
        """What the inner strategy keeps."""
        return self.inner.keeps()

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Any]) -> str | None:
        """Everything that its inner strategy serves; which one that is, the options say."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "regularized evolution for 30 trials; from the 10th result on, every 5, options that are ... leave"."""
        first, every = rounds(options, budget.trials)
        inner = in_words(getattr(options, "inner", "regularized_evolution"))
        return (
            f"{inner} for {budget.trials:,} trials; from {first:,} results on, after every {every:,}, options that are "
            "clearly worse leave the space"
        )

    def state(self) -> dict[str, Any]:
        """What is out, since when, and the inner strategy's."""
        return {
            **super().state(), "results": self.results, "judged": self.judged, "threshold": self.threshold,
            "removed": self.removed, "inner": self.inner.state(),
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.results, self.judged = int(state["results"]), int(state["judged"])
        self.threshold = float(state["threshold"])
        space, self.removed = self._narrowed({name: [int(i) for i in gone] for name, gone in state["removed"].items()})
        self.inner = self._searcher(space)
        self.inner.load(state["inner"])

    def arrays(self) -> Arrays:
        """The last round's chances, the rounds, and the inner strategy's."""
        width = 1 + len(self.places.decisions)
        own = {"chances": self.chances, "rounds": np.array(self.history, dtype=np.int64).reshape(-1, width)}
        return own | {f"inner.{key}": a for key, a in self.inner.arrays().items()}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        self.chances = arrays["chances"].copy()
        self.history.extend([int(n) for n in row] for row in arrays["rounds"])
        self.inner.load_arrays({k[6:]: a for k, a in arrays.items() if k.startswith("inner.")})

    def views(self) -> dict[str, dict[str, Any]]:
        """How many options are left by decision over time, the chances of the last round, and the inner views."""
        out = {f"inner_{key}": shown for key, shown in self.inner.views().items()}
        if not self.history:
            return out
        decisions, space = self.places.decisions, self.context.space
        some = list(self.history)[-max(1, 400 // len(decisions)) :]
        narrowed = any(left < len(d.options) for row in some for d, left in zip(decisions, row[1:], strict=True))
        cells = [
            [row[0], space.title(d.name), round(left / len(d.options), 3)]
            for row in some
            for d, left in zip(decisions, row[1:], strict=True)
        ]
        out["left"] = view(
            "What is left of each decision", ["results", "decision", "left"], cells[-400:],
            chart=heat("results", "decision", "left"), note="share of its options that are in the space"
            if narrowed else "nothing was clearly worse in any round: all options are in",
        )  # fmt: skip
        if len(self.chances):
            every = [(d, i) for d in decisions for i in range(len(d.options))]
            # the best option of a decision has no chance to be better than itself: `Worth.better` says 1 of it
            rows = [
                [f"{space.title(d.name)}: {space.format(d.name, d.options[i])}"[:60], round(float(chance), 4),
                 "out" if i in self.removed.get(d.name, ()) else "in"]
                for (d, i), chance in zip(every, self.chances, strict=True) if chance < 1
            ]  # fmt: skip
            if not rows:
                return out
            out["chances"] = view(
                "Chance of each option to be better than the best of its decision", ["option", "chance", "now"],
                sorted(rows, key=lambda r: r[1])[:100], chart=bars("option", "chance", series="now"),
                note=f"the least likely; below {self.threshold:g} it leaves the space",
            )  # fmt: skip
        return out


def _left(options: Sequence[Option], gone: Sequence[int]) -> tuple[Option, ...]:
    return tuple(o for i, o in enumerate(options) if i not in set(gone))


def _inside(space: SearchSpace, entry: TrialEntry) -> bool:
    try:
        space.validate(entry.architecture.choices)
    except InvalidArchitecture:
        return False
    return True
