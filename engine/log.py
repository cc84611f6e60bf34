"""The decision log's entries (what a conductor is told) and its actions (what it wants done), as JSON-able values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from engine.errors import EngineError
from engine.evaluation.base import Report
from engine.strategies.base import Proposal

PieceKind = Literal["supernet", "score", "measure"]
EditKind = Literal["start", "pause", "resume", "finish", "cancel", "deadline", "extend", "cancel_trial", "propose"]


@dataclass(frozen=True)
class Result:
    """A rung of a trial is done, or failed (`report.failure`).

    Attributes:
        trial: its number.
        fidelity: of the Start or Promote that asked for it.
        report: what the evaluator gave.
    """

    trial: int
    fidelity: int
    report: Report

    def to_json(self) -> dict[str, Any]:
        """{"kind": "result", ...}, read back by `entry_from_json`."""
        return {"kind": "result", "trial": self.trial, "fidelity": self.fidelity, "report": self.report.to_json()}


@dataclass(frozen=True)
class Edit:
    """Something a person (or the clock, recorded) did to the search.

    Attributes:
        kind: start, pause, resume, finish (keep results), cancel, deadline (minutes are up), extend, cancel_trial,
            propose (a person's own architecture, to be the next trial).
        payload: extend {"trials": n more}, cancel_trial {"trial": number}, propose {"choices": option by decision,
            "parents": [trial numbers] and "why": a phrase where there are some}, else empty.
    """

    kind: EditKind
    payload: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in get_args(EditKind):
            raise EngineError(f"an edit is one of {', '.join(get_args(EditKind))}, not {self.kind!r}")
        for needed in {"extend": ("trials",), "cancel_trial": ("trial",)}.get(self.kind, ()):
            if not isinstance(self.payload.get(needed), int) or self.payload[needed] < 1:
                received = dict(self.payload)
                raise EngineError(
                    f"edit {self.kind} needs {{{needed!r}: a whole number above 0}}, received {received!r}"
                )

        if self.kind == "propose" and not isinstance(self.payload.get("choices"), Mapping):
            raise EngineError(
                f"edit propose needs {{'choices': {{decision: option}}}}, received {str(dict(self.payload))[:200]}"
            )

    def to_json(self) -> dict[str, Any]:
        """{"kind": "edit", ...}, read back by `entry_from_json`."""
        return {"kind": "edit", "edit": self.kind, "payload": dict(self.payload)}


@dataclass(frozen=True)
class PieceDone:
    """A piece of work that is no trial is done, or failed (`report.failure`).

    Attributes:
        piece: number of its Launch.
        report: what came of it; what its pages need of it is stored elsewhere.
    """

    piece: int
    report: Report

    def to_json(self) -> dict[str, Any]:
        """{"kind": "piece", ...}, read back by `entry_from_json`."""
        return {"kind": "piece", "piece": self.piece, "report": self.report.to_json()}


Entry = Result | Edit | PieceDone


def entry_from_json(value: Mapping[str, Any]) -> Entry:
    """Reads what `to_json` of an entry wrote."""
    if value["kind"] == "piece":
        return PieceDone(int(value["piece"]), Report.from_json(value["report"]))
    if value["kind"] == "result":
        return Result(int(value["trial"]), int(value["fidelity"]), Report.from_json(value["report"]))
    return Edit(value["edit"], value.get("payload", {}))


@dataclass(frozen=True)
class Start:
    """Make trial `trial` of this proposal and train it to `fidelity`."""

    trial: int
    proposal: Proposal
    fidelity: int


@dataclass(frozen=True)
class Launch:
    """Do a piece of work that is no trial: train a supernet, score subnets with its weights, measure operations.

    Attributes:
        piece: 1, 2, 3 ... in order of launch.
        kind: which of them.
        payload: JSON. All: "seed". supernet: "epochs", and "latency" (piece that measured) where there is one; score:
            "supernet" (piece), "architectures" (choices of each, at most `SCORED_AT_ONCE`).
        why: one phrase for people.
    """

    piece: int
    kind: PieceKind
    payload: Mapping[str, Any]
    why: str = ""


@dataclass(frozen=True)
class Promote:
    """Resume the paused trial from its checkpoint, up to `fidelity`."""

    trial: int
    fidelity: int


@dataclass(frozen=True)
class Stop:
    """End the trial now: by the schedule (`pruned`), or because a person or the end of the search says so."""

    trial: int
    reason: str
    pruned: bool = False


@dataclass(frozen=True)
class Finish:
    """The search phase is over.

    Attributes:
        reason: for people.
        winners: trials to hand over, the best first; with several objectives the front.
        failed: no usable result, and nobody ordered the end.
        cancelled: a person threw the search away.
    """

    reason: str
    winners: tuple[int, ...] = ()
    failed: bool = False
    cancelled: bool = False


@dataclass(frozen=True)
class Refuse:
    """A person's architecture is not tried; nothing else happens.

    Attributes:
        entry: number of the entry that proposed it.
        reason: for people.
    """

    entry: int
    reason: str


Action = Start | Launch | Promote | Stop | Finish | Refuse
