"""Reads of the arena: who may see which race or table, and what a race says in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone

from engine.analysis.stats import format_p
from engine.arena.synthetic import LANDSCAPES
from engine.catalog import in_words
from searches.charts.arena import drawn_as
from searches.models import Race, RaceTable
from searches.selectors.listing import age

#: differences below this p value (Wilcoxon's signed-rank test) count as differences
ALPHA = 0.05
TITLES = {
    "size-written": "largest first, as written",
    "size-live": "largest first, live operations",
    "optuna-tpe": "Optuna TPE",
    "optuna-gp": "Optuna GP",
    "optuna-nsga2": "Optuna NSGA-II",
}


class RaceNotFound(Race.DoesNotExist, Http404):
    """No such race or table, or somebody else's: over HTTP both are a 404."""


def races_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Race]:
    """A person's own races, the newest first, without what only their pages need."""
    return Race.objects.filter(owner_id=user.pk).select_related("table")


def race_get(*, user: AbstractBaseUser | AnonymousUser, id: int) -> Race:
    """One of the person's own races. One query.

    Raises:
        RaceNotFound: there is none, or it belongs to another person.
    """
    race = races_of(user).filter(pk=id).first() if 0 < id < 2**63 else None
    if race is None:
        raise RaceNotFound("no such race")
    return race


def tables_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[RaceTable]:
    """A person's own tables, the newest first."""
    return RaceTable.objects.filter(owner_id=user.pk)


def table_get(*, user: AbstractBaseUser | AnonymousUser, id: int) -> RaceTable:
    """One of the person's own tables.

    Raises:
        RaceNotFound: there is none, or it belongs to another person.
    """
    table = tables_of(user).filter(pk=id).first() if 0 < id < 2**63 else None
    if table is None:
        raise RaceNotFound("no such table")
    return table


def folder_tables() -> list[str]:
    """Names of the tables that lie in the data folder's `tables`, for everybody on this machine."""
    folder = Path(settings.DATA_DIR) / "tables"
    if not folder.is_dir():
        return []
    return sorted(p.name for p in folder.iterdir() if p.is_file() and p.name.endswith((".csv", ".csv.gz")))


def title(name: str) -> str:
    """What an entrant is called."""
    return TITLES.get(name) or in_words(name)


def problem_words(race: Race) -> str:
    """ "Cell, interactions", or the table's name with its reward."""
    spec = race.problem
    if "synthetic" in spec:
        scape = LANDSCAPES.get(spec["synthetic"])
        return scape.title if scape else str(spec["synthetic"])
    return f"{race.table}: {', '.join(spec['reward'])}"


# -- a race in words -------------------------------------------------------------------------------
@dataclass(frozen=True)
class Standing:
    """One line of the result table.

    Attributes:
        name, title: of the entrant.
        role, dash: its colour and dash in the charts.
        report, recommended, reward: Spread as a mapping ("mean", "se", "lower"), or None.
        found: share of runs that queried the optimum's class, and its lower bound.
        rank: average rank at this mark.
        ms: milliseconds per ask and tell.
        against: in words, against the one it is compared with; "" for that one itself.
        ahead: 1 ahead, -1 behind, 0 not to be told apart.
    """

    name: str
    title: str
    role: str
    dash: str
    seeds: int
    report: Mapping[str, Any]
    recommended: Mapping[str, Any] | None
    reward: Mapping[str, Any]
    found: Mapping[str, Any]
    rank: float | None
    ms: float
    against: str = ""
    ahead: int = 0


def marks_of(race: Race) -> list[int]:
    """Numbers of queries that the result table can be shown for."""
    return [int(m) for m in race.figures.get("marks", [])]


def standings(race: Race, *, mark: int, against: str) -> list[Standing]:
    """The result table after so many queries, the best first."""
    out = []
    for curve in race.figures.get("curves", []):
        row, name = curve["rows"][str(mark)], curve["label"]
        words, ahead = ("", 0) if name == against else verdict(race, name, against, mark)
        role, dash = drawn_as(race.entrants.index(name) + 1)
        out.append(
            Standing(
                name=name,
                title=title(name),
                role=role,
                dash=dash,
                seeds=curve["seeds"],
                report=row["report"],
                recommended=row["recommended"],
                reward=row["reward"],
                found=row["found"],
                rank=_rank(curve["rank"], mark),
                ms=curve["ms"],
                against=words,
                ahead=ahead,
            )
        )
    return sorted(out, key=lambda s: -s.report["mean"])


def _rank(curve: Mapping[str, Sequence[float]], mark: int) -> float | None:
    """The average rank at the point of its curve that is nearest."""
    if not curve["x"]:
        return None
    at = min(range(len(curve["x"])), key=lambda i: abs(curve["x"][i] - mark))
    return float(curve["y"][at])


def pair_of(race: Race, a: str, b: str, mark: int) -> tuple[Mapping[str, Any], int] | None:
    """The paired test of two entrants, and 1 where a is the one ahead, else -1."""
    for pair in race.figures.get("paired", []):
        if pair["at"] == mark and {pair["a"], pair["b"]} == {a, b}:
            return pair, 1 if pair["a"] == a else -1
    return None


def verdict(race: Race, a: str, b: str, mark: int) -> tuple[str, int]:
    """ "0.42 ahead of random (p < 0.001, 20 seeds)", and 1, -1 or 0 for ahead, behind and neither."""
    found = pair_of(race, a, b, mark)
    if found is None:
        return "", 0
    pair, sign = found
    seeds = f"{pair['n']} seed{'s' * (pair['n'] != 1)}"
    p = format_p(pair["p_wilcoxon"])
    if pair["p_wilcoxon"] >= ALPHA:
        gap = sign * pair["difference"]
        return f"not to be told apart from {title(b)} ({gap:+.2f}, {p}, {seeds})".replace("-", "−"), 0
    word = "ahead of" if sign > 0 else "behind"
    return f"{pair['difference']:.2f} {word} {title(b)} ({p}, {seeds})", sign


def headline(race: Race, mark: int, against: str) -> tuple[str, str]:
    """The answer of the page: a fact and what has to be said beside it."""
    rows = standings(race, mark=mark, against=against)
    if not rows:
        if race.state == Race.State.FAILED:
            return "Nothing was run", race.reason
        return ("Nothing has finished yet" if not race.ended else "Nothing was finished"), ""
    unit = race.figures.get("unit", "")
    first = rows[0]
    if min(row.seeds for row in rows) < 2:
        return "Too early to say who leads", f"one seed so far, after {mark:,} queries"
    spread = f" ± {first.report['se']:.2f}"
    fact = f"{first.title} leads: {first.report['mean']:.2f}{spread}{' ' + unit if unit else ''}"
    rest = f"after {mark:,} queries"
    if len(rows) > 1:
        second = rows[1]
        words, ahead = verdict(race, first.name, second.name, mark)
        if words:
            rest += f"; {words}"
        behind = second.name
        if first.name != against and against not in (behind, "") and ahead >= 0:
            more, _ = verdict(race, first.name, against, mark)
            rest += f"; {more}" if more else ""
    return fact, rest


def reference_of(race: Race, asked: str = "") -> str:
    """What others are compared with: the one asked for, else random search, else the first entrant."""
    have = [c["label"] for c in race.figures.get("curves", [])] or race.entrants
    for name in (asked, "random", *race.entrants):
        if name in have:
            return str(name)
    return ""


def facts(race: Race) -> list[str]:
    """What the race consists of."""
    out = [problem_words(race)]
    if race.problem.get("limit"):
        out.append(race.problem["limit"])
    out.append(f"{race.budget:,} queries, {race.seeds} seed{'s' * (race.seeds != 1)}")
    ceilings = race.figures.get("ceilings") or {}
    if ceilings:
        best, most = ceilings["best_reward"], ceilings["best_report"]
        out.append(f"the best reward reports {best:.2f}, the best report is {most:.2f}")
    if race.n_done and race.spent_s:
        out.append(f"{race.spent_s:,.0f} s of computing")
    return out


def percent_of(race: Race) -> int:
    """How much of it is done."""
    return min(100, int(100 * race.n_done / race.n_runs)) if race.n_runs else 100


@dataclass(frozen=True)
class RaceRow:
    """One race in the list."""

    race: Race
    problem: str
    who: str
    leader: str
    best: str
    percent: int
    age: str


def race_rows(user: AbstractBaseUser | AnonymousUser) -> list[RaceRow]:
    """A person's races as the list shows them. One query."""
    now = timezone.now()
    out = []
    for race in races_of(user):
        curves = race.figures.get("curves", [])
        mark = marks_of(race)[-1] if curves else 0
        told = bool(curves) and min(c["seeds"] for c in curves) > 1  # one seed makes nobody a leader
        first = standings(race, mark=mark, against="")[0] if told else None
        unit = race.figures.get("unit", "")
        out.append(
            RaceRow(
                race=race,
                problem=problem_words(race),
                who=", ".join(map(title, race.entrants)),
                leader=first.title if first else "",
                best=f"{first.report['mean']:.2f} {unit}".strip() if first else "",
                percent=percent_of(race),
                age=age((now - race.created_at).total_seconds()),
            )
        )
    return out
