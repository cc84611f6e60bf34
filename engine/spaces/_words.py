"""What architectures and their differences are called. Defaults for every space."""

from __future__ import annotations

from abc import ABC, abstractmethod

from engine.architecture import Architecture, Option
from engine.spaces._decision import Decision

_ABSENT = "–"


class Words(ABC):
    """Names for people, made from the decisions."""

    @abstractmethod
    def all_decisions(self) -> list[Decision]:
        """Every decision that can occur, with every option it can offer, in order."""

    def title(self, decision: str) -> str:
        """What a person calls a decision."""
        return decision.replace("_", " ")

    def format(self, decision: str, option: Option) -> str:
        """What a person calls an option."""
        if isinstance(option, bool):
            return "yes" if option else "no"
        return "none" if option is None else f"{option:g}" if isinstance(option, float) else str(option)

    def _ordered_names(self, a: Architecture, b: Architecture) -> list[str]:
        return [d.name for d in self.all_decisions() if d.name in a.choices or d.name in b.choices]

    def _changed(self, a: Architecture, b: Architecture) -> list[str]:
        missing = object()
        return [
            name for name in self._ordered_names(a, b) if a.choices.get(name, missing) != b.choices.get(name, missing)
        ]

    def difference(self, a: Architecture, b: Architecture) -> list[tuple[str, str, str]]:
        """(decision, in a, in b) in people's words for every decision that differs; "–" = it does not act."""

        def words(arch: Architecture, name: str) -> str:
            return self.format(name, arch[name]) if name in arch.choices else _ABSENT

        return [(self.title(name), words(a, name), words(b, name)) for name in self._changed(a, b)]

    def describe_change(self, parent: Architecture, child: Architecture) -> str:
        """One phrase: what was changed to get the child. Consequences (decisions that come or go) are left out."""
        changed = [n for n in self._changed(parent, child) if n in parent.choices and n in child.choices]
        if not changed:
            return "no change" if parent == child else "other decisions act"
        return ", ".join(self._phrase(name, parent[name], child[name]) for name in changed)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        return f"{self.title(decision)} {self.format(decision, old)} → {self.format(decision, new)}"
