"""What a strategy shows: small tables, each with a hint how to draw it. Pages draw them without knowing the strategy.

A view is `{"title", "columns", "rows", "note", "chart"}`; `chart` names columns of the table and is None for a table
that is read as it stands. Cells are numbers, short strings or None. At most `MOST_ROWS` rows: thin them before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: rows of one view; what grows with a search is thinned to this
MOST_ROWS = 400

View = dict[str, Any]


def view(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, chart: dict[str, Any] | None = None,
    note: str = "",
) -> View:  # fmt: skip
    """A table with a title (a question or a noun, no full stop), a note (one phrase: unit, split), and how to draw it.

    Raises:
        ValueError: a row with another number of cells, or a chart of a column that is not there.
    """
    if bad := [row for row in rows if len(row) != len(columns)]:
        raise ValueError(f"{title}: {len(columns)} columns, but a row has {len(bad[0])} cells")
    if chart is not None and (
        missing := [c for k, c in chart.items() if k not in ("kind", "diagonal") and c is not None and c not in columns]
    ):
        raise ValueError(f"{title}: the chart names {missing[0]!r}, which is no column")
    return {"title": title, "columns": list(columns), "rows": [list(r) for r in rows], "note": note, "chart": chart}


def scatter(
    x: str, y: str, *, spread: str | None = None, label: str | None = None, group: str | None = None,
    diagonal: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Points; `spread` = standard deviation of x, `label` = trial number, `group` colours, `diagonal` = y = x."""
    return {
        "kind": "scatter", "x": x, "y": y, "spread": spread, "label": label, "group": group, "diagonal": diagonal,
    }  # fmt: skip


def lines(x: str, y: str, *, series: str | None = None) -> dict[str, Any]:
    """One line a series (at most eight are told apart)."""
    return {"kind": "lines", "x": x, "y": y, "series": series}


def heat(x: str, y: str, z: str) -> dict[str, Any]:
    """A field of cells: columns x, rows y, value z."""
    return {"kind": "heat", "x": x, "y": y, "z": z}


def bars(x: str, y: str, *, series: str | None = None) -> dict[str, Any]:
    """Horizontal bars: one a row, named by x, as long as y."""
    return {"kind": "bars", "x": x, "y": y, "series": series}


def tree(node: str, parent: str, *, value: str | None = None) -> dict[str, Any]:
    """Who came from whom: trial numbers, a row for each parent; a first ancestor has a row without one.

    `value` places a node in height (else its generation does).
    """
    return {"kind": "tree", "node": node, "parent": parent, "value": value}


def thinned(rows: Sequence[Sequence[Any]], most: int = MOST_ROWS) -> list[Sequence[Any]]:
    """At most so many rows, evenly, the last one always among them."""
    if len(rows) <= most:
        return list(rows)
    step = (len(rows) - 1) / (most - 1)
    return [rows[round(i * step)] for i in range(most)]
