"""Collects the picture of a space: its places with what is decided at each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from engine.architecture import Option
from engine.spaces._decision import Decision


class _Space(Protocol):
    def all_decisions(self) -> list[Decision]: ...

    def title(self, decision: str) -> str: ...

    def format(self, decision: str, option: Option) -> str: ...


class Outline:
    """Writes what `SearchSpace.outline` returns.

    Args:
        space: whose decisions are named.
    """

    def __init__(self, space: _Space) -> None:
        self._space = space
        self._offered = {d.name: d for d in space.all_decisions()}
        self.parts: list[dict[str, Any]] = []
        self.edges: list[dict[str, Any]] = []

    def part(
        self, id: str, kind: str, title: str, detail: str = "", *, decide: Sequence[Any] = (), repeat: str | None = None
    ) -> str:
        """A place of the drawing, from above to below.

        Args:
            id: unique.
            kind: as in `network.picture`.
            title, detail: words in and beside the block.
            decide: what is decided here: a decision's name, or `(names, title)` for several that offer the same, or
                each a part of what the richest of them offers. Names that no decision has (any more) are left out.
            repeat: e.g. "3 to 6 times".
        """
        decisions = []
        for entry in decide:
            names, said = (entry,) if isinstance(entry, str) else entry[0], "" if isinstance(entry, str) else entry[1]
            names = [n for n in ([names] if isinstance(names, str) else names) if n in self._offered]
            if names:
                decisions.append(self._row(names, said))
        self.parts.append(
            {"id": id, "kind": kind, "title": title, "detail": detail, "decisions": decisions, "repeat": repeat}
        )
        return id

    def _row(self, names: list[str], title: str) -> dict[str, Any]:
        """One row for these decisions: the options of the richest, which stands first, and who offers fewer of them."""
        richest = max(names, key=lambda n: len(self._offered[n].options))
        options = self._offered[richest].options
        row = {
            "name": richest,
            "names": [richest, *(n for n in names if n != richest)],
            "title": title or self._space.title(richest),
            "options": [self._space.format(richest, o) for o in options],
            "values": list(options),
        }
        fewer = {n: list(self._offered[n].options) for n in names if self._offered[n].options != options}
        return {**row, "fewer": fewer} if fewer else row

    def edge(self, source: str, target: str, title: str = "", *, dashed: bool = False) -> None:
        """A connection; dashed = there or not, as decided."""
        self.edges.append({"source": source, "target": target, "title": title, "dashed": dashed})

    def chain(self) -> None:
        """Connects the places in their order."""
        ids = [part["id"] for part in self.parts]
        for a, b in zip(ids, ids[1:], strict=False):
            self.edge(a, b)

    def done(self) -> dict[str, Any]:
        """The picture as JSON."""
        return {"parts": self.parts, "edges": self.edges}


def input_words(kind: str, shape: tuple[int, ...]) -> tuple[str, str]:
    """("image", "3 × 32×32") for the first place of an outline."""
    if not shape:
        return kind, ""
    if kind == "text":
        return kind, f"{shape[0]} tokens"
    if kind == "table":
        return kind, f"{shape[0]} columns"
    return kind, f"{shape[0]} × {'×'.join(map(str, shape[1:]))}"
