"""The list of searches: a page of rows with all they show, in a fixed number of queries.

What a row costs does not grow with the history of its search: counters come from the search's row, ticks are read only
where there are few trials, and the curve of the best so far comes from the database as its steps alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.paginator import Page, Paginator
from django.db.models import Count, F, Max, Q, RowRange, Sum, Window
from django.db.models.functions import Lower, RowNumber
from django.utils import timezone

from searches.charts.insight import clock
from searches.charts.spark import spark_path
from searches.models import Artifact, Search, Trial
from searches.selectors.searches import searches_of
from searches.selectors.timeleft import elapsed_s, first_starts, supernets_under_way, trials_left_s
from searches.selectors.workers import workers_online

PER_PAGE = 25
LONGEST_QUERY = 200
MOST_STEPS = 60
MOST_TICKS = 48  # of 4 px each; above, a bar
MB = 1_000_000

#: name in the address -> (ascending, descending) order; nothing else can be asked for
SORTS: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "started": (("created_at", "pk"), ("-created_at", "-pk")),
    "name": ((Lower("name"), "pk"), (Lower("name").desc(), "-pk")),
    "state": (("state", "-created_at"), ("-state", "-created_at")),
    "best": ((F("best__accuracy").asc(nulls_last=True), "-pk"), (F("best__accuracy").desc(nulls_last=True), "-pk")),
    "trials": (("n_trials", "-pk"), ("-n_trials", "-pk")),
}
S = Search.State
FILTERS: dict[str, Q] = {
    "all": Q(),
    "running": Q(state__in=[S.RUNNING, S.FINISHING]),
    "waiting": Q(state__in=[S.QUEUED, S.PAUSED]),
    "needs-you": Q(state__in=[S.DRAFT, S.FAILED]),
    "ended": Q(state__in=[S.COMPLETED, S.STOPPED, S.FAILED]),
}
WORDS = {"needs-you": "needs you"}


@dataclass(frozen=True)
class View:
    """What the address asks for, made of allowed values only."""

    query: str = ""
    filter: str = "all"
    sort: str = "started"
    descending: bool = True
    archived: bool = False
    page: int = 1

    @classmethod
    def of(cls, given: Mapping[str, str]) -> View:
        """Reads the address; anything unknown is the default."""
        wanted = given.get("sort", "")
        name = wanted.removeprefix("-")
        known = name in SORTS
        page = given.get("page", "1")
        return cls(
            query=given.get("q", "").replace("\x00", "").strip()[:LONGEST_QUERY],
            filter=given.get("show", "all") if given.get("show") in FILTERS else "all",
            sort=name if known else "started",
            descending=wanted.startswith("-") if known else True,
            archived=given.get("archived") == "1",
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 8 else 1,
        )

    def address(self, **changes: Any) -> str:
        """The query string of this view with something changed; defaults are left out."""
        from urllib.parse import urlencode

        v = {**self.__dict__, "page": 1, **changes}
        sort = f"{'-' if v['descending'] else ''}{v['sort']}"
        parts = {
            "q": v["query"],
            "show": "" if v["filter"] == "all" else v["filter"],
            "sort": "" if sort == "-started" else sort,
            "archived": "1" if v["archived"] else "",
            "page": "" if v["page"] == 1 else v["page"],
        }
        text = urlencode({k: value for k, value in parts.items() if value})
        return f"?{text}" if text else "?"


@dataclass
class Row:
    """One search as the list shows it.

    Attributes:
        left_s: seconds until its last trial has ended, while it runs; None where that is not known.
    """

    search: Search
    about: str
    state: str
    word: str
    done: str
    percent: float
    ticks: list[dict[str, Any]] | None
    tick_label: str
    best: str
    how: str
    steps: list[tuple[int, float]] = field(default_factory=list)
    spark: str = ""
    spark_end: tuple[float, float] | None = None
    now: str = ""
    level: str = ""
    megabytes: str = "0"
    bytes: int = 0
    age: str = ""
    age_title: str = ""
    winner: str = ""
    left_s: float | None = None


@dataclass
class Listing:
    """The page: rows, and what stands above them."""

    view: View
    rows: list[Row]
    page: Page
    counts: dict[str, int]
    n_archived: int
    total_mb: str
    headline: tuple[str, str, str]
    online: int
    n_all: int


def listing(*, user: AbstractBaseUser | AnonymousUser, view: View) -> Listing:
    """Everything the list page shows. At most twelve queries, however many searches and trials there are."""
    mine = searches_of(user)
    shown = mine.filter(archived=view.archived)
    if view.query:
        q = Q(name__icontains=view.query)
        for part in ("data", "space", "strategy"):
            q |= Q(**{f"config__{part}__name__icontains": view.query.replace(" ", "_")})
        shown = shown.filter(q)
    tally = mine.aggregate(
        archived_n=Count("pk", filter=Q(archived=True)),
        all_n=Count("pk"),
        **{
            f"live_{s}": Count("pk", filter=Q(archived=False, state=s))
            for s in (S.RUNNING, S.FINISHING, S.QUEUED, S.FAILED, S.PAUSED, S.DRAFT)
        },
    )
    counts = shown.aggregate(**{f"n_{name.replace('-', '_')}": Count("pk", filter=q) for name, q in FILTERS.items()})
    rows = shown.filter(FILTERS[view.filter]).order_by(*SORTS[view.sort][int(view.descending)])
    rows = rows.select_related("best", "owner").defer("views", "data_spec", "front", "settings")
    page = Paginator(rows, PER_PAGE).get_page(view.page)
    online = workers_online()
    slots = sum(w.slots for w in online)
    searches = list(page.object_list)
    made = _rows(searches, slots=slots)
    total = Artifact.objects.filter(search__owner_id=user.pk).aggregate(n=Sum("bytes"))["n"] or 0
    return Listing(
        view=view,
        rows=made,
        page=page,
        counts={name: counts[f"n_{name.replace('-', '_')}"] for name in FILTERS},
        n_archived=tally["archived_n"],
        total_mb=megabytes(total),
        headline=_headline(tally, made, slots=slots),
        online=len(online),
        n_all=tally["all_n"],
    )


def _rows(searches: Sequence[Search], *, slots: int) -> list[Row]:
    now = timezone.now()
    few = [s.pk for s in searches if max(s.n_trials, _budget(s)) <= MOST_TICKS]
    ticks: dict[int, list[dict[str, Any]]] = defaultdict(list)
    found = Trial.objects.filter(search__in=few).order_by("search_id", "number")
    for search_id, state, epochs, target in found.values_list("search_id", "state", "epochs", "target_epochs"):
        tick: dict[str, Any] = {"state": state}
        if state == Trial.State.RUNNING:
            tick["percent"] = min(100, round(100 * epochs / max(1, target)))
        ticks[search_id].append(tick)
    steps = best_so_far([s.pk for s in searches])
    sizes = dict(
        Artifact.objects.filter(search__in=searches)
        .values("search")
        .annotate(n=Sum("bytes"))
        .values_list("search", "n")
    )
    running = [s for s in searches if s.state == S.RUNNING]
    firsts, supernets = first_starts(running), supernets_under_way(running, now)
    out = []
    for s in searches:
        row = _row(s, now, ticks.get(s.pk), steps.get(s.pk, []), int(sizes.get(s.pk) or 0), s.pk in few)
        if s.state == S.RUNNING:
            row.left_s = trials_left_s(s, now, ended=_ended(s), budget=_budget(s), first=firsts.get(s.pk))
        row.now, row.level = _now(row, now, slots, *supernets.get(s.pk, ("", None)))
        out.append(row)
    return out


def _ended(s: Search) -> int:
    return s.n_completed + s.n_pruned + s.n_failed + s.n_cancelled


def best_so_far(ids: Sequence[int]) -> dict[int, list[tuple[int, float]]]:
    """Steps of the best accuracy so far, by search: `(rank among the finished, accuracy)`, at most 60 each, ends exact.

    One query; the database sends improvements only.
    """
    order = [F("ended_at").asc(nulls_last=True), F("number").asc()]
    done = (
        Trial.objects.filter(search__in=list(ids), state=Trial.State.COMPLETED, accuracy__isnull=False)
        .annotate(
            at=Window(RowNumber(), partition_by="search_id", order_by=order),
            before=Window(
                Max("accuracy"), partition_by="search_id", order_by=order, frame=RowRange(start=None, end=-1)
            ),
        )
        .filter(Q(before__isnull=True) | Q(accuracy__gt=F("before")))
        .order_by("search_id", "at")
    )
    out: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for search_id, at, accuracy in done.values_list("search_id", "at", "accuracy"):
        out[search_id].append((at, accuracy))
    return {search_id: _thin(steps) for search_id, steps in out.items()}


def _thin(steps: list[tuple[int, float]]) -> list[tuple[int, float]]:
    if len(steps) <= MOST_STEPS:
        return steps
    last = len(steps) - 1
    return [steps[round(i * last / (MOST_STEPS - 1))] for i in range(MOST_STEPS)]


def _row(
    s: Search,
    now: datetime,
    ticks: list[dict[str, Any]] | None,
    steps: list[tuple[int, float]],
    size: int,
    few: bool,
) -> Row:
    budget, ended = _budget(s), _ended(s)
    all_ticks = None
    if few and s.n_trials:
        all_ticks = [*(ticks or []), *([{"state": "left"}] * (0 if s.ended else max(0, budget - len(ticks or []))))]
    config = s.config or {}
    about = [str(config.get(part, {}).get("name", "")).replace("_", " ") for part in ("data", "space", "strategy")]
    if config.get("evaluator", {}).get("name") not in (None, "trained"):
        about.append(str(config["evaluator"]["name"]))
    path, end = spark_path(steps, max(s.n_completed, 2))
    started = s.started_at or s.created_at
    states = {"completed": s.n_completed, "stopped early": s.n_pruned, "failed": s.n_failed, "running": s.n_running}
    return Row(
        search=s,
        about=" · ".join(a for a in about if a),
        state="cancelled" if s.state == S.STOPPED else s.state,
        word="cancelled" if s.state == S.STOPPED else s.state,
        done=f"{ended:,} of {budget:,}",
        percent=min(100.0, 100 * ended / max(1, budget)),
        ticks=all_ticks,
        tick_label=f"{ended} of {budget} trials: "
        + (", ".join(f"{n} {w}" for w, n in states.items() if n) or "none yet"),
        best="–" if s.best is None or s.best.accuracy is None else f"{100 * s.best.accuracy:.1f}",
        how=_how(s.best),
        steps=steps,
        spark=path,
        spark_end=end,
        megabytes=megabytes(size),
        bytes=size,
        age=age((now - started).total_seconds()),
        age_title=f"{'started' if s.started_at else 'made'} {started:%Y-%m-%d %H:%M} UTC",
        winner=f"{s.pk}.{s.best.number}" if s.best else "",
    )


def _budget(s: Search) -> int:
    trials = (s.config or {}).get("budget", {}).get("trials", 0)
    return int(trials) + s.extra_trials


def _how(best: Trial | None) -> str:
    if best is None or best.accuracy is None:
        return ""
    if best.source == "table":
        return "from the table"
    return f"{best.n_wrong:,} of {best.n_samples:,} wrong" if best.n_wrong is not None and best.n_samples else ""


def _now(row: Row, now: datetime, slots: int, supernet: str, supernet_s: float | None) -> tuple[str, str]:
    """What happens, or why nothing does; with "warn" or "fail" where a person should look."""
    s = row.search
    wait = s.waiting[0] if s.waiting else None
    if s.state == S.FAILED:
        return s.reason or "the reason was not recorded", "fail"
    if s.state in (S.QUEUED, S.RUNNING, S.FINISHING) and not slots:
        return "no worker is online", "warn"
    if s.state == S.DRAFT:
        return "not started: open it to go on", ""
    if s.state == S.QUEUED:
        return s.reason or (f"{wait['what']}: {wait['why']}" if wait else "starts by itself"), ""
    if s.state == S.PAUSED:
        return s.reason or "continues where it stopped", ""
    if s.state == S.FINISHING:
        return s.reason or "the winner is trained fully", ""
    if s.state == S.RUNNING:
        if row.left_s is not None:
            return f"about {clock(row.left_s)} left, {s.n_running} running", ""
        if supernet_s is not None:
            return f"about {clock(supernet_s)} left for {supernet}", ""
        return (
            f"{s.n_running} running"
            if s.n_running
            else str(wait["why"])
            if wait
            else "the first trials are on their way"
        ), ""
    final = s.best.final.get("metrics", {}) if s.best and s.best.final else {}
    if "test_accuracy" in final:
        n = int(final.get("n_test", 0))
        miss = f", {n - round(final['test_accuracy'] * n):,} of {n:,} wrong" if n else ""
        return f"sealed test {100 * final['test_accuracy']:.1f} %{miss}", ""
    if s.state == S.STOPPED:
        return s.reason or f"after {_ended(s):,} trials", ""
    return s.reason or f"in {clock(elapsed_s(s, now))}", ""


def _headline(tally: dict[str, int], rows: list[Row], *, slots: int) -> tuple[str, str, str]:
    """Fact in ink, its continuation, caveat in grey."""
    n = tally[f"live_{S.RUNNING}"] + tally[f"live_{S.FINISHING}"]
    rest = []
    if queued := tally[f"live_{S.QUEUED}"]:
        rest.append(f"{queued} {'waits' if queued == 1 else 'wait'}{'' if slots else ' for a worker'}")
    if paused := tally[f"live_{S.PAUSED}"]:
        rest.append(f"{paused} paused")
    if failed := tally[f"live_{S.FAILED}"]:
        rest.append(f"{failed} failed")
    if drafts := tally[f"live_{S.DRAFT}"]:
        rest.append(f"{drafts} {'draft' if drafts == 1 else 'drafts'}")
    caveat = f"{', '.join(rest)}." if rest else ""
    if not n:
        lead = "Nothing runs." if tally["all_n"] else "No search yet."
        return lead, "", caveat[:1].upper() + caveat[1:]
    ends = [row.left_s for row in rows if row.left_s is not None]
    verb = f"{n} {'search runs' if n == 1 else 'searches run'}"
    if not slots:
        return verb, "", " ".join([", but no worker is online.", caveat]).strip()
    if len(ends) == n:
        return verb, f" and {'ends' if n == 1 else 'the last ends'} in about {clock(max(ends))}.", caveat
    return verb, ".", caveat


def megabytes(n: int) -> str:
    """Megabytes: whole ones, one decimal below ten, 0 for nothing."""
    if not n:
        return "0"
    return f"{max(n / MB, 0.1):.1f}" if n < 10 * MB else f"{n / MB:,.0f}"


def age(seconds: float) -> str:
    """6 min, 3 h, yesterday, 3 days."""
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 86_400:
        return f"{seconds // 3600:.0f} h"
    days = int(seconds // 86_400)
    return "yesterday" if days == 1 else f"{days:,} days"
