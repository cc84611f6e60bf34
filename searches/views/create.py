"""The form of a new search: shown, followed while a person types, sent once."""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import time
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST
from pydantic import ValidationError

from engine import catalog
from engine.data import registry
from engine.errors import EngineError, InvalidConfig
from searches.forms import changed, learning, saved, yaml_text
from searches.forms import values as forms_values
from searches.forms.check import Checked, check
from searches.forms.sections import build
from searches.forms.spaces import canvas
from searches.forms.summary import summarise, time_of
from searches.forms.supernets import supernet_choices
from searches.models import Search, SpaceVersion
from searches.selectors.listing import age
from searches.selectors.searches import proposed_in, search_get, searches_of
from searches.selectors.spaces import newest_versions, version_get
from searches.selectors.workers import workers_online
from searches.services import lifecycle
from searches.services.spaces import space_create
from searches.services.writing import Rejected

SESSION = "search_forms"
DOUBLE_CLICK = timedelta(seconds=10)
KEPT = 5  # forms under way per person
KEY = re.compile(r"new|(?:from|edit)-[1-9]\d{0,17}")
TOKEN = re.compile(r"[A-Za-z0-9_-]{16,48}")


@require_http_methods(["GET", "HEAD", "POST"])
def new(request: HttpRequest) -> HttpResponse:
    """A new search, from nothing or (`?from=`) from another one."""
    origin = _origin(request.GET.get("from") or request.POST.get("form:from"), request)
    key = f"from-{origin.pk}" if origin else "new"
    return _form(request, key, origin, Search.Relation.CLONED if origin else Search.Relation.NONE)


@require_http_methods(["GET", "HEAD", "POST"])
def edit(request: HttpRequest, id: int) -> HttpResponse:
    """A draft, to go on with; anything else as a new search that is linked to it."""
    if request.method == "POST" and (done := _sent_before(request)):
        return done
    search = search_get(user=request.user, id=id)
    return _form(request, f"edit-{search.pk}", search, Search.Relation.EDITED)


def _form(request: HttpRequest, key: str, origin: Search | None, relation: str) -> HttpResponse:
    if request.method == "POST":
        return _sent_before(request) or _submit(request, key, origin, relation)
    if "fresh" in request.GET:
        _forget(request, key)
        return redirect(request.path + (f"?from={origin.pk}" if key.startswith("from-") and origin else ""))
    state = _state(request, key)
    if state.get("token") and _made_by(request, state["token"]) is not None:
        state = {}  # a late answer to what was typed came after Start: that form is done with
    restored = "values" in state
    if not restored:
        state["values"] = _first_values(origin, relation, _slots()[0])
        if origin is not None and origin.space_version_id:
            state["space_version"] = origin.space_version_id
        if origin is not None and origin.state == Search.State.DRAFT and (first := proposed_in(origin)):
            state["first"] = first
        learning.take_config(state, state["values"])
    _from_address(request, state)
    state.setdefault("token", secrets.token_urlsafe(24))
    _keep(request, key, state, touched=False)
    return _page(request, key, origin, relation, state, restored=restored)


def _first_values(origin: Search | None, relation: str, slots: int) -> dict[str, Any]:
    if origin is None:
        values = forms_values.fresh(parallelism=slots or 2)
        return values | {"name": forms_values.default_name(values)}
    values = forms_values.from_config(origin.config)
    draft = origin.state == Search.State.DRAFT and relation == Search.Relation.EDITED
    values["name"] = origin.name if draft else changed.next_name(origin.name)
    return values


def _from_address(request: HttpRequest, state: dict[str, Any]) -> None:
    """What the address asks for: a saved space (`?space=12.3`), a family with options, a data set, a strategy (with
    options as JSON, which are laid over those it has), a first trial."""
    values = state["values"]
    if wanted := request.GET.get("space", ""):
        id, _, number = wanted.partition(".")
        if not (wanted.isascii() and id.isdigit() and (number.isdigit() or not number)):
            raise Http404("no such space")
        version = version_get(user=request.user, id=int(id[:18]), number=int(number[:9]) if number else None)
        state["values"] = changed.with_space(values, version.config, version.data)
        state["space_version"] = version.pk
    elif (family := request.GET.get("family", "")) in catalog.plugins("space"):
        try:
            options = dict(json.loads(request.GET.get("o", "") or "{}"))
        except (ValueError, TypeError, RecursionError) as e:
            raise Http404("these options cannot be read") from e
        data = request.GET.get("data", "")
        given = {"name": data} if data in registry.sources() else values["data"]
        with contextlib.suppress(ValidationError):  # said at its field; what was left out has its default
            read = catalog.get("space", family).Options.model_validate(options)
            # parts of lists say what was said of them only
            options = read.model_dump(mode="json") | read.model_dump(mode="json", exclude_unset=True)
        state["values"] = changed.with_space(values, {**options, "name": family}, given)
        state.pop("space_version", None)
    elif (wanted := request.GET.get("data", "")) in registry.sources():
        state["values"] = changed.with_data(values, wanted)
    if (wanted := request.GET.get("strategy", "")) in catalog.methods():
        state["values"] = changed.with_strategy(state["values"], wanted, request.GET.get("options", ""))
    state["values"] = changed.with_start(state["values"], request.GET.get("start", ""))
    if first := saved.first_of(request.GET.get("first", "")):
        state["first"] = first


def _submit(request: HttpRequest, key: str, origin: Search | None, relation: str) -> HttpResponse:
    state = _state(request, key)
    values = _posted(request, state)
    checked = check(values)
    as_draft = request.POST.get("do") == "draft"
    state["values"] = values
    if request.POST.get("form:first") is None:
        state.pop("first", None)
    state["token"] = token = _token(request) or state.get("token") or secrets.token_urlsafe(24)
    if request.POST.get("do") == "space":
        return _keep_space(request, key, state, checked)
    if reason := saved.first_words(state.get("first"), checked)[1]:
        checked.problems.append(((), f"The first trial cannot be that architecture: {reason}."))
    if not checked.ok:
        _keep(request, key, state)
        return _page(request, key, origin, relation, state, checked=checked, focus_error=True, status=422)
    replaces = (
        origin
        if origin is not None and origin.state == Search.State.DRAFT and relation == Search.Relation.EDITED
        else None
    )
    try:
        search = lifecycle.search_create(
            owner=request.user,
            config=learning.with_frozen(request.user, checked, state),
            start=not as_draft,
            submit_token=_stored(request, token),
            origin=None if replaces else origin,
            relation="" if replaces else relation,
            space_version=saved.chosen(_version(request, state), checked.config),
            first=[state["first"]] if state.get("first") else (),
        )
        if replaces is not None:
            lifecycle.search_delete(search=replaces, by=request.user)
    except InvalidConfig as e:
        checked.problems += e.errors
        _keep(request, key, state)
        return _page(request, key, origin, relation, state, checked=checked, focus_error=True, status=422)
    except (EngineError, Rejected) as e:
        checked.problems.append(((), str(e)))
        _keep(request, key, state)
        return _page(request, key, origin, relation, state, checked=checked, focus_error=True, status=422)
    _forget(request, key)
    if as_draft:
        messages.success(request, f"“{search.name}” is kept as a draft.")
        return redirect("searches:list")
    return redirect("searches:detail", id=search.pk)


def _posted(request: HttpRequest, state: dict[str, Any]) -> dict[str, Any]:
    """The values of the posted form; a saved space that was chosen just now brings its own."""
    learning.take_post(state, request.POST)
    found = saved.taken(request.POST, newest_versions(user=request.user, also=state.get("space_version")))
    values = forms_values.renamed(forms_values.from_post(found.post, parallelism=_slots()[0] or 2))
    values = changed.to_sharing(values, request.POST.get("strategy:for", ""))
    if found.version is None:
        state.pop("space_version", None)
        return values
    state["space_version"] = found.version.pk
    return changed.with_space(values, found.version.config, found.version.data) if found.anew else values


def _version(request: HttpRequest, state: dict[str, Any]) -> SpaceVersion | None:
    """The saved space that is chosen, where it is still there and the person's own."""
    pk = state.get("space_version")
    return newest_versions(user=request.user, also=pk).get(pk) if pk else None


def _keep_space(request: HttpRequest, key: str, state: dict[str, Any], checked: Checked) -> HttpResponse:
    """Keeps the space of the form among the person's own; the form goes on."""
    made = canvas({"space": state["values"]["space"], "data": state["values"]["data"]})
    if made.problems:
        messages.error(request, f"The space is not kept: {made.problems[0][1]}")
    else:
        try:
            name = f"{state['values']['name'] or made.family}"[:200]
            version = space_create(owner=request.user, name=name, state=made.full)
        except Rejected as e:
            messages.error(request, str(e))
        else:
            state["space_version"] = version.pk
            state["values"] = state["values"] | {"space": dict(version.config)}
            messages.success(request, f"The space is kept as “{version.space.name}”, among your spaces.")
    _keep(request, key, state)
    return redirect(request.get_full_path().partition("?")[0] + (f"?from={key[5:]}" if key.startswith("from-") else ""))


def _sent_before(request: HttpRequest) -> HttpResponse | None:
    """Where this very form has been sent already (double click, Back): to the search it made."""
    token = _token(request)
    if not token or (made := _made_by(request, token)) is None:
        return None
    if timezone.now() - made.created_at > DOUBLE_CLICK:
        messages.info(request, "That form was sent before and made this search. Clone it to make another one.")
    if made.state == Search.State.DRAFT:
        return redirect("searches:edit", id=made.pk)
    return redirect("searches:detail", id=made.pk)


def _made_by(request: HttpRequest, token: str) -> Search | None:
    """The search that a form with this token has made already."""
    return searches_of(request.user).filter(submit_token=_stored(request, token)).first()


def _token(request: HttpRequest) -> str:
    token = request.POST.get("token", "")
    return token if TOKEN.fullmatch(token) else ""


def _stored(request: HttpRequest, token: str) -> str:
    """Tokens are kept per person, so that nobody's form can meet another's."""
    return f"{request.user.pk}:{token}"[:64]


# -- followed while it is filled in ----------------------------------------------------------------
@require_POST
def part(request: HttpRequest, part: str) -> HttpResponse:
    """Pieces of the form page: `fields`, `summary`, `paste`, `preflight`."""
    key = request.POST.get("form:key", "new")
    if part not in ("fields", "summary", "paste", "preflight") or not KEY.fullmatch(key):
        raise Http404("no such part of the form")
    state = _state(request, key)
    if part == "paste":
        try:
            values = forms_values.complete(forms_values.from_yaml(request.POST.get("yaml", "")))
        except InvalidConfig as e:
            response = render(request, "searches/_form_yaml_error.html", {"errors": [text for _, text in e.errors]})
            response["HX-Retarget"], response["HX-Reswap"] = "#yaml-error", "innerHTML"
            return response
        values["name"] = str(values.get("name", "") or "")
        learning.take_config(state, values)
    else:
        values = _posted(request, state)
    checked = check(values)
    state["values"] = json.loads(json.dumps(values, default=str))
    context = _context(request, key, state, checked, ask=True)
    if (token := _token(request)) and _made_by(request, token) is None:
        _keep(request, key, state | {"token": token})
    elif not token:
        _keep(request, key, state)
    context |= {"oob": part in ("fields", "paste"), "kept": "draft kept just now", "part": part}
    template = (
        "searches/_form_fields_answer.html" if part in ("fields", "paste") else "searches/_form_summary_answer.html"
    )
    return render(request, template, context)


def _page(
    request: HttpRequest,
    key: str,
    origin: Search | None,
    relation: str,
    state: dict[str, Any],
    *,
    checked: Checked | None = None,
    restored: bool = False,
    focus_error: bool = False,
    status: int = 200,
) -> HttpResponse:
    checked = checked or check(state["values"])
    context = _context(request, key, state, checked, ask=False)
    titles = {Search.Relation.CLONED: "New search, cloned", Search.Relation.EDITED: "Edit as a new search"}
    draft = origin is not None and origin.state == Search.State.DRAFT and relation == Search.Relation.EDITED
    kept_at = state.get("at")
    ago = age(max(0.0, time.time() - kept_at)) if restored and kept_at else ""
    ago = {"": "", "now": "just now", "yesterday": "yesterday"}.get(ago, f"{ago} ago")
    query = f"from={origin.pk}&" if origin and key.startswith("from-") else ""
    context |= {
        "title": "Edit the draft" if draft else titles.get(relation, "New search"),
        "origin": None if draft else origin,
        "key": key,
        "token": state["token"],
        "action": request.path,
        "fresh_url": f"{request.path}?{query}fresh=1",
        "kept": f"draft kept {ago}" if ago else "",
        "restored": restored,
        "focus_error": focus_error,
        "oob": False,
    }
    response = render(request, "searches/new.html", context, status=status)
    response["Cache-Control"] = "no-store"  # Back shows a form that can be sent, not the one that was
    return response


def _context(request: HttpRequest, key: str, state: dict[str, Any], checked: Checked, *, ask: bool) -> dict[str, Any]:
    slots, n_workers = _slots()
    values = state["values"]
    version = _version(request, state)
    saved_choices = saved.choices(newest_versions(user=request.user, also=state.get("space_version")), version)
    earlier = learning.choices(request.user, checked, state)
    supernets = supernet_choices(
        user=request.user, space=str(values["space"].get("name")), chosen=str(values["strategy"].get("start") or "")
    )
    form = build(values, checked, slots=slots, saved=saved_choices, earlier=earlier, supernets=supernets)
    first, first_why = saved.first_words(state.get("first"), checked)
    kept = state.setdefault("preflight", {})
    measured = time_of(owner=request.user, checked=checked, kept=kept, slots=slots, ask=ask)
    teachers = sum(c.chosen for c in earlier)
    summary = summarise(form, checked, measured, slots=slots, n_workers=n_workers, earlier=teachers)
    lines = yaml_text.lines(values, checked)
    return {
        "form": form,
        "checked": checked,
        "summary": summary,
        "lines": lines,
        "yaml": "\n".join(line.text for line in lines) + "\n",
        "yaml_full": checked.config.to_yaml() if checked.config else "",
        "state_json": json.dumps(
            {
                "errors": form.by_field,
                "folds": form.folds,
                "helps": form.helps,
                "ok": checked.ok,
                "why": summary.why_not,
                "can_keep_space": checked.facts is not None and saved.chosen(version, checked.config) is None,
            }
        ),
        "outline_json": json.dumps(summary.outline) if summary.outline else "",
        "parts_url": reverse("searches:form_part", args=["summary"]).removesuffix("summary/"),
        "key": key,
        "first": first,
        "first_why": first_why,
    }


def _slots() -> tuple[int, int]:
    online = workers_online()
    return sum(w.slots for w in online), len(online)


def _origin(given: str | None, request: HttpRequest) -> Search | None:
    if not given:
        return None
    if not given.isascii() or not given.isdigit():
        raise Http404("no such search")
    return search_get(user=request.user, id=int(given))


# -- what is kept between two requests, so that nothing typed is lost --------------------------------
def _state(request: HttpRequest, key: str) -> dict[str, Any]:
    return dict(request.session.get(SESSION, {}).get(key, {}))


def _keep(request: HttpRequest, key: str, state: dict[str, Any], *, touched: bool = True) -> None:
    if touched:
        state["at"] = time.time()
    forms = {k: v for k, v in request.session.get(SESSION, {}).items() if k != key}
    forms[key] = json.loads(json.dumps(state, default=str))
    request.session[SESSION] = dict(list(forms.items())[-KEPT:])


def _forget(request: HttpRequest, key: str) -> None:
    forms = dict(request.session.get(SESSION, {}))
    forms.pop(key, None)
    request.session[SESSION] = forms
