"""Insight: one chart per question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.catalog import in_words
from searches.charts import family
from searches.charts.base import (
    MANY,
    MAX_POINTS,
    Figure,
    TrialRow,
    accuracy_axis,
    apart,
    below_range,
    count_ticks,
    escape,
    hover,
    marks_at,
    note,
    percent,
    rule,
    thin,
)

STATE_ROLE = {
    "completed": "role:st-done",
    "done": "role:st-done",
    "running": "role:st-running",
    "paused": "role:st-wait",
    "waiting": "role:st-wait",
    "pruned": "role:st-early",
    "failed": "role:st-failed",
    "cancelled": "role:ghost",
}
STATE_WORD = {"completed": "done", "pruned": "stopped early"}


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of work: seconds since the search's start."""

    worker: str
    start_s: float
    end_s: float
    number: int | None
    label: str
    state: str


def clock(seconds: float) -> str:
    """`6:17`, or `2:03:09` from an hour on."""
    s = max(0, round(seconds))
    return f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}" if s >= 3600 else f"{s // 60}:{s % 60:02d}"


def timeline(spans: Sequence[Span], *, now_s: float, winner: int | None, running: bool) -> Figure:
    """What the workers did: a bar per claim.

    Neighbouring bars of one worker that would be thinner than a pixel are merged, so that at most `MAX_POINTS` are
    drawn.
    """
    lanes: dict[str, list[Span]] = {}
    for s in sorted(spans, key=lambda s: s.start_s):  # one worker may hold several slots: a lane each
        for i in range(64):
            name = s.worker if not i else f"{s.worker} ({i + 1})"
            if name not in lanes or lanes[name][-1].end_s <= s.start_s + 1e-3:
                lanes.setdefault(name, []).append(s)
                break
    total = max(now_s, 1e-9)
    least = total * len(lanes) / MAX_POINTS if len(spans) > MAX_POINTS else 0.0
    bars: list[tuple[str, Span]] = []
    for lane, items in lanes.items():
        merged: Span | None = None
        for s in items:
            if merged and s.end_s - merged.start_s < least and s.state == merged.state:
                merged = Span(lane, merged.start_s, s.end_s, None, "several trials", s.state)
                bars[-1] = (lane, merged)
            else:
                merged = s
                bars.append((lane, s))
    busy = sum(s.end_s - s.start_s for s in spans)
    share = busy / (total * len(lanes)) if lanes else 0.0
    ticks, step = (
        [],
        next((t for t in (5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400) if total / t <= 9), 604800),
    )
    tick = 0.0
    while tick <= total:
        ticks.append(tick)
        tick += step
    names = sorted(lanes)
    data = [
        {
            "type": "bar",
            "orientation": "h",
            "y": [lane for lane, _ in bars],
            "base": [round(s.start_s, 2) for _, s in bars],
            "x": [round(s.end_s - s.start_s, 2) for _, s in bars],
            "width": 0.62,
            "marker": {
                "color": [STATE_ROLE.get(s.state, "role:ghost") for _, s in bars],
                "opacity": [1 if s.number is not None and s.number == winner else 0.55 for _, s in bars],
                "line": {"width": 1 if len(bars) < 400 else 0, "color": "role:bg"},
            },
            "text": [_inside(s, (s.end_s - s.start_s) / total) for _, s in bars],
            "textposition": "inside",
            "insidetextanchor": "middle",
            "textangle": 0,
            "constraintext": "none",
            "textfont": {"color": "role:ink"},
            "customdata": [s.number for _, s in bars],
            "hovertext": [
                f"{escape(s.label)}<br>{STATE_WORD.get(s.state, s.state)}, {clock(s.start_s)} to {clock(s.end_s)}"
                for _, s in bars
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    ]
    return Figure(
        data=data,
        layout={
            "barmode": "overlay",
            "xaxis": {
                "range": [0, total * 1.02],
                "tickvals": ticks,
                "ticktext": [clock(t) for t in ticks],
                "tickangle": 0,
                "title": {"text": "time since the start"},
            },
            "yaxis": {
                "categoryorder": "array",
                "categoryarray": names[::-1],
                "ticksuffix": "  ",
                "showgrid": False,
                "tickfont": {"color": "role:ink"},
            },
            "margin": {"l": 8, "r": 40, "t": 8, "b": 44},
            "shapes": [rule(x0=now_s, x1=now_s, yref="paper", y0=0, y1=1, colour="ink-2", dash="solid")]
            if running
            else [],
            "annotations": [note(now_s, 0.5, "now", yref="paper", xanchor="left", xshift=4)] if running else [],
            "height": 56 + 48 * max(1, len(names)),
        },
        summary=f"{len(spans)} stretches of work on {len(names)} slots; "
        f"{100 * share:.1f} % of their time was spent in trials.",
        columns=["worker", "trial", "state", "from", "to"],
        rows=[
            [s.worker, s.label, STATE_WORD.get(s.state, s.state), clock(s.start_s), clock(s.end_s)]
            for s in spans[-200:]
        ],
        empty="" if spans else "No worker has taken a trial yet.",
        small={"xaxis": {"tickvals": ticks[::3], "ticktext": [clock(t) for t in ticks[::3]]}},
        notes={"busy": round(100 * share, 1), "slots": len(names)},
    )


def _inside(span: Span, share: float) -> str:
    """What stands in a bar, where it is wide enough."""
    if span.number:
        return f"#{span.number}" if share > 0.025 else ""
    return "supernet" if span.label == "supernet" and share > 0.08 else ""


def how_far(trials: Sequence[TrialRow], *, full: int, rungs: Sequence[int]) -> Figure:
    """Epochs each trial got to, in the order of proposal; above 400 trials as counts per rung and state."""
    done = sum(t.epochs for t in trials)
    saved = sum(max(0, full - t.epochs) for t in trials if t.state == "pruned")
    where = {
        "summary": f"{done:,} epochs so far, {saved:,} saved by stopping early.",
        "notes": {"epochs": done, "saved": saved},
    }
    if len(trials) > 400:
        states = [
            s for s in ("completed", "pruned", "failed", "running", "paused") if any(t.state == s for t in trials)
        ]
        marks = sorted({*rungs, full})
        data = [
            {
                "type": "bar",
                "name": STATE_WORD.get(state, state),
                "x": [str(m) for m in marks],
                "y": [_between(trials, state, low, high) for low, high in zip([0, *marks], marks, strict=False)],
                "marker": {"color": STATE_ROLE[state]},
                "hovertemplate": f"%{{y}} trials {STATE_WORD.get(state, state)}, up to epoch %{{x}}<extra></extra>",
            }
            for state in states
        ]
        layout: dict[str, Any] = {
            "barmode": "stack",
            "xaxis": {"type": "category", "title": {"text": "epochs, up to"}},
            "yaxis": {"title": {"text": "trials"}},
            "margin": {"l": 52, "r": 8, "t": 12, "b": 44},
            "height": 232,
        }
        return Figure(
            data=data,
            layout=layout,
            columns=["state", *(f"up to {m}" for m in marks)],
            rows=[[STATE_WORD.get(s, s), *d["y"]] for s, d in zip(states, data, strict=True)],  # type: ignore[misc]
            **where,  # type: ignore[arg-type]
        )
    data = [
        {
            "type": "bar",
            "x": [t.number for t in trials],
            "y": [t.epochs for t in trials],
            "width": 0.7,
            "marker": {
                "color": [STATE_ROLE.get(t.state, "role:ghost") for t in trials],
                "opacity": [0.35 if t.state == "completed" else 0.9 for t in trials],
            },
            "customdata": [t.number for t in trials],
            "text": [hover(t, t.reason or STATE_WORD.get(t.state, t.state)) for t in trials],
            "textposition": "none",
            "hovertemplate": "%{text}<extra></extra>",
        }
    ]
    labels = [
        note(t.number, t.epochs, str(t.epochs), colour="ink", yshift=9)
        for t in trials
        if t.state != "completed" and len(trials) <= 60
    ]
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [0.3, len(trials) + 0.7],
                "tickvals": count_ticks(len(trials)),
                "tickformat": ",d",
                "title": {"text": "trial"},
            },
            "yaxis": {"range": [0, full * 1.1], "tickvals": sorted({0, *rungs, full})},
            "margin": {"l": 36, "r": 8, "t": 8, "b": 44},
            "annotations": labels,
            "height": 232,
        },
        columns=["trial", "state", "epochs"],
        rows=[[t.label, STATE_WORD.get(t.state, t.state), t.epochs] for t in trials],
        **where,  # type: ignore[arg-type]
    )


def _between(trials: Sequence[TrialRow], state: str, low: int, high: int) -> int:
    return sum(1 for t in trials if t.state == state and low < max(t.epochs, 1) <= high)


def _turn(trials: Sequence[TrialRow]) -> int | None:
    """The first trial made from others, where all before it were random and all behind it are children, too."""
    at = next((i for i, t in enumerate(trials) if t.parents), None)
    if not at or not all(t.at_random for t in trials[:at]) or not all(t.parents for t in trials[at:]):
        return None
    return trials[at].number


def _descent(trials: Sequence[TrialRow], lineage: Sequence[int], ended: bool) -> str:
    """The winner's line in a sentence, or that there is none."""
    if len(lineage) > 1:
        return "The winner descends " + " → ".join(f"#{n}" for n in lineage) + "."
    if not any(t.parents for t in trials):
        return "No network here was made from another one." if ended else "No lineage yet."
    return "The best so far was made from no other network." if lineage else "No lineage yet."


def genealogy(
    trials: Sequence[TrialRow], *, lineage: Sequence[int], whole: bool = False, ended: bool = False
) -> Figure:
    """From parent to child, in the order of proposal; the winner's line in the accent.

    Args:
        trials: all that have an accuracy or have ended; above `MAX_POINTS` a sample with the lineage.
        lineage: numbers from the first ancestor to the winner.
        whole: show outliers too.
        ended: nothing more will come.
    """
    line = set(lineage)
    known = [t for t in trials if t.accuracy is not None and t.state in ("completed", "running", "paused")]
    axis = accuracy_axis([100 * (t.accuracy or 0) for t in known if t.state == "completed"], whole=whole)
    inside = [t for t in known if 100 * (t.accuracy or 0) >= axis.floor]
    if len(inside) > MAX_POINTS:
        sample = {t.number for t in thin(inside, lambda t: t.accuracy or 0, MANY)} | line
        inside = [t for t in inside if t.number in sample]
    place: Mapping[int, TrialRow] = {t.number: t for t in inside}
    spots = {t.number: (float(t.number), percent(t.accuracy or 0)) for t in inside}
    pairs = family.edges(spots, ((p, t.number) for t in inside for p in t.parents), faint=len(inside) > 200)
    chain = [place[n] for n in lineage if n in place]
    below = below_range(known, axis.floor)
    marks = [(float(t.number), t.state, hover(t, t.reason)) for t in trials if t.state in ("pruned", "failed")]
    marks += [(float(t.number), t.state, hover(t, "below the range")) for t in below]
    first = _turn(trials)
    who = Counter(in_words(t.by) for t in trials if t.by) if first is None else Counter()

    def colour(t: TrialRow) -> str:
        return (
            "role:accent" if t.number in line else "role:bg" if t.at_random or t.state != "completed" else "role:ink-3"
        )

    def edge(t: TrialRow) -> str:
        if t.number in line:
            return "role:bg"
        return "role:st-running" if t.state != "completed" else "role:ink-3" if t.at_random else "role:bg"

    data: list[dict[str, Any]] = [
        pairs,
        family.line_of(spots, lineage),
        {
            "type": "scatter",
            "mode": "markers",
            "x": [t.number for t in inside],
            "y": [percent(t.accuracy or 0) for t in inside],
            "marker": {
                "size": [10 if t.number in line else 8 if len(inside) < 300 else 5 for t in inside],
                "color": [colour(t) for t in inside],
                "line": {"width": 1.5, "color": [edge(t) for t in inside]},
            },
            "text": [hover(t, t.why, f"proposed by {in_words(t.by)}" if t.by else "") for t in inside],
            "customdata": [t.number for t in inside],
            "hovertemplate": "%{text}<extra></extra>",
        },
        marks_at(axis.floor, thin(sorted(marks), lambda m: m[0], 400)),
    ]  # fmt: skip
    notes = [
        note(t.number, percent(t.accuracy or 0), f"#{t.number}", colour="accent", strong=True, yshift=14)
        for t in apart(
            chain[:-9:-1],
            lambda t: (t.number, percent(t.accuracy or 0)),
            0.06 * max((t.number for t in trials), default=1),
            0.05 * axis.height,
        )
    ]
    shapes = []
    if first:
        shapes.append(rule(x0=first - 0.5, x1=first - 0.5, yref="paper", y0=0, y1=1))
        if first > 0.12 * len(trials):  # else there is no room for the word
            notes.append(note(first - 0.5, 1, "random", yref="paper", xanchor="right", xshift=-6, yanchor="bottom"))
        notes.append(note(first - 0.5, 1, "evolved", yref="paper", xanchor="left", xshift=6, yanchor="bottom"))
    n = max((t.number for t in trials), default=1)
    return Figure(
        data=data,
        layout={
            "xaxis": {
                "range": [0, n + max(1, n * 0.03)],
                "tickvals": count_ticks(n),
                "tickformat": ",d",
                "title": {"text": "trial, in the order of proposal"},
            },
            "yaxis": axis.to_layout(),
            "margin": {"l": 36, "r": 12, "t": 24, "b": 44},
            "annotations": notes,
            "shapes": shapes,
            "height": 420,
        },
        summary=(said := _descent(trials, lineage, ended)),
        columns=["trial", "parents", "validation accuracy, %", "why proposed"],
        rows=[[t.label, ", ".join(f"#{p}" for p in t.parents), percent(t.accuracy or 0), t.why] for t in chain[::-1]],
        empty="" if inside else "The first result appears here.",
        notes={
            "edges": len(pairs["x"]) // 3,
            "below": len(below),
            "floor": axis.floor,
            "words": " ".join(
                [
                    *([said] if ended and len(lineage) < 2 else []),
                    *([f"Proposed by: {', '.join(f'{name} {n:,}' for name, n in who.most_common())}."] if who else []),
                ]
            ),
        },
    )
