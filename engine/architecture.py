"""An architecture: the options chosen, nothing more."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Option = int | float | str | bool | None


@dataclass(frozen=True)
class Architecture:
    """Immutable choices of one point of a search space, in the order they were decided.

    Attributes:
        space: name of the search space.
        items: `(decision name, option)` pairs in decision order; inactive decisions are absent.
    """

    space: str
    items: tuple[tuple[str, Option], ...]

    @classmethod
    def of(cls, space: str, choices: Mapping[str, Option]) -> Architecture:
        """Makes one from a mapping, keeping its order."""
        return cls(space, tuple(choices.items()))

    @cached_property
    def choices(self) -> dict[str, Option]:
        """The choices as a mapping (do not change it)."""
        return dict(self.items)

    def __getitem__(self, decision: str) -> Option:
        return self.choices[decision]

    @cached_property
    def key(self) -> str:
        """Identity exactly as written, independent of the order of decisions."""
        return json.dumps(self.choices, sort_keys=True, separators=(",", ":"))

    def __hash__(self) -> int:
        return hash((self.space, self.key))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Architecture) and (self.space, self.key) == (other.space, other.key)

    def to_json(self) -> dict[str, Any]:
        """JSON form, read back by `from_json`."""
        return {"space": self.space, "choices": self.choices}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Architecture:
        """Reads what `to_json` wrote."""
        return cls.of(str(value["space"]), value["choices"])
