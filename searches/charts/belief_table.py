"""A strategy's own table, read for drawing: columns by name, accuracies in percent, numbers in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: drawn of a strategy's table; strategies thin theirs to 400 rows
MOST_ROWS = 2000


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its head with the unit, its cells, and whether accuracies in it were made percent."""

    title: str
    values: list[Any]
    percent: bool = False

    @property
    def numeric(self) -> bool:
        """Whether it holds numbers, or nothing."""
        return all(v is None or is_finite(v) for v in self.values) and any(v is not None for v in self.values)

    @property
    def unit(self) -> str:
        """To stand behind a number."""
        return " %" if self.percent else ""


class Table:
    """The rows of a view.

    Args:
        view: `{"title", "columns", "rows", "note", "chart"}` as a search keeps it. Cells that are missing, and numbers
            that are none, are read as nothing.
    """

    def __init__(self, view: Mapping[str, Any]) -> None:
        self.names = [str(c) for c in view.get("columns") or ()]
        width = len(self.names)
        rows = [[*r, *[None] * width][:width] for r in (view.get("rows") or ())[:MOST_ROWS]]
        cells = [[_cell(row[i]) for row in rows] for i in range(width)]
        chart = view.get("chart") or {}
        shares = {name for name, values in zip(self.names, cells, strict=True) if _is_accuracy(name, values)}
        if chart.get("diagonal") and {chart.get("x"), chart.get("y")} & shares:  # both are read on one scale
            shares |= {chart.get("x"), chart.get("y")}
        if chart.get("x") in shares and chart.get("spread"):
            shares |= {chart["spread"]}
        self.columns = [
            Column(f"{name}, %", [v if v is None else round(100 * v, 4) for v in values], True)
            if name in shares and all(v is None or is_finite(v) for v in values)
            else Column(name, values)
            for name, values in zip(self.names, cells, strict=True)
        ]

    def __getitem__(self, name: str) -> Column:
        """The first column of this name.

        Raises:
            KeyError: there is none.
        """
        if name not in self.names:
            raise KeyError(name)
        return self.columns[self.names.index(name)]

    def maybe(self, name: str | None) -> Column | None:
        """A column that a chart may do without."""
        return self[name] if name else None

    @property
    def rows(self) -> list[list[Any]]:
        """The rows with accuracies in percent."""
        return [list(row) for row in zip(*(c.values for c in self.columns), strict=True)]

    @property
    def heads(self) -> list[str]:
        """Titles of the columns."""
        return [c.title for c in self.columns]


def is_finite(value: object) -> bool:
    """Whether a cell is a number to draw."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_accuracy(name: str, values: Sequence[Any]) -> bool:
    known = [v for v in values if v is not None]
    return "accuracy" in name.lower() and bool(known) and all(is_finite(v) and 0 <= v <= 1 for v in known)


def words(value: Any) -> str:
    """A cell as people read it: four digits are enough, nothing is a dash."""
    if value is None or value == "":
        return "–"
    if isinstance(value, float):
        return minus(f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}")
    return minus(f"{value:,}") if isinstance(value, int) else str(value)


def minus(number: str) -> str:
    """A written number with a minus sign in place of hyphens."""
    return number.replace("-", "−")


def distinct(values: Sequence[Any]) -> list[Any]:
    """What occurs, in the order of its first appearance."""
    return list(dict.fromkeys(values))


def short(text: str, most: int) -> str:
    """Cut to so many characters."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def trial_number(value: Any) -> int | None:
    """A cell that names a trial."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def ranks_agree(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties at their mean rank; None of fewer than three, or where a side is constant."""
    if len(a) < 3:
        return None
    x, y = _ranks(a), _ranks(b)
    middle = (len(a) + 1) / 2
    xy = sum((p - middle) * (q - middle) for p, q in zip(x, y, strict=True))
    xx, yy = (sum((p - middle) ** 2 for p in r) for r in (x, y))
    return xy / math.sqrt(xx * yy) if xx and yy else None


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    out = [0.0] * len(values)
    i = 0
    while i < len(order):
        j = i
        while j + 1 < len(order) and values[order[j + 1]] == values[order[i]]:
            j += 1
        for k in order[i : j + 1]:
            out[k] = (i + j) / 2 + 1
        i = j + 1
    return out
