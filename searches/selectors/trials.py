"""Reads of trials: rows for charts, the table with its filters, learning curves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F, Q, QuerySet

from engine.recipe import RECIPE_PREFIX
from engine.spaces.base import make_space
from searches.charts.base import TrialRow
from searches.charts.curves import Curve
from searches.charts.insight import Span
from searches.charts.options import OptionRow
from searches.models import Claim, Point, Search, Trial

#: what `?sort=` may say -> columns; anything else is refused
SORTS = {
    "accuracy": ("accuracy",),
    "number": ("number",),
    "wrong": ("n_wrong",),
    "epochs": ("epochs",),
    "macs": ("n_macs",),
    "params": ("n_params",),
    "time": ("duration_s",),
    "worker": ("worker",),
    "name": ("name",),
    "state": ("state",),
}
#: what `?state=` may say
FILTERS = {
    "all": Q(),
    "done": Q(state=Trial.State.COMPLETED),
    "running": Q(state__in=[Trial.State.RUNNING, Trial.State.WAITING, Trial.State.PAUSED]),
    "stopped": Q(state=Trial.State.PRUNED),
    "failed": Q(state__in=[Trial.State.FAILED, Trial.State.CANCELLED]),
    "front": Q(on_front=True),
}
FILTER_WORDS = {"stopped": "stopped early", "front": "on the front"}

_ROW = (
    "number", "name", "state", "accuracy", "n_wrong", "n_samples", "fidelity", "epochs", "n_params", "n_macs", "by",
    "why", "reason",
)  # fmt: skip


#: what work without a trial is called
PIECE_WORDS = {"supernet": "supernet", "score": "subnets scored", "measure": "operations measured"}
#: what a curve's label needs; the search too, or each row fetches its own
NAMED = ("search", "number", "name", "state")


def rows(trials: QuerySet[Trial], *, parents: bool = False) -> list[TrialRow]:
    """Trials as chart rows; one query, no model instances. `parents` costs decoding one JSON list a row."""
    names = (*_ROW, "parents") if parents else _ROW
    return [TrialRow(*values[:13], tuple(values[13]) if parents else ()) for values in trials.values_list(*names)]


def ended_rows(search: Search) -> list[TrialRow]:
    """All ended trials in the order of ending."""
    return rows(search.trials.filter(ended_at__isnull=False).order_by("ended_at", "number"))


def open_rows(search: Search) -> list[TrialRow]:
    """Trials under way that have a result so far."""
    return rows(search.trials.filter(state__in=[Trial.State.RUNNING, Trial.State.PAUSED], accuracy__isnull=False)[:100])


def filtered(search: Search, *, state: str = "all", text: str = "") -> QuerySet[Trial]:
    """Trials of a filter and a search text (name, choice, reason; case-insensitive)."""
    out = search.trials.filter(FILTERS.get(state, Q()))
    if text:
        text = text[:100].replace("\x00", "")
        digits = text.lstrip("#")
        number = Q(number=int(digits)) if digits.isascii() and digits.isdigit() and len(digits) < 9 else Q()
        out = out.filter(
            Q(name__icontains=text)
            | Q(why__icontains=text)
            | Q(reason__icontains=text)
            | Q(architecture__icontains=text)
            | number
        )
    return out


def ordered(trials: QuerySet[Trial], sort: str) -> QuerySet[Trial]:
    """Ordered by an allow-listed name, "-name" for descending; unknown ones fall back to the best first.

    Sorted by accuracy, short-trained and failed trials stand after the completed ones: they are not ranked with them.
    """
    name, descending = sort.removeprefix("-"), sort.startswith("-")
    columns = SORTS.get(name)
    if columns is None:
        name, descending, columns = "accuracy", True, ("accuracy",)
    keys = [F(c).desc(nulls_last=True) if descending else F(c).asc(nulls_last=True) for c in columns]
    if name == "accuracy":
        return trials.annotate(quick=~Q(state=Trial.State.COMPLETED)).order_by("quick", *keys, "n_macs", "number")
    return trials.order_by(*keys, "number")


def filter_counts(search: Search) -> list[dict[str, Any]]:
    """The filter chips with their counts, from the counters."""
    counts = {
        "all": search.n_trials,
        "done": search.n_completed,
        "running": search.n_running + search.n_waiting + search.n_paused,
        "stopped": search.n_pruned,
        "failed": search.n_failed + search.n_cancelled,
        "front": len(search.front or []),
    }
    return [{"key": k, "word": FILTER_WORDS.get(k, k), "count": n} for k, n in counts.items() if n or k == "all"]


def curves(trials: Iterable[Trial], *, metric: str = "accuracy", final: bool = False) -> list[Curve]:
    """Learning curves of trials in their order; one query for the points."""
    listed = list(trials)
    points: dict[int, list[tuple[int, float]]] = {t.pk: [] for t in listed}
    field = "loss" if metric == "loss" else "accuracy"
    for pk, epoch, value in (
        Point.objects.filter(trial__in=listed, final=final).order_by("epoch").values_list("trial_id", "epoch", field)
    ):
        if value is not None:
            points[pk].append((epoch, value))
    return [Curve(label=str(t), state=t.state, points=points[t.pk]) for t in listed]


def curve_sample(search: Search, *, state: str, text: str, without: Sequence[int], limit: int = 60) -> list[Trial]:
    """Trials whose curves stand for all of a filter: the best third and an even draw over the rest."""
    base = filtered(search, state=state, text=text).exclude(number__in=without).filter(epochs__gt=1)
    best = list(base.order_by(F("accuracy").desc(nulls_last=True), "number").only(*NAMED)[: limit // 3])
    have = {t.number for t in best}
    numbers = [n for n in base.order_by("number").values_list("number", flat=True) if n not in have]
    step = max(1, -(-len(numbers) // (limit - len(best)))) if numbers else 1
    rest = search.trials.filter(number__in=numbers[::step]).only(*NAMED).order_by("number")
    return [*rest, *best]


def finished_sample(search: Search, limit: int = 60) -> list[Trial]:
    """An even draw over the trials that were trained to the end."""
    done = search.trials.filter(state=Trial.State.COMPLETED)
    numbers = list(done.order_by("number").values_list("number", flat=True))
    step = max(1, -(-len(numbers) // limit))
    return list(done.filter(number__in=numbers[::step]).only(*NAMED).order_by("number"))


def spans(search: Search, now: Any) -> list[Span]:
    """Stretches of work for the timeline, seconds since the first claim's search start."""
    start = search.started_at or search.created_at
    listed: list[Span] = []
    for worker, a, b, outcome, number, name, state, kind in (
        Claim.objects.filter(search=search)
        .order_by("started_at", "id")
        .values_list(
            "worker", "started_at", "ended_at", "outcome", "job__trial__number", "job__trial__name",
            "job__trial__state", "job__kind",
        )
    ):
        end = b or (now if not search.ended else a)
        shown = "running" if not b and not search.ended else state or outcome or "done"
        if outcome in (Claim.Outcome.LOST, Claim.Outcome.FAILED):
            shown = "failed"
        listed.append(
            Span(
                worker=worker,
                start_s=(a - start).total_seconds(),
                end_s=max((end - start).total_seconds(), (a - start).total_seconds()),
                number=number,
                label=f"#{number} {name}" if number else PIECE_WORDS.get(kind, kind),
                state=shown,
            )
        )
    return listed


def option_rows(search: Search, config: Any, part: str = "") -> tuple[list[OptionRow], int]:
    """Accuracies of completed trials by option of each decision that was chosen in more than one way.

    Args:
        search: whose trials.
        config: its config.
        part: "recipe" or "network": only those decisions; empty = all.
    """
    from engine.data.spec import DataSpec

    space = make_space(config, DataSpec.model_validate(search.data_spec)) if search.data_spec else None
    by: dict[str, dict[Any, list[float]]] = {}
    n = 0
    done = search.trials.filter(state=Trial.State.COMPLETED, accuracy__isnull=False)
    for choices, accuracy in done.order_by("number").values_list("architecture", "accuracy"):
        n += 1
        for name, option in choices.items():
            by.setdefault(name, {}).setdefault(option, []).append(accuracy)
    order = [(d.name, d.options) for d in space.all_decisions()] if space else [(k, tuple(v)) for k, v in by.items()]
    out = []
    for name, options in order:
        chosen = by.get(name, {})
        wanted = not part or (part == "recipe") == name.startswith(RECIPE_PREFIX)
        if len(chosen) < 2 or not wanted:
            continue
        for option in options:
            if option in chosen:
                word = space.format(name, option) if space else str(option)
                out.append(
                    OptionRow(decision=space.title(name) if space else name, option=word, accuracies=chosen[option])
                )
    return out, n


def lineage(search: Search, number: int | None) -> list[int]:
    """From the first ancestor to the trial, following first parents; one query."""
    if number is None:
        return []
    earlier = search.trials.filter(number__lte=number).exclude(parents=[]).values_list("number", "parents")
    first = {n: parents[0] for n, parents in earlier}
    line = [number]
    while (before := first.get(line[-1])) is not None and before not in line and len(line) < 500:
        line.append(before)
    return line[::-1]
