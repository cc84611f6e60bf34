"""The arena: races, their pages, and the tables they are run on."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from searches.charts import arena as charts
from searches.charts.base import Figure
from searches.forms.arena import race_checked, race_form
from searches.forms.arena_tables import table_checked, table_form
from searches.models import Race
from searches.selectors import races as read
from searches.services import racing
from searches.services.writing import Rejected
from searches.views.create import TOKEN


@require_GET
def arena(request: HttpRequest) -> HttpResponse:
    """All races and tables of a person; with htmx only the races, which ask for themselves while one goes on."""
    rows = read.race_rows(request.user)
    live = [row for row in rows if not row.race.ended]
    context = {"rows": rows, "live": live, "tables": list(read.tables_of(request.user)), "poll": bool(live)}
    template = "arena/_races.html" if getattr(request, "htmx", False) else "arena/list.html"
    return render(request, template, context)


@require_http_methods(["GET", "HEAD", "POST"])
def race_new(request: HttpRequest) -> HttpResponse:
    """The form of a race; the address may name its values (`?problem=table:3&budget=50`)."""
    if request.method == "POST":
        token = request.POST.get("token", "")
        form, made = race_checked(request.user, request.POST)
        if made is not None:
            try:
                race = racing.race_create(
                    owner=request.user, submit_token=token if TOKEN.fullmatch(token) else "", **made
                )
                return redirect("searches:race", id=race.pk)
            except Rejected as e:
                form.wrong("", str(e))
    else:
        form, token = race_form(request.user, request.GET, suggest=True), secrets.token_urlsafe(24)
    context = {"form": form, "token": token, "v": form.values}
    return render(request, "arena/new.html", context, status=422 if form.errors else 200)


def _shown(request: HttpRequest, id: int) -> tuple[Race, int, str]:
    """The race, after how many queries it is looked at, and against whom."""
    race = read.race_get(user=request.user, id=id)
    marks = read.marks_of(race) or [race.budget]
    asked = request.GET.get("at", "")
    mark = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 6 and int(asked) in marks else marks[-1]
    return race, mark, read.reference_of(race, request.GET.get("against", ""))


@require_GET
def race(request: HttpRequest, id: int) -> HttpResponse:
    """One race; with the header `X-Part: race` only what changes by itself."""
    race, mark, against = _shown(request, id)
    rows = read.standings(race, mark=mark, against=against)
    fact, rest = read.headline(race, mark, against)
    marks = read.marks_of(race)

    def address(**changes: object) -> str:
        return "?" + urlencode({"at": mark, "against": against, **changes})

    context = {
        "race": race, "rows": rows, "fact": fact, "rest": rest, "mark": mark, "unit": race.figures.get("unit", ""),
        "facts": read.facts(race), "against": against, "against_title": read.title(against),
        "marks": [(m, address(at=m), m == mark) for m in marks],
        "others": [(r.name, r.title, address(against=r.name)) for r in rows],
        "keys": [(read.title(n), *charts.drawn_as(i)) for i, n in enumerate(race.entrants, 1)],
        "failures": [(read.title(n), why) for n, why in race.failures.items()],
        "percent": read.percent_of(race), "bands": charts.BANDS,
        "again": _again(race),
    }  # fmt: skip
    template = "arena/_race.html" if request.headers.get("X-Part") == "race" else "arena/race.html"
    answer = render(request, template, context)
    answer["Cache-Control"] = "private, no-cache"
    answer["Vary"] = "X-Part, Cookie"
    return answer


def _again(race: Race) -> str:
    """The form's address with the values of a race."""
    spec = race.problem
    problem = f"synthetic:{spec['synthetic']}" if "synthetic" in spec else f"table:{race.table_id}"
    values = {
        "problem": problem, "budget": race.budget, "seeds": race.seeds, "limit": spec.get("limit", ""),
        "entrants": race.entrants, "reward": spec.get("reward", []), "report": spec.get("report", []),
    }  # fmt: skip
    return urlencode(values, doseq=True)


@require_GET
@gzip_page
def race_figure(request: HttpRequest, id: int, name: str) -> JsonResponse:
    """One chart of a race: regret by queries or by cost, or ranks."""
    race, _, _ = _shown(request, id)
    curves, unit = race.figures.get("curves", []), race.figures.get("unit", "")
    titles = {n: read.title(n) for n in race.entrants}
    places = {n: i for i, n in enumerate(race.entrants, 1)}
    whole = request.GET.get("range") == "all"
    made: Figure
    match name:
        case "queries" | "cost":
            made = charts.regret(curves, titles, places, by=name, unit=unit, whole=whole)
        case "ranks":
            made = charts.ranks(curves, titles, places)
        case _:
            raise Http404(f"no chart of a race is called {name}")
    answer = JsonResponse(made.to_json())
    answer["Cache-Control"] = "private, no-cache"
    return answer


@require_POST
def race_action(request: HttpRequest, id: int, action: str) -> HttpResponse:
    """Stops or deletes a race."""
    race = read.race_get(user=request.user, id=id)
    try:
        match action:
            case "stop":
                racing.race_stop(race=race)
                messages.success(request, f"“{race.name}” is stopped; what was run stays.")
                return redirect("searches:race", id=race.pk)
            case "delete":
                racing.race_delete(race=race)
                messages.success(request, f"“{race.name}” is deleted.")
            case _:
                raise Http404(f"no action on a race is called {action}")
    except Rejected as e:
        messages.error(request, str(e))
    return redirect("searches:arena")


@require_http_methods(["GET", "HEAD", "POST"])
def table_new(request: HttpRequest) -> HttpResponse:
    """Adds a table to race on: an upload, or one of the data folder."""
    if request.method == "POST":
        form, made = table_checked(request.user, request.POST.dict(), request.FILES.get("file"))
        if made is not None:
            try:
                table = racing.table_create(owner=request.user, **made)
                messages.success(request, f"“{table.name}” is kept: {table.n_rows:,} architectures.")
                return redirect(f"{reverse('searches:arena_new')}?problem=table:{table.pk}")
            except Rejected as e:
                form.wrong("", str(e))
    else:
        form = table_form(request.user, request.GET.dict())
    return render(request, "arena/table.html", {"form": form, "v": form.values}, status=422 if form.errors else 200)


@require_POST
def table_action(request: HttpRequest, id: int, action: str) -> HttpResponse:
    """Deletes a table."""
    table = read.table_get(user=request.user, id=id)
    if action != "delete":
        raise Http404(f"no action on a table is called {action}")
    try:
        racing.table_delete(table=table)
        messages.success(request, f"“{table.name}” is deleted.")
    except Rejected as e:
        messages.error(request, str(e))
    return redirect("searches:arena")
