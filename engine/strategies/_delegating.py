"""Strategies that are made of others: everyone is told everything, states and arrays are kept by member."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from engine import catalog
from engine.history import TrialEntry
from engine.strategies.base import Arrays, Context, Strategy

if TYPE_CHECKING:
    from engine.evaluation.base import Report


def member(name: str, context: Context, options: Mapping[str, Any] | None = None) -> Strategy:
    """A strategy of the catalog on this context.

    Raises:
        InvalidConfig: no such strategy, or its options do not work together with the search's.
    """
    cls: type[Strategy] = catalog.get("strategy", name)
    return cls(cls.Options.model_validate(dict(options or {})), context)


class Delegating(Strategy):
    """Holds members by name; a subclass says in `propose` whose turn it is, with `delegate`."""

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.members: dict[str, Strategy] = {}

    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Every member learns it, whoever asked for the trial."""
        for strategy in self.members.values():
            strategy.tell(entry, report)

    def keeps(self) -> Collection[int]:
        """Whatever a member keeps."""
        return {n for strategy in self.members.values() for n in strategy.keeps()}

    def state(self) -> dict[str, Any]:
        """Each member's, by name."""
        return {**super().state(), "members": {name: m.state() for name, m in self.members.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        for name, strategy in self.members.items():
            strategy.load(state["members"][name])

    def arrays(self) -> Arrays:
        """Each member's, behind its name."""
        return {f"{name}.{key}": a for name, m in self.members.items() for key, a in m.arrays().items()}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        for name, strategy in self.members.items():
            prefix = f"{name}."
            strategy.load_arrays({k.removeprefix(prefix): a for k, a in arrays.items() if k.startswith(prefix)})
