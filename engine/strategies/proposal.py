"""What a strategy answers when it is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.architecture import Architecture


@dataclass(frozen=True)
class Proposal:
    """What a strategy asks for; the fidelity is added by the schedule.

    Attributes:
        architecture: what to try.
        kind: "trial".
        evaluator: name of another evaluator than the search's, or None.
        replicate: 0, or the n-th repeat of an architecture to measure noise (then it is no duplicate).
        init_from: JSON {"trial", "how", ...}: weights to start from (`engine.evaluation.inherited`), or None.
        depends_on: trials with a result whose weights it needs: they stay stored until it has a result, too.
        parents: trials it was made from.
        why: one phrase for people.
        by: the strategy's name, "random", or "you" for what a person proposed.
        beside: trial whose random partner of the same cost it is, or None.
    """

    architecture: Architecture
    kind: str = "trial"
    evaluator: str | None = None
    replicate: int = 0
    init_from: Mapping[str, Any] | None = None
    depends_on: tuple[int, ...] = ()
    parents: tuple[int, ...] = ()
    why: str = ""
    by: str = ""
    beside: int | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON form, read back by `from_json`."""
        return {
            "architecture": self.architecture.to_json(),
            "kind": self.kind,
            "evaluator": self.evaluator,
            "replicate": self.replicate,
            "init_from": dict(self.init_from) if self.init_from is not None else None,
            "depends_on": list(self.depends_on),
            "parents": list(self.parents),
            "why": self.why,
            "by": self.by,
            **({} if self.beside is None else {"beside": self.beside}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Proposal:
        """Reads what `to_json` wrote."""
        v = dict(value)
        v["architecture"] = Architecture.from_json(v["architecture"])
        v["depends_on"], v["parents"] = tuple(v.get("depends_on", ())), tuple(v.get("parents", ()))
        return cls(**v)


@dataclass(frozen=True)
class Wait:
    """Nothing to propose until more results are told; the reason is shown to people."""

    reason: str


@dataclass(frozen=True)
class Exhausted:
    """Nothing left to propose, ever."""

    reason: str
