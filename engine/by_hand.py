"""What people propose to a running search: it waits for a free slot, or is refused with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from engine.errors import InvalidArchitecture
from engine.log import Refuse
from engine.strategies.base import Context, Proposal

#: `Proposal.by` of what a person proposed
BY_HAND = "you"


@dataclass
class ByHand:
    """The queue of people's own architectures. Part of the conductor: no clock, no I/O.

    Attributes:
        context: of the search.
        waiting: (entry of the log, what it asks for), the oldest first.
        refused: answers that were not given yet.
    """

    context: Context
    waiting: list[tuple[int, Proposal]] = field(default_factory=list)
    refused: list[Refuse] = field(default_factory=list)

    def propose(self, entry: int, payload: Mapping[str, Any], budget: int) -> None:
        """Takes an `Edit("propose")` of the log."""
        try:
            architecture = self.context.space.validate(payload["choices"])
        except InvalidArchitecture as e:
            self.refused.append(Refuse(entry, str(e)))
            return
        parents = tuple(n for n in payload.get("parents", ()) if n in self.context.history)
        why = str(payload.get("why") or "by hand")[:400]
        proposal = Proposal(architecture, parents=parents, why=why, by=BY_HAND)
        if (reason := self._why_not(proposal, budget, ahead=len(self.waiting))) is not None:
            self.refused.append(Refuse(entry, reason))
        else:
            self.waiting.append((entry, proposal))

    def next(self, budget: int) -> Proposal | None:
        """The oldest that may still become a trial; None = nobody waits."""
        while self.waiting:
            entry, proposal = self.waiting.pop(0)
            if (reason := self._why_not(proposal, budget)) is None:
                return proposal
            self.refused.append(Refuse(entry, reason))
        return None

    def close(self, reason: str) -> None:
        """The search ended: who still waits is told so."""
        self.refused += [Refuse(entry, f"the search ended: {reason}") for entry, _ in self.waiting]
        self.waiting.clear()

    def answers(self) -> list[Refuse]:
        """Refusals since the last call."""
        out, self.refused = self.refused, []
        return out

    def _why_not(self, proposal: Proposal, budget: int, ahead: int = 0) -> str | None:
        """Why this must not become a trial now, with so many others of people before it."""
        if len(self.context.history) + ahead >= budget:
            return f"the budget of {budget:,} trials is used up; extend it first"
        identity = self.context.identity(proposal.architecture)
        if self.context.duplicates != "allowed" and any(
            self.context.identity(other.architecture) == identity for _, other in self.waiting
        ):
            return "it waits for a free slot already"
        return self.context.why_not(proposal.architecture)

    def words(self, *, paused: bool) -> list[dict[str, str]]:
        """What waits, and why."""
        n = len(self.waiting)
        if not n:
            return []
        what = "an architecture of yours" if n == 1 else f"{n:,} architectures of yours"
        return [{"what": what, "why": "until the search goes on" if paused else "no free slot yet"}]

    def state(self) -> dict[str, Any]:
        """JSON, under the names it has in a snapshot."""
        return {
            "refuses": [asdict(r) for r in self.refused],
            "proposed": [[entry, proposal.to_json()] for entry, proposal in self.waiting],
        }
