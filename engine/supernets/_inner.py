"""A search among subnets by inherited accuracy: an ask/tell strategy with a history of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engine import catalog
from engine.architecture import Architecture
from engine.errors import InvalidConfig
from engine.evaluation.base import Report
from engine.objectives import ranking
from engine.strategies.base import Context, Proposal, Strategy


class Inner:
    """Asks a strategy for subnets and tells it what they score.

    Args:
        name: of the strategy.
        scores: subnets in all.
        outer: context of the search.
        limits: on exact costs, beside those of the search.

    Raises:
        InvalidConfig: no such strategy, or it cannot serve the space or the objectives.
    """

    def __init__(self, name: str, scores: int, outer: Context, limits: Mapping[str, float] | None = None) -> None:
        self.scores = scores
        budget = outer.budget.model_copy(update={"trials": scores, "minutes": None, "target": None, "patience": None})
        both = dict(outer.limits)
        for cost, most in (limits or {}).items():
            both[cost] = min(most, both.get(cost, most))
        self.context = Context(
            space=outer.space, objectives=outer.objectives, limits=both, budget=budget, parallelism=64,
            seed=outer.seed, max_fidelity=1, duplicates="canonical",
        )  # fmt: skip
        self.context.identity, self.context.costs = outer.identity, outer.costs
        cls: type[Strategy] = catalog.get("strategy", name)
        if reason := cls.supports(outer.space, outer.objectives):
            raise InvalidConfig([(("strategy", "search"), reason)])
        self.strategy = cls(cls.Options(), self.context)
        self._asked: list[int] = []

    def ask(self, most: int) -> list[Architecture]:
        """The next subnets to score, at most so many; [] when all were scored or there are no more."""
        history = self.context.history
        self._asked = []
        for _ in range(min(most, self.scores - len(history))):
            answer = self.strategy.ask(1)
            if not isinstance(answer, list):
                break
            entry = history.add(Proposal(answer[0].architecture), self.context.costs)
            entry.identity = self.context.identity(entry.architecture)
            self.context.register(entry.number, entry.identity)
            self._asked.append(entry.number)
        return [history[n].architecture for n in self._asked]

    def tell(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """What they score, in the order asked."""
        for number, row in zip(self._asked, rows, strict=True):
            entry = self.context.history[number]
            if "accuracy" in row:
                metrics = {name: float(row[name]) for name in ("accuracy", "loss") if name in row}
                report = Report(metrics, 1, source="inherited")
            else:
                report = Report.failed("cannot_build", str(row.get("reason", "")), fidelity=1)
            self.context.history.record(number, 1, report)
            entry.state = "failed" if report.failure else "completed"
            self.strategy.tell(entry, report)
        self._asked = []

    def ranked(self, most: int) -> list[Architecture]:
        """The best by inherited accuracy (with several objectives: the front first), the best first."""
        import numpy as np

        entries = [e for e in self.context.history if ("inherited", 1) in e.values]
        if not entries:
            return []
        order = ranking(np.array([e.values["inherited", 1] for e in entries], dtype=float))
        return [entries[i].architecture for i in order[:most]]
