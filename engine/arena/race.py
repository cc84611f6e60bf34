"""One run of the arena: one entrant, one seed, one budget, through the conductor that every search goes through."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import catalog
from engine.architecture import Architecture
from engine.arena.entrants import ORDERS, Entrant
from engine.arena.problem import Problem
from engine.conductor import Conductor, Edit, Result, Start
from engine.config import SearchConfig
from engine.errors import InvalidConfig
from engine.evaluation.base import Report
from engine.strategies.base import Context

if TYPE_CHECKING:
    from engine.experience import Experience

#: recommendations are asked for after so many queries, and at the budgets of a benchmark
MARKS = (10, 20, 30, 50, 100, 150, 200, 300, 500, 1000)


@dataclass
class Run:
    """What one seed did.

    Attributes:
        seed: of the search.
        rows: queried rows in the order their results were told.
        ms: milliseconds the strategy (and its conductor) needed for each, asking and telling; to three figures, so
            that a run that was stored and read back gives the same means.
        recommended: row it would hand over after so many queries.
        ended: why it ended before the budget; "" = it did not.
    """

    seed: int
    rows: list[int] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    recommended: dict[int, int] = field(default_factory=dict)
    ended: str = ""

    def took(self, ms: float) -> None:
        """Notes what the strategy needed for one more query."""
        self.ms.append(float(f"{ms:.3g}"))

    def to_json(self) -> dict[str, Any]:
        """Compact JSON form, read back by `from_json`."""
        marks = {str(k): v for k, v in self.recommended.items()}
        return {"seed": self.seed, "rows": self.rows, "ms": self.ms, "recommended": marks, "ended": self.ended}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Run:
        """Reads what `to_json` wrote."""
        marks = {int(k): int(v) for k, v in value["recommended"].items()}
        return cls(value["seed"], list(value["rows"]), list(value["ms"]), marks, value.get("ended", ""))


def run(
    problem: Problem, entrant: Entrant, budget: int, seed: int, *, parallel: int = 1, marks: Sequence[int] = (),
    experience: Sequence[Experience] = (),
) -> Run:  # fmt: skip
    """Races one entrant once, to the end; see `steps`."""
    out = Run(seed)
    for so_far in steps(problem, entrant, budget, seed, parallel=parallel, marks=marks, experience=experience):
        out = so_far
    return out


def steps(
    problem: Problem, entrant: Entrant, budget: int, seed: int, *, parallel: int = 1, marks: Sequence[int] = (),
    experience: Sequence[Experience] = (),
) -> Iterator[Run]:  # fmt: skip
    """Races one entrant once, a query at a time: after each the run so far, always the same object.

    Args:
        problem: what on.
        entrant: who.
        budget: queries; it is what the strategy is told as well.
        seed: of the search, of ties and of what is drawn of the table.
        parallel: results awaited at a time; they come in the order of their start.
        marks: further numbers of queries after which it is asked for its recommendation.
        experience: of earlier searches, for strategies that learn across them.

    Raises:
        InvalidConfig: the strategy does not serve this space, or has no such options.
        StrategyFailed: it raised.
    """
    if entrant.kind == "order":
        yield _by_size(problem, ORDERS[entrant.name], budget, seed)
    elif entrant.kind == "peer":
        from engine.arena import peers

        yield from peers.steps(problem, entrant.name, budget, seed, parallel)
    else:
        at = {m for m in (*MARKS, *marks, budget) if m <= budget}
        yield from _search(problem, conductor_of(problem, entrant, budget, seed, parallel, experience), seed, at)


class TableContext(Context):
    """A search's context that also knows which architectures have no row: skipping them costs nothing."""

    problem: Problem

    def why_not(self, architecture: Architecture, upto: int | None = None) -> str | None:
        """As everywhere, or that the table has no such row."""
        if architecture.key not in self.problem.row_of:
            return "not in the table"
        return super().why_not(architecture, upto)


def conductor_of(
    problem: Problem, entrant: Entrant, budget: int, seed: int, parallel: int = 1,
    experience: Sequence[Experience] = (),
) -> Conductor:  # fmt: skip
    """The conductor of a search on a problem's space.

    Raises:
        InvalidConfig: see `run`.
    """
    config = SearchConfig.parse(
        {
            "name": f"{entrant.label} in the arena",
            "strategy": {"name": entrant.name, **entrant.options},
            "evaluator": {"name": "tabular"},
            "limits": dict(problem.limits),
            "duplicates": entrant.duplicates,
            "budget": {"trials": budget, "epochs": 1},
            "parallelism": parallel,
            "seed": seed,
            "final": {"enabled": False},
        }
    )
    context = TableContext(
        space=problem.space,
        objectives=config.objectives,
        limits=config.limits,
        budget=config.budget,
        parallelism=config.parallelism,
        seed=config.seed,
        max_fidelity=config.budget.epochs,
        duplicates=config.duplicates,
        experience=experience,
    )
    context.problem = problem
    strategy_class = catalog.get("strategy", entrant.name)
    if (reason := strategy_class.supports(problem.space, config.objectives)) is not None:
        raise InvalidConfig([(("strategy", "name"), reason)])
    schedule = catalog.get("schedule", "full")(config.options("schedule"), config.budget.epochs, 1)
    return Conductor(config, context, strategy_class(config.options("strategy"), context), schedule)


def _search(problem: Problem, conductor: Conductor, seed: int, marks: set[int]) -> Iterator[Run]:
    view, out = problem.view(seed), Run(seed)
    asked = 0.0
    flying: deque[Start] = deque()
    entry: Edit | Result = Edit("start")
    while True:
        began = time.thread_time()
        conductor.observe(entry)
        actions = conductor.next_actions()
        spent = 1000 * (time.thread_time() - began)
        # the first call asks for the first query, each later one tells one and asks for the next
        if out.rows:
            out.took(spent + asked)
        asked = 0.0 if out.rows else spent
        if len(out.rows) in marks and (best := conductor.strategy.recommend(1)):
            row = problem.row_of[conductor.history[best[0]].architecture.key]
            out.recommended[len(out.rows)] = row
        if out.rows:
            yield out
        flying += [a for a in actions if isinstance(a, Start)]
        if not flying:
            break
        start = flying.popleft()
        row = problem.row_of[start.proposal.architecture.key]
        out.rows.append(row)
        cost = {"duration_s": float(problem.seconds[row]), "epochs": 1, "device": "table"}
        reward = float(view.rewards[row]) / problem.scale
        entry = Result(start.trial, 1, Report({"accuracy": reward}, 1, "table", seed=seed, cost=cost))
    if len(out.rows) < conductor.config.budget.trials and conductor.finish is not None:
        out.ended = conductor.finish.reason
        yield out


def _by_size(problem: Problem, cost: str, budget: int, seed: int) -> Run:
    """Largest first among the rows within the limits, equal ones in an order drawn from the seed.

    By live operations, two rows of one class are one: the simplest writing stands for it.
    """
    live = cost == "live_macs"
    ties = np.random.default_rng([seed, 0x51E]).permutation(len(problem))
    order = np.lexsort((ties, -(problem.live_macs if live else problem.costs[cost])))
    raced = problem.feasible & problem.simplest if live else problem.feasible
    rows = [int(i) for i in order[raced[order]][:budget]]
    return Run(seed, rows, [0.0] * len(rows))
