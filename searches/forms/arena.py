"""The form of a race: everything is checked before anything is queued."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.http import QueryDict
from pydantic import ValidationError

from engine import catalog
from engine.arena import synthetic, tables
from engine.arena.entrants import ORDERS, PEERS
from engine.errors import EngineError
from engine.objectives import Objective
from engine.spaces.base import SearchSpace
from engine.strategies.base import GROUPS
from searches.bounded import TookTooLong, within
from searches.forms.fields import Choice
from searches.models import RaceTable
from searches.selectors.races import tables_of, title
from searches.services.race_problems import table_problem

BUDGETS, SEEDS = (5, 1000), (2, 200)
MOST_ENTRANTS = 12
#: queries of all runs together
MOST_QUERIES = 300_000
#: seconds that reading a table may take while a person waits
READ_S = 30.0
#: chosen at first, as far as there are
FIRST = ("auto", "random", "regularized_evolution", "local_search", "size-written")

#: columns that number or name a row and measure nothing; those that are costs; and what results are called
_IDENTIFIER = re.compile(r"(index|idx|id|row|hash|key|iso_?class)|.*_(index|idx|id|hash)")
_COST = re.compile(r"flop|mac|param")
_VALIDATED, _TESTED = re.compile(r"(?:^|_)val(?![a-z])|valid"), re.compile(r"(?:^|_)test(?![a-z])")
_NO_SCORE = re.compile(r"loss|time|second|std")


@dataclass
class RaceForm:
    """The form as shown.

    Attributes:
        values: what was typed, by field.
        errors: sentences by field.
        problems: groups of problems to choose from.
        table: the table chosen, with its columns to choose from.
        groups: strategies to choose from, by family.
    """

    values: dict[str, Any]
    errors: dict[str, list[str]] = field(default_factory=dict)
    problems: list[tuple[str, list[Choice]]] = field(default_factory=list)
    table: RaceTable | None = None
    rewards: list[Choice] = field(default_factory=list)
    reports: list[Choice] = field(default_factory=list)
    groups: list[tuple[str, list[Choice]]] = field(default_factory=list)
    summary: str = ""

    @property
    def limit_example(self) -> str:
        """A limit that this problem understands."""
        costs = [c for c in self.table.numbers if _COST.search(c.lower())] if self.table is not None else []
        return f"{next(iter(costs), 'n_macs')} <= p50"

    def wrong(self, name: str, text: str) -> None:
        """Adds an error."""
        self.errors.setdefault(name, []).append(text)


def race_form(user: AbstractBaseUser, given: QueryDict, *, suggest: bool = False) -> RaceForm:
    """The form with what was typed or named in the address, nothing checked.

    Args:
        suggest: choose reward and report by the columns' names where none is named.
    """
    problem = given.get("problem", "")
    own = list(tables_of(user))
    known = {f"synthetic:{name}" for name in synthetic.LANDSCAPES} | {f"table:{t.pk}" for t in own}
    if problem not in known:
        problem = next(iter(f"synthetic:{name}" for name in synthetic.LANDSCAPES))
    values: dict[str, Any] = {
        "problem": problem, "name": given.get("name", "")[:200], "limit": given.get("limit", "")[:100],
        "budget": given.get("budget", "100")[:20], "seeds": given.get("seeds", "20")[:20],
        "entrants": given.getlist("entrants"), "reward": given.getlist("reward"), "report": given.getlist("report"),
    }  # fmt: skip
    form = RaceForm(values)
    form.table = next((t for t in own if f"table:{t.pk}" == problem), None)
    form.problems = [
        ("Synthetic, optimum known", [
            Choice(f"synthetic:{name}", scape.title, f"synthetic:{name}" == problem, title=scape.summary)
            for name, scape in synthetic.LANDSCAPES.items()
        ]),
        ("Your tables", [Choice(f"table:{t.pk}", f"{t.name}, {t.n_rows:,} rows", t is form.table) for t in own]),
    ]  # fmt: skip
    if form.table is not None:
        numbers = form.table.numbers
        values["reward"] = [c for c in values["reward"] if c in numbers]
        values["report"] = [c for c in values["report"] if c in numbers]
        if suggest and not values["reward"] and not values["report"]:
            values["reward"], values["report"] = _by_name(numbers)
        numbers = [c for c in numbers if not _IDENTIFIER.fullmatch(c.lower())]
        form.rewards = [Choice(c, c, c in values["reward"]) for c in numbers]
        form.reports = [Choice(c, c, c in values["report"]) for c in numbers]
    form.groups = _strategies(_space_of(problem, form.table), values)
    n = len(values["entrants"])
    if values["budget"].isdigit() and values["seeds"].isdigit() and n:
        form.summary = f"{n * int(values['seeds']) * int(values['budget']):,} queries in all"
    return form


def _by_name(columns: Sequence[str]) -> tuple[list[str], list[str]]:
    """Reward and report by what columns are called: the first validation and the first test result, else accuracy."""
    columns = [c for c in columns if not _NO_SCORE.search(c.lower())]
    accuracies = [c for c in columns if "acc" in c.lower()]
    validated = [c for c in columns if _VALIDATED.search(c.lower())] or accuracies
    tested = [c for c in columns if _TESTED.search(c.lower()) and c not in validated[:1]] or accuracies[::-1]
    return validated[:1], tested[:1]


def _space_of(problem: str, table: RaceTable | None) -> SearchSpace | None:
    try:
        if table is None:
            return synthetic.space_of_problem(problem.removeprefix("synthetic:"))
        data = tables.data_of([], tuple(table.data["shape"]), table.data["classes"])
        return tables.bound_space(table.space["name"], {k: v for k, v in table.space.items() if k != "name"}, data)
    except (EngineError, ValidationError):
        return None


def _strategies(space: SearchSpace | None, values: dict[str, Any]) -> list[tuple[str, list[Choice]]]:
    """Every strategy by family, those that cannot serve the space with the reason; peers and orders by size."""
    reasons: dict[str, str] = {}
    groups: dict[str, list[tuple[str, str]]] = {g: [] for g in GROUPS.values()}
    for name, cls in catalog.plugins("strategy").items():
        groups[GROUPS[cls.group]].append((name, cls.summary))
        if space is not None and (reason := cls.supports(space, (Objective(),))):
            reasons[name] = reason
    groups["By size alone"] = [(n, "Nothing is learned: the largest networks first") for n in ORDERS]
    groups["Peers"] = [(n, "Optuna's own sampler, by the same rules") for n in PEERS]
    known = {name for found in groups.values() for name, _ in found} - reasons.keys()
    if not values["entrants"]:
        values["entrants"] = [name for name in FIRST if name in known]
    return [
        (words, [
            Choice(name, title(name), name in values["entrants"], name in reasons, reasons.get(name, summary))
            for name, summary in found
        ])
        for words, found in groups.items()
        if found
    ]  # fmt: skip


def race_checked(user: AbstractBaseUser, given: QueryDict) -> tuple[RaceForm, dict[str, Any] | None]:
    """The form with its errors, and what `race_create` takes where there are none."""
    form = race_form(user, given)
    v = form.values
    if given.get("problem") != v["problem"]:
        form.wrong("problem", "Choose a problem from the list; the one that was chosen is not there any more.")
    budget = _number(form, "budget", BUDGETS, "queries")
    seeds = _number(form, "seeds", SEEDS, "seeds")
    offered = {c.value: c for _, choices in form.groups for c in choices}
    chosen = list(dict.fromkeys(n for n in v["entrants"] if n in offered))
    for name in v["entrants"]:
        if name not in offered:
            form.wrong("entrants", f"There is no strategy called “{name[:60]}”.")
        elif offered[name].disabled:
            form.wrong("entrants", f"{title(name)} cannot race here: {offered[name].title}.")
    if not chosen:
        form.wrong("entrants", "Choose at least one strategy.")
    elif len(chosen) > MOST_ENTRANTS:
        form.wrong("entrants", f"At most {MOST_ENTRANTS} race at a time, {len(chosen)} were chosen.")
    if budget and seeds and budget * seeds * len(chosen) > MOST_QUERIES:
        form.wrong("seeds", f"{budget * seeds * len(chosen):,} queries in all are too many: at most {MOST_QUERIES:,}.")
    spec: dict[str, Any] = {"limit": v["limit"].strip()}
    if form.table is not None:
        spec |= {"reward": v["reward"], "report": v["report"]}
        for name in ("reward", "report"):
            if not spec[name]:
                form.wrong(name, f"Choose at least one {name} column.")
    else:
        spec["synthetic"] = v["problem"].removeprefix("synthetic:")
    if form.errors:
        return form, None
    table = form.table
    try:
        if table is not None:
            within(READ_S, lambda: table_problem(table, spec))
        elif spec["limit"]:
            within(READ_S, lambda: synthetic.problem(spec["synthetic"], spec["limit"]))
    except TookTooLong:
        form.wrong("problem", f"Reading this table took longer than {READ_S:g} s: leave out rows.")
    except EngineError as e:
        form.wrong("limit" if spec["limit"] else "problem", f"{e}.")
    if form.errors:
        return form, None
    name = v["name"].strip() or f"{len(chosen)} strategies on {_called(form)}"
    return form, {
        "name": name, "problem": spec, "table": table, "entrants": chosen, "budget": budget, "seeds": seeds,
    }  # fmt: skip


def _called(form: RaceForm) -> str:
    chosen = next((c.label for _, choices in form.problems for c in choices if c.chosen), "")
    return form.table.name if form.table is not None else chosen


def _number(form: RaceForm, name: str, bounds: tuple[int, int], words: str) -> int | None:
    text, (low, high) = form.values[name].strip(), bounds
    if not re.fullmatch(r"\d{1,9}", text) or not low <= int(text) <= high:
        form.wrong(name, f"A whole number of {words} from {low:,} to {high:,}, not “{text[:20]}”.")
        return None
    return int(text)
