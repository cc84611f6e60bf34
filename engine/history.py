"""What has been tried: trials with their reports, the best one and the front, kept up to date one report at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from engine.architecture import Architecture
from engine.errors import EngineError
from engine.objectives import Objective, losses

if TYPE_CHECKING:
    from engine.evaluation.base import Failure, Report
    from engine.strategies.base import Proposal

TrialState = Literal["running", "paused", "completed", "pruned", "failed", "cancelled"]
#: what makes two numbers comparable: (source, fidelity)
Level = tuple[str, int]
#: numbers of stand-alone networks count more than inherited ones, those more than proxies
_SOURCES = {"proxy": 0, "inherited": 1, "table": 2, "trained": 2}
ENDED = frozenset({"completed", "pruned", "failed", "cancelled"})


def level_order(level: Level) -> tuple[int, int, str]:
    """Sort key of levels: the last one is what a search is judged by."""
    source, fidelity = level
    return (_SOURCES.get(source, -1), fidelity, source)


@dataclass
class TrialEntry:
    """One trial as strategies see it.

    Attributes:
        number: 1, 2, 3 ... in order of start.
        proposal: what was asked for.
        reports: successful reports by fidelity.
        values: losses (one per objective, smaller is better) by level.
        state: where it stands.
        identity: of its architecture, in the sense of the search's `duplicates`.
        failure: why it has no (further) result.
    """

    number: int
    proposal: Proposal
    cost_of: Callable[[Architecture], Mapping[str, float]] = field(repr=False)
    reports: dict[int, Report] = field(default_factory=dict)
    values: dict[Level, tuple[float, ...]] = field(default_factory=dict)
    state: TrialState = "running"
    identity: str = ""
    failure: Failure | None = None

    @property
    def architecture(self) -> Architecture:
        """The architecture tried."""
        return self.proposal.architecture

    @property
    def fidelity(self) -> int:
        """Highest fidelity with a result; 0 = none yet."""
        return max(self.reports, default=0)

    @property
    def level(self) -> Level | None:
        """The level it is judged by, None without a result."""
        return max(self.values, key=level_order, default=None)

    @property
    def costs(self) -> Mapping[str, float]:
        """Exact costs of its architecture."""
        return self.cost_of(self.architecture)

    def metrics(self, fidelity: int | None = None) -> dict[str, float]:
        """Exact costs and the metrics reported at a fidelity (default: the highest); a reported one wins."""
        at = self.fidelity if fidelity is None else fidelity
        report = self.reports.get(at)
        return {**self.costs, **(report.metrics if report else {})}

    def loss(self, level: Level | None = None) -> tuple[float, ...] | None:
        """Losses at a level (default: its own highest), None where it has no result."""
        at = self.level if level is None else level
        return None if at is None else self.values.get(at)


def common_level(entries: Iterable[TrialEntry]) -> Level | None:
    """The highest level that all of these trials have a result at, None if there is none."""
    shared: set[Level] | None = None
    for entry in entries:
        shared = set(entry.values) if shared is None else shared & entry.values.keys()
        if not shared:
            return None
    return max(shared, key=level_order, default=None) if shared else None


def dominates(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether losses `a` are nowhere worse than `b` and somewhere better."""
    better = False
    for x, y in zip(a, b, strict=True):
        if x > y:
            return False
        better = better or x < y
    return better


class Leaders:
    """Best trial and Pareto front of one level, updated in O(size of the front)."""

    def __init__(self) -> None:
        self.best: tuple[float, int] | None = None
        self.front: dict[int, tuple[float, ...]] = {}

    def add(self, number: int, value: tuple[float, ...]) -> bool:
        """Adds a trial; True if it is the new best by the first objective (ties stay with the earlier one)."""
        if any(x == float("inf") for x in value):
            return False
        if not any(dominates(other, value) for other in self.front.values()):
            self.front = {n: other for n, other in self.front.items() if not dominates(value, other)}
            self.front[number] = value
        if self.best is None or value[0] < self.best[0]:
            self.best = (value[0], number)
            return True
        return False


class History:
    """Trials by number, append-only; nothing here costs more as it grows.

    Attributes:
        objectives: what losses are made of.
        told: trial numbers in the order their first result (or failure) was told.
    """

    def __init__(self, objectives: Sequence[Objective]) -> None:
        self.objectives = tuple(objectives)
        self.told: list[int] = []
        self._entries: list[TrialEntry] = []
        self._leaders: dict[Level, Leaders] = {}
        self._top: Level | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[TrialEntry]:
        return iter(self._entries)

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self._entries)

    def __getitem__(self, number: int) -> TrialEntry:
        if number not in self:
            raise EngineError(f"there is no trial {number}; trials 1 to {len(self._entries)} exist")
        return self._entries[number - 1]

    def add(self, proposal: Proposal, cost_of: Callable[[Architecture], Mapping[str, float]]) -> TrialEntry:
        """Appends the next trial."""
        entry = TrialEntry(len(self._entries) + 1, proposal, cost_of)
        self._entries.append(entry)
        return entry

    def record(self, number: int, fidelity: int, report: Report) -> bool:
        """Adds a report; True if the best trial of the search is another one now."""
        entry = self[number]
        if not entry.reports and entry.failure is None:
            self.told.append(number)
        if report.failure is not None:
            entry.failure = report.failure
            return False
        entry.reports[fidelity] = report
        level = (str(report.source), fidelity)
        metrics: Mapping[str, float] = report.metrics
        if any(o.metric not in metrics for o in self.objectives):
            metrics = {**entry.costs, **metrics}
        value = tuple(float(x) for x in losses([metrics], self.objectives)[0])
        entry.values[level] = value
        improved = self._leaders.setdefault(level, Leaders()).add(number, value)
        if self._leaders[level].best is None:
            return False
        if self._top is None or level_order(level) > level_order(self._top):
            before = self.best()
            self._top = level
            return before is None or before.number != number
        return improved and level == self._top

    @property
    def top(self) -> Level | None:
        """The level `best` and `front` speak of: the highest one that has a finite result."""
        return self._top

    def best(self) -> TrialEntry | None:
        """Best by the first objective at the highest level reached, None before there is one."""
        if self._top is None:
            return None
        best = self._leaders[self._top].best
        return None if best is None else self[best[1]]

    def front(self) -> list[int]:
        """Non-dominated trials at that level, best by the first objective first; with one objective only the best."""
        if self._top is None:
            return []
        leaders = self._leaders[self._top]
        if len(self.objectives) == 1:
            return [] if leaders.best is None else [leaders.best[1]]
        return sorted(leaders.front, key=lambda n: (leaders.front[n], n))
