"""Who came from whom: lineage of a trial, children, ancestors of a population."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.history import History
    from engine.spaces.base import SearchSpace


@dataclass(frozen=True)
class Generation:
    """One step of a lineage.

    Attributes:
        trial: its number.
        parent: the trial it was made from, None for the first.
        change: what is different from the parent, in people's words ("" for the first).
        accuracy: at its highest fidelity, None without a result.
        gain: accuracy minus the parent's, a share of 1, None where either is unknown or the fidelities differ.
    """

    trial: int
    parent: int | None
    change: str
    accuracy: float | None
    gain: float | None


def lineage(history: History, trial: int, space: SearchSpace, metric: str = "accuracy") -> list[Generation]:
    """From the first ancestor (following first parents) to the trial itself; costs its length, not the history's."""
    chain: list[int] = []
    at: int | None = trial
    while at is not None and at not in chain:
        chain.append(at)
        at = next(iter(history[at].proposal.parents), None)
    out: list[Generation] = []
    for number in reversed(chain):
        entry = history[number]
        value = entry.metrics().get(metric) if entry.reports else None
        if not out:
            out.append(Generation(number, None, "", value, None))
            continue
        parent = history[out[-1].trial]
        change = space.describe_change(parent.architecture, entry.architecture)
        before = out[-1].accuracy
        comparable = value is not None and before is not None and parent.level == entry.level
        gain = value - before if comparable and value is not None and before is not None else None
        out.append(Generation(number, parent.number, change, value, gain))
    return out


def children(history: History) -> dict[int, list[int]]:
    """Trials by parent, in order of their numbers; one pass over the history."""
    out: dict[int, list[int]] = {}
    for entry in history:
        for parent in entry.proposal.parents:
            out.setdefault(parent, []).append(entry.number)
    return out


def ancestors(history: History, trials: Sequence[int], limit: int = 400) -> list[tuple[int, int]]:
    """Edges (trial, parent) among the trials and their ancestors, youngest trials first, at most `limit`."""
    queue, seen = deque(sorted(trials, reverse=True)), set(trials)
    out: list[tuple[int, int]] = []
    while queue and len(out) < limit:
        number = queue.popleft()
        for parent in history[number].proposal.parents:
            out.append((number, parent))
            if parent not in seen:
                seen.add(parent)
                queue.append(parent)
    return out[:limit]
