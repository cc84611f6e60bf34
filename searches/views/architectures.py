"""One architecture by hand: read from what was pasted, drawn, costed, changed decision by decision, sent into a search.

The address is the view: `?s=` names the space (`layers`, `darts.nasnet`, `v12.3` for a version of a saved space,
`search7`), `?o=` holds options of its own, `?data=` the data set, `?a=` the architecture, `?trial=` what it began as.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import numpy as np
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET, require_POST

from engine import catalog
from engine.analysis.space_check import changed
from engine.architecture import Architecture
from engine.data import registry
from engine.errors import CannotBuild, EngineError, InvalidArchitecture
from engine.network.picture import picture
from engine.spaces.base import SearchSpace
from searches.bounded import TookTooLong, within
from searches.forms import spaces as form
from searches.forms.check import sentence
from searches.forms.space_text import LONGEST as LONGEST_STATE
from searches.models import Search, Trial
from searches.selectors import architectures as read
from searches.selectors import spaces as space_reads
from searches.selectors.searches import search_get, trial_get
from searches.services.proposing import trial_propose
from searches.services.writing import Rejected
from searches.views.overview import digit

#: seconds for drawing and costing, and for looking for other writings of the same network
DRAW_SECONDS = 6.0
TWIN_SECONDS = 0.7
LONGEST = 64 * 1024
TRIES = 40


@dataclass
class Look:
    """What the page says about one address."""

    s: str
    state: dict[str, Any]
    title: str
    trial: Trial | None = None
    search: Search | None = None
    canvas: form.Canvas | None = None
    arch: Architecture | None = None
    text: str = ""
    problem: str = ""
    unread: bool = False
    drawn: dict[str, Any] = field(default_factory=dict)

    @property
    def space(self) -> SearchSpace:
        """The space; only where the canvas has one."""
        assert self.canvas is not None and self.canvas.space is not None
        return self.canvas.space


@require_GET
def architecture(request: HttpRequest) -> HttpResponse:
    """The page; with the header `X-Part: look` only what changes with the architecture."""
    look = _look(request)
    part = request.headers.get("X-Part") == "look"
    if look.unread and not part and (other := _elsewhere(request, look)) is not None:
        return other
    context = _context(request, look)
    response = render(request, "spaces/_look.html" if part else "spaces/look.html", context)
    patch_vary_headers(response, ["X-Part"])
    response["Cache-Control"] = "private, no-cache"
    return response


def _look(request: HttpRequest) -> Look:
    look = _named(request)
    if (data := request.GET.get("data", "")[:80]) and data != look.state["data"].get("name"):
        look.state["data"] = {"name": data}
    look.canvas = form.canvas(look.state)
    if look.canvas.space is None:
        look.problem = " ".join(text for _, text in look.canvas.problems[:3])
        look.text = request.GET.get("a", "")[:LONGEST]
        return look
    try:
        within(DRAW_SECONDS, lambda: _draw(look, request.GET))
    except TookTooLong:
        look.problem = "Drawing this architecture takes too long here."
    return look


def _named(request: HttpRequest) -> Look:
    """The space that the address names."""
    s = request.GET.get("s", "layers")[:120]
    data = request.GET.get("data", "")[:80]
    if s.startswith("search") and s[6:].isascii() and s[6:].isdigit():
        search = search_get(user=request.user, id=int(s[6:24]))
        number = request.GET.get("trial", "")
        trial = None
        if number.isascii() and number.isdigit():
            trial = trial_get(user=request.user, id=search.pk, number=int(number[:9]))
        state = {"space": dict(search.config["space"]), "data": dict(search.config["data"])}
        return Look(s, state, search.name, trial=trial, search=search)
    if s.startswith("v") and (parts := s[1:].split("."))[0].isdigit() and s.isascii():
        number = int(parts[1][:9]) if len(parts) == 2 and parts[1].isdigit() else None
        version = space_reads.version_get(user=request.user, id=int(parts[0][:18]), number=number)
        return Look(s, space_reads.state_of(version), str(version))
    family, _, preset = s.partition(".")
    if family not in catalog.plugins("space"):
        raise Http404(f"no family of spaces is called {family[:80]}")
    data = data or space_reads.usual_data(family)
    spec, _ = form.spec_of({"name": data})
    options: dict[str, Any] = {}
    if given := request.GET.get("o", ""):
        try:
            options = dict(json.loads(given)) if len(given) <= LONGEST_STATE else {}
        except (ValueError, TypeError, RecursionError) as e:
            raise Http404("these options cannot be read") from e
    else:
        options = space_reads.preset_options(family, preset, spec)
    title = family.replace("_", " ")
    if preset:
        title += f": {next(p.title for p in catalog.get('space', family).presets if p.name == preset)}"
    return Look(s, {"space": {**options, "name": family}, "data": {"name": data}}, title)


def _draw(look: Look, query: Any) -> None:
    """Reads the architecture and what follows from it."""
    space = look.space
    text = query.get("a", "")
    if len(text) > LONGEST:
        look.problem = f"An architecture has at most {LONGEST:,} characters, this has {len(text):,}."
        return
    try:
        if text.strip():
            look.text, look.unread = text, True
            look.arch = space.read(text)
            look.unread = False
        elif look.trial is not None:
            look.arch = space.validate(look.trial.architecture)
        else:
            look.arch = _random(space, query.get("r", ""))
        if name := query.get("change", ""):
            look.arch = _change(space, look.arch, name, query.get("to", ""))
        look.text = space.write(look.arch)
        costs = space.costs(look.arch)
        look.drawn = {
            "picture": picture(space.planned(look.arch)),
            "costs": costs.as_metrics(),
            "name": space.short_name(look.arch),
        }
    except InvalidArchitecture as e:
        look.problem = sentence(str(e))
    except CannotBuild as e:
        look.problem = f"No network can be made of it for {look.state['data'].get('name')}: {e}."
    except EngineError as e:
        look.problem = sentence(str(e))


def _elsewhere(request: HttpRequest, look: Look) -> HttpResponse | None:
    """What was pasted, in the ready-made space that reads it, where a ready-made one was chosen that does not."""
    if "o" in request.GET or look.search is not None or look.canvas is None or look.s[1:2].isdigit():
        return None
    family, data = look.canvas.family, str(look.state["data"].get("name", ""))
    try:
        found = within(DRAW_SECONDS, lambda: read.read_elsewhere(look.text, data, family))
    except TookTooLong:
        return None
    if found is None:
        return None
    s, title, name = found
    messages.info(request, f"Read as {title}: {look.title} has no such architecture.")
    return redirect(f"{reverse('searches:architecture')}?{urlencode({'s': s, 'data': name, 'a': look.text})}")


def _random(space: SearchSpace, number: str) -> Architecture:
    """One that can be built; the same number gives the same one."""
    rng = np.random.default_rng([7, int(number[:9]) if number.isascii() and number.isdigit() else 0])
    arch = space.sample(rng)
    for _ in range(TRIES):
        try:
            space.costs(arch)
        except CannotBuild:
            arch = space.sample(rng)
        else:
            break
    return arch


def _change(space: SearchSpace, arch: Architecture, name: str, to: str) -> Architecture:
    for decision in space.decisions(arch):
        if decision.name == name:
            for option in decision.options:
                if json.dumps(option) == to:
                    return changed(space, arch, name, option)
            raise InvalidArchitecture(f"{name}: {to[:60]} is not offered here")
    raise InvalidArchitecture(f"{name[:60]}: does not act in this architecture")


# -- what the page says ----------------------------------------------------------------------------
def _context(request: HttpRequest, look: Look) -> dict[str, Any]:
    context: dict[str, Any] = {
        "look": look,
        "choices": read.choices(request.user, look.s, look.title, own="o" in request.GET),
        "sources": registry.datasets().values(),
        "options": request.GET.get("o", "")[:LONGEST_STATE],
        "notation": "",
        "page_title": look.drawn.get("name", "Look at an architecture"),
    }
    if look.canvas is None or look.canvas.space is None:
        return context
    space = look.space
    context["notation"] = sentence(space.notation.replace("`", "")) if space.notation else ""
    if look.arch is None or not look.drawn:
        return context | _decided(look)
    pixels = digit() if look.canvas.data is not None and look.canvas.data.name == "digits" else None
    return context | {
        "costs": look.drawn["costs"],
        "picture": {**look.drawn["picture"], "pixels": pixels},
        **_decided(look),
        "twins": _twins(look),
        "tried": read.tried(request.user, _key(look)),
        "sends": read.sends(request.user, look.canvas.family, look.arch, look.search),
        "difference": _difference(look),
        "choices_json": json.dumps(look.arch.choices),
        "search_link": _search_link(look),
    }


def _decided(look: Look) -> dict[str, Any]:
    """All active decisions, and those of them that have one option left."""
    decisions = _decisions(look) if look.arch is not None else []
    return {"decisions": decisions, "settled": [d for d in decisions if len(d["options"]) == 1]}


def _decisions(look: Look) -> list[dict[str, Any]]:
    """Each active decision with its options, along the way that `next` takes."""
    space, arch = look.space, look.arch
    assert arch is not None
    before = look.trial.architecture if look.trial else {}
    out = []
    for d in space.decisions(arch):
        out.append(
            {
                "name": d.name,
                "title": space.title(d.name),
                "group": d.group,
                "help": d.help,
                "changed": bool(before) and before.get(d.name, None) != arch[d.name],
                "options": [
                    {
                        "value": json.dumps(o),
                        "words": space.format(d.name, o),
                        "now": o is arch[d.name] or o == arch[d.name],
                    }
                    for o in d.options
                ],
            }
        )
    return out


def _difference(look: Look) -> list[tuple[str, str, str]]:
    if look.trial is None or look.arch is None:
        return []
    try:
        return look.space.difference(look.space.validate(look.trial.architecture), look.arch)
    except EngineError:
        return []


def _key(look: Look) -> str:
    assert look.arch is not None
    try:
        return within(2.0, lambda: look.space.canonical_key(look.arch))  # type: ignore[arg-type]
    except (EngineError, TookTooLong):
        return ""


def _twins(look: Look) -> dict[str, Any]:
    """Changes of one decision after which it is the same network, as far as there is time to look."""
    space, arch = look.space, look.arch
    assert arch is not None
    end = time.monotonic() + TWIN_SECONDS

    def find() -> dict[str, Any]:
        own = space.canonical_key(arch)
        found: list[str] = []
        looked = 0
        for d in space.decisions(arch):
            for option in d.options:
                if option == arch[d.name]:
                    continue
                if time.monotonic() > end:
                    return {"found": found, "looked": looked, "all": False}
                other = changed(space, arch, d.name, option)
                looked += 1
                try:
                    if space.canonical_key(other) == own:
                        found.append(space.describe_change(arch, other))
                except CannotBuild:
                    continue
        return {"found": found, "looked": looked, "all": True}

    try:
        return within(TWIN_SECONDS + 2, find)
    except (EngineError, TookTooLong):
        return {"found": [], "looked": 0, "all": False}


def _search_link(look: Look) -> str:
    """The form of a new search in this space, with this architecture as its first trial."""
    assert look.canvas is not None and look.arch is not None
    query: dict[str, str] = {"first": json.dumps(look.arch.choices)}
    if look.s.startswith("v") and look.s[1:2].isdigit():
        query["space"] = look.s[1:]
    elif look.search is not None:
        query["from"] = str(look.search.pk)
    else:
        query["family"] = look.canvas.family
        query["o"] = json.dumps(look.canvas.options)
        query["data"] = str(look.state["data"].get("name", ""))
    return f"{reverse('searches:new')}?{urlencode(query)}"


@require_POST
def propose(request: HttpRequest) -> HttpResponse:
    """Sends an architecture into a search that is under way."""
    given = request.POST.get("search", "")
    if not (given.isascii() and given.isdigit()):
        messages.error(request, "Choose a search first.")
        return redirect("searches:architecture")
    search = search_get(user=request.user, id=int(given[:18]))
    parent = request.POST.get("parent", "")
    try:
        choices = json.loads(request.POST.get("choices", "")[:LONGEST])
        if not isinstance(choices, dict):
            raise ValueError
    except (ValueError, RecursionError):
        messages.error(request, "That is no architecture.")
        return redirect("searches:architecture")
    number = int(parent[:9]) if parent.isascii() and parent.isdigit() else None
    try:
        said = trial_propose(search=search, by=request.user, choices=choices, parent=number)
    except (Rejected, EngineError) as e:
        messages.error(request, f"Not sent into “{search.name}”: {e}")
        query = {"s": f"search{search.pk}", "a": json.dumps(choices)} | ({"trial": str(number)} if number else {})
        return redirect(f"{reverse('searches:architecture')}?{urlencode(query)}")
    messages.success(request, said)
    return redirect("searches:trials", id=search.pk)
