"""The page Spaces: a person's own, and the gallery of what there is."""

from __future__ import annotations

from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.text import slugify
from django.views.decorators.http import require_GET, require_POST

from engine.data import registry
from engine.errors import InvalidConfig
from searches.forms import spaces as form
from searches.forms.space_text import LONGEST, from_text, to_yaml, too_long
from searches.selectors import spaces as read
from searches.selectors.architectures import list_of_trials
from searches.selectors.compare import parse_chosen, trials_of
from searches.services import spaces as services
from searches.services.writing import Rejected

DONE = {
    "rename": "The space is called “{name}” now.",
    "archive": "“{name}” is archived.",
    "unarchive": "“{name}” is back in the list.",
    "delete": "“{name}” is deleted. Searches that began with it keep their options.",
    "share": "Whoever is logged in and has the link can look at “{name}” and copy it.",
    "unshare": "The link to “{name}” is taken back.",
    "copy": "“{name}” is a copy of its own.",
}


@require_GET
def space_list(request: HttpRequest) -> HttpResponse:
    """Own spaces, then the gallery; `?data=` looks at both for one data set."""
    data = request.GET.get("data", "")
    sources = registry.datasets()
    data = data if data in sources else ""
    archived = request.GET.get("archived") == "1"
    query = request.GET.get("q", "").strip()[:200]
    rows = read.space_rows(user=request.user, archived=archived, query=query)
    groups = [] if archived else read.gallery(data)
    context = {
        "rows": rows,
        "archived": archived,
        "query": query,
        "n_archived": read.spaces_of(request.user).filter(archived=True).count(),
        "n_mine": read.spaces_of(request.user).filter(archived=False).count(),
        "groups": groups,
        "n_cards": sum(len(g.cards) for g in groups),
        "n_families": len({c.family for g in groups for c in g.cards}),
        "data": data,
        "sources": sources.values(),
        "here": request.get_full_path(),
    }
    response = render(request, "spaces/list.html", context)
    response["Cache-Control"] = "private, no-cache"
    return response


@require_GET
def card_size(request: HttpRequest) -> JsonResponse:
    """How many architectures a card of the gallery holds: `{"size": "15,625"}`."""
    try:
        size = read.card_size(request.GET.get("family", ""), request.GET.get("preset", ""), request.GET.get("data", ""))
    except InvalidConfig as e:
        raise Http404(str(e)) from e
    answer = JsonResponse({"size": size})
    answer["Cache-Control"] = "private, max-age=3600"
    return answer


@require_POST
def space_import(request: HttpRequest) -> HttpResponse:
    """Keeps a space from YAML or JSON, pasted or as a file; problems stand above the list."""
    text = request.POST.get("text", "")
    sent = request.FILES.get("file")
    try:
        if sent is not None:
            if sent.size is None or sent.size > LONGEST:
                raise InvalidConfig([(("space",), too_long(sent.size))])
            text = sent.read(LONGEST + 1).decode("utf-8")
        value = from_text(text)
        made = form.canvas({"space": value["space"], "data": value["data"]})
        if made.problems:
            raise InvalidConfig(made.problems)
        name = str(value.get("name") or made.family)[: services.LONGEST_NAME]
        note = str(value.get("note") or "")
        version = services.space_create(owner=request.user, name=name, state=made.full, note=note)
    except UnicodeDecodeError:
        messages.error(request, "That file is not text (UTF-8).")
        return redirect("searches:spaces")
    except InvalidConfig as e:
        for path, problem in e.errors[:5]:
            where = ".".join(map(str, path))
            messages.error(request, f"Not imported: {where}: {problem}" if where else f"Not imported: {problem}")
        return redirect("searches:spaces")
    except Rejected as e:
        messages.error(request, str(e))
        return redirect("searches:spaces")
    messages.success(request, f"“{version.space.name}” is kept.")
    return redirect("searches:space", id=version.space_id)


@require_GET
def space_export(request: HttpRequest, id: int) -> HttpResponse:
    """A version (`?version=`, else the newest) as YAML, to download."""
    version = read.version_get(user=request.user, id=id, number=_number(request.GET.get("version")))
    text = to_yaml(read.state_of(version), name=version.space.name, note=version.note)
    answer = HttpResponse(text, content_type="application/yaml; charset=utf-8")
    name = slugify(version.space.name) or "space"
    answer["Content-Disposition"] = f'attachment; filename="{name}-v{version.number}.yaml"'
    return answer


@require_POST
def space_action(request: HttpRequest, id: int, action: str) -> HttpResponse:
    """One action on one space: rename, archive, unarchive, delete, share, unshare, copy."""
    space = read.space_get(user=request.user, id=id)
    back = reverse("searches:space", args=[space.pk])
    try:
        match action:
            case "rename":
                services.space_rename(space=space, name=request.POST.get("name", ""))
                space.refresh_from_db()
            case "archive" | "unarchive":
                services.space_archive(space=space, archived=action == "archive")
                back = reverse("searches:spaces")
            case "delete":
                services.space_delete(space=space)
                back = reverse("searches:spaces")
            case "share":
                services.space_share(space=space)
            case "unshare":
                services.space_unshare(space=space)
            case "copy":
                made = services.version_copy(
                    version=read.version_of(space, _number(request.POST.get("version"))),
                    owner=request.user,
                    name=f"{space.name[:190]} copy",
                )
                back, space = reverse("searches:space", args=[made.space_id]), made.space
            case _:
                raise Http404(f"no action on a space is called {action}")
    except Rejected as e:
        messages.error(request, str(e))
        return redirect(back)
    messages.success(request, DONE[action].format(name=space.name))
    return redirect(reverse("searches:spaces") if request.POST.get("next") == "list" else back)


@require_POST
def of_trials(request: HttpRequest) -> HttpResponse:
    """Keeps a list of the chosen trials' architectures as a space of its own, to race them."""
    chosen = parse_chosen(request.POST.get("t", "").split())
    trials = trials_of(request.user, chosen)
    if not trials:
        messages.warning(request, "Nothing was chosen.")
        return redirect("searches:list")
    made = form.canvas(list_of_trials(trials))
    if made.problems:
        for _, problem in made.problems[:5]:
            messages.error(request, f"No space was made: {problem}")
        return redirect(
            f"{reverse('searches:compare')}?{urlencode([('t', f'{t.search_id}.{t.number}') for t in trials])}"
        )
    searches = {t.search.name for t in trials}
    name = f"{len(trials)} of {next(iter(searches))}" if len(searches) == 1 else f"{len(trials)} trials"
    try:
        version = services.space_create(
            owner=request.user,
            name=name[: services.LONGEST_NAME],
            state=made.full,
            size=str(len(trials)),
            note=f"from {', '.join(f'#{t.number}' for t in trials)}",
        )
    except Rejected as e:
        messages.error(request, str(e))
        return redirect("searches:spaces")
    messages.success(request, f"“{version.space.name}” is kept: a search in it races them.")
    return redirect("searches:space", id=version.space_id)


@require_GET
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """A space that somebody shares: to look at, and to copy."""
    from searches.views.canvas import shared_page

    return shared_page(request, read.shared_get(token))


@require_POST
def shared_copy(request: HttpRequest, token: str) -> HttpResponse:
    """Keeps a copy of a shared space."""
    version = read.shared_get(token)
    try:
        made = services.version_copy(version=version, owner=request.user)
    except Rejected as e:
        messages.error(request, str(e))
        return redirect("searches:space_shared", token=token)
    messages.success(request, f"“{made.space.name}” is among your spaces now.")
    return redirect("searches:space", id=made.space_id)


def _number(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise read.SpaceNotFound("no such version")
    return int(text)
