"""The canvas: one space as a form and as a drawing, opened, and kept as a space or as a new version of one."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from engine import catalog
from engine.errors import InvalidConfig
from searches.charts.spaces import COSTS
from searches.forms import spaces as form
from searches.forms.space_rows import rows as rows_of
from searches.forms.space_text import LONGEST, from_text, too_long
from searches.models import Space, SpaceVersion
from searches.selectors import spaces as read
from searches.selectors.listing import age
from searches.services import spaces as services
from searches.services.writing import Rejected
from searches.views.canvas_parts import CHUNKS
from searches.views.canvas_state import COUNT_SECONDS, length_of, refused, size_of, state_answer


# -- the page --------------------------------------------------------------------------------------
@require_GET
def space_new(request: HttpRequest) -> HttpResponse:
    """A space that is not kept yet: from a card of the gallery (`?family=&preset=&data=`), or from options (`?o=`)."""
    family = request.GET.get("family", "layers")[:80]
    preset = request.GET.get("preset", "")[:80]
    if family not in catalog.plugins("space"):
        raise Http404(f"no family of spaces is called {family}")
    data = request.GET.get("data", "")[:80] or read.usual_data(family)
    spec, _ = form.spec_of({"name": data})
    state: dict[str, Any] = {"space": {"name": family}, "data": {"name": data}}
    name = f"{family.replace('_', ' ')} for {data}"
    if preset or "o" not in request.GET:
        state["space"] |= read.preset_options(family, preset, spec)
    if preset:
        name = next(p.title for p in catalog.get("space", family).presets if p.name == preset)
    if given := request.GET.get("o", ""):
        try:
            state["space"] |= from_text(json.dumps({"space": {"name": family, **json.loads(given)}}))["space"]
        except (ValueError, TypeError, InvalidConfig) as e:
            raise Http404("these options cannot be read") from e
    return _page(request, state, name=name)


@require_GET
def space(request: HttpRequest, id: int) -> HttpResponse:
    """A kept space, in its newest version or in another (`?version=`)."""
    found = read.space_get(user=request.user, id=id)
    wanted = request.GET.get("version", "")
    if wanted and not (wanted.isascii() and wanted.isdigit() and len(wanted) < 10):
        raise read.SpaceNotFound("no such version")
    version = read.version_of(found, int(wanted) if wanted else None)
    return _page(request, read.state_of(version), name=found.name, space=found, version=version)


def shared_page(request: HttpRequest, version: SpaceVersion) -> HttpResponse:
    """A space of somebody else, to look at."""
    return _page(request, read.state_of(version), name=version.space.name, version=version, readonly=True)


def _page(
    request: HttpRequest,
    state: dict[str, Any],
    *,
    name: str,
    space: Space | None = None,
    version: SpaceVersion | None = None,
    readonly: bool = False,
) -> HttpResponse:
    made = form.canvas(state)
    versions = read.versions_of(space) if space else []
    answer = state_answer(made, version)
    mine = version is not None and version.space.owner_id == request.user.pk
    context: dict[str, Any] = {
        "name": name,
        "space": space,
        "version": version,
        "versions": versions,
        "newest": versions[0].number if versions else 0,
        "searches": read.searches_with(space) if space else [],
        "readonly": readonly,
        "mine": mine,
        "rows": rows_of(made),
        "made": made,
        "answer": answer,
        "state_json": json.dumps(answer),
        "restrict_json": json.dumps(made.options.get("restrict") or {}),
        "data_json": json.dumps({k: v for k, v in made.state["data"].items() if k != "name"}),
        "costs": COSTS,
        "chunks": CHUNKS,
        "parts_url": reverse("searches:space_part", args=["state"]).removesuffix("state/"),
        "share_url": request.build_absolute_uri(reverse("searches:space_shared", args=[space.share_token]))
        if space and space.share_token
        else "",
    }
    response = render(request, "spaces/canvas.html", context)
    response["Cache-Control"] = "no-store"
    return response


# -- keeping ---------------------------------------------------------------------------------------
@require_POST
def save(request: HttpRequest) -> JsonResponse:
    """Keeps what stands on the canvas: a new space, or a new version of the one it was opened from."""
    if (n := length_of(request)) > 2 * LONGEST:
        return refused([(("space",), too_long(n))], 413)
    try:
        made = form.canvas(form.from_post(request.POST))
    except InvalidConfig as e:
        return refused(e.errors, 422)
    if made.problems:
        return JsonResponse({"ok": False, "errors": made.by_field}, status=422)
    assert made.space is not None
    size = size_of(made.space, COUNT_SECONDS)
    kept = {"size": str(size.get("text", "")), "exact_size": bool(size.get("exact", True))}
    name, note = request.POST.get("name", ""), request.POST.get("note", "")
    id = request.POST.get("form:space", "")
    try:
        if id.isascii() and id.isdigit() and request.POST.get("do") != "copy":
            found = read.space_get(user=request.user, id=int(id[:18]))
            if name.strip() and name.strip() != found.name:
                services.space_rename(space=found, name=name)
            version, new = services.version_create(space=found, state=made.full, note=note, **kept)
        else:
            version = services.space_create(owner=request.user, name=name, state=made.full, note=note, **kept)
            new = True
    except Rejected as e:
        return JsonResponse({"ok": False, "errors": {"name": [str(e)]}}, status=422)
    said = f"Kept as version {version.number}." if new else f"Nothing has changed since version {version.number}."
    return JsonResponse(
        {
            "ok": True,
            "url": reverse("searches:space", args=[version.space_id]),
            "new": new,
            "number": version.number,
            "said": said,
            "age": age(0),
        }
    )
