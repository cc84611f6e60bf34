"""Order under shared weights against order alone, and derived networks beside their random partners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from searches.charts.base import Figure, accuracy_axis, apart, escape, note, percent, rule

KINDS = {
    "derived": ("derived", {"color": "role:accent", "size": 9}),
    "random": ("random partner", {"color": "role:bg", "size": 9, "line": {"color": "role:ink-3", "width": 1.5}}),
    "other": ("proposed by hand", {"color": "role:ink-3", "size": 9, "symbol": "diamond"}),
}


class Both(Protocol):
    """A network with both accuracies, as `selectors.trust` gives it."""

    number: int
    name: str
    kind: str
    inherited: float
    alone: float


class Pair(Protocol):
    """A derived network and its random partner, as `selectors.trust` gives them."""

    derived: int
    random: int
    name: str
    partner: str
    accuracy: float
    against: float

    @property
    def points(self) -> float:
        """The difference."""


def orders(both: Sequence[Both]) -> Figure:
    """Accuracy trained alone over accuracy with shared weights. Only the order of the points counts, so the axes share
    neither range nor unit of length, and there is no diagonal.
    """
    x_axis = accuracy_axis([100 * b.inherited for b in both], whole=True)
    y_axis = accuracy_axis([100 * b.alone for b in both], whole=True)
    data: list[dict[str, Any]] = []
    for kind, (name, marker) in KINDS.items():
        mine = [b for b in both if b.kind == kind]
        data.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "marker": marker,
                "x": [percent(b.inherited) for b in mine], "y": [percent(b.alone) for b in mine],
                "customdata": [b.number for b in mine],
                "text": [
                    f"#{b.number} {escape(b.name)}, {name}<br>{100 * b.inherited:.1f} % with shared weights"
                    f"<br>{100 * b.alone:.1f} % trained alone"
                    for b in mine
                ],
                "hovertemplate": "%{text}<extra></extra>", "cliponaxis": False,
            }
        )  # fmt: skip
    labelled = apart(
        sorted(both, key=lambda b: -b.alone), lambda b: (percent(b.inherited), percent(b.alone)),
        0.08 * x_axis.height, 0.1 * y_axis.height,
    )[:12]  # fmt: skip
    return Figure(
        data=data if both else [],
        layout={
            "xaxis": {"range": [x_axis.floor, x_axis.ceiling], "dtick": x_axis.step,
                      "title": {"text": "accuracy with shared weights, %"}},
            "yaxis": y_axis.to_layout(),
            "margin": {"l": 36, "r": 16, "t": 28, "b": 44},
            "annotations": [
                note(0, 1, "trained alone, %", colour="ink-3", xref="paper", yref="paper", xanchor="left",
                     yanchor="bottom", xshift=-32, yshift=6),
                *(note(percent(b.inherited), percent(b.alone), f"#{b.number}", yshift=13) for b in labelled),
            ],
            "height": 320,
        },
        summary=f"Accuracy trained alone over accuracy with shared weights, of {len(both)} "
        f"network{'' if len(both) == 1 else 's'}; only their order is comparable.",
        columns=["network", "kind", "with shared weights, %", "trained alone, %"],
        rows=[[f"#{b.number} {b.name}", KINDS[b.kind][0], percent(b.inherited), percent(b.alone)] for b in both],
        empty="" if both else "The first network that was scored and trained alone appears here.",
    )  # fmt: skip


def beside(pairs: Sequence[Pair]) -> Figure:
    """A line a pair, from the random partner to the derived network, both trained alone."""
    axis = accuracy_axis([100 * v for p in pairs for v in (p.accuracy, p.against)], whole=True)
    rows = list(range(len(pairs)))
    shapes = [
        rule(x0=percent(p.against), x1=percent(p.accuracy), y0=i, y1=i, colour="line-strong", dash="solid",
             layer="below")
        for i, p in enumerate(pairs)
    ]  # fmt: skip

    def dots(name: str, values: list[float], numbers: list[int], marker: dict[str, Any], names: list[str]) -> Any:
        return {
            "type": "scatter", "mode": "markers", "name": name, "x": values, "y": rows, "marker": marker,
            "customdata": numbers, "cliponaxis": False,
            "text": [f"#{n} {escape(text)}, {name}<br>{v:.1f} % trained alone"
                     for n, text, v in zip(numbers, names, values, strict=True)],
            "hovertemplate": "%{text}<extra></extra>",
        }  # fmt: skip

    return Figure(
        data=[
            dots("random partner", [percent(p.against) for p in pairs], [p.random for p in pairs],
                 KINDS["random"][1], [p.partner for p in pairs]),
            dots("derived", [percent(p.accuracy) for p in pairs], [p.derived for p in pairs], KINDS["derived"][1],
                 [p.name for p in pairs]),
        ] if pairs else [],
        layout={
            "xaxis": {"range": [axis.floor, axis.ceiling], "dtick": axis.step, "showgrid": True,
                      "title": {"text": "validation accuracy, trained alone, %"}},
            "yaxis": {"range": [len(pairs) - 0.4, -0.6], "tickvals": rows, "showgrid": False,
                      "ticktext": [f"#{p.derived} and #{p.random}" for p in pairs], "ticklabelstandoff": 6},
            "margin": {"l": 8, "r": 56, "t": 8, "b": 44},
            "shapes": shapes,
            "annotations": [
                note(1, i, f"{p.points:+.1f}".replace("-", "−"), xref="paper", xanchor="left", xshift=8,
                     colour="ink")
                for i, p in enumerate(pairs)
            ],
            "height": 64 + 28 * max(1, len(pairs)),
        },
        summary=f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'} of a derived network and a random one of its "
        f"cost; the derived one is better in {sum(p.points > 0 for p in pairs)}.",
        columns=["derived", "%", "random partner", "%", "difference, points"],
        rows=[[f"#{p.derived} {p.name}", percent(p.accuracy), f"#{p.random} {p.partner}", percent(p.against),
               round(p.points, 2)] for p in pairs],
        empty="" if pairs else "The first pair appears here.",
    )  # fmt: skip
