"""What people do to their searches: one button, one POST, one service."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from engine.errors import EngineError
from searches.models import Search
from searches.selectors.searches import search_get, searches_get
from searches.services import lifecycle
from searches.services.supernets import supernet_enough
from searches.services.writing import Rejected

#: what the page says afterwards; {name} is the search's
DONE = {
    "start": "“{name}” has started.",
    "pause": "“{name}” pauses: what runs hands back its work within seconds.",
    "resume": "“{name}” goes on.",
    "finish": "“{name}” finishes now and keeps its results.",
    "cancel": "“{name}” is cancelled.",
    "rename": "It is called “{name}” now.",
    "archive": "“{name}” is archived.",
    "unarchive": "“{name}” is back in the list.",
    "delete": "“{name}” is deleted.",
    "enough": "The supernet of “{name}” ends after this epoch; the search goes on with what there is.",
}
BULK = ("archive", "unarchive", "delete")
LONGEST_NAME = 200


class Unusable(Exception):  # noqa: N818 - said to the person, not an error of the program
    """What was sent cannot be acted on; the text is for the person."""


def _extend(search: Search, request: HttpRequest) -> Search:
    trials, minutes = _number(request, "trials", int), _number(request, "minutes", float)
    if not trials and not minutes:
        raise Unusable("Say how many more trials, or how many more minutes.")
    return lifecycle.search_extend(search=search, by=request.user, trials=trials, minutes=minutes)


def _rename(search: Search, request: HttpRequest) -> None:
    name = request.POST.get("name", "").strip()
    if not name:
        raise Unusable("A search needs a name.")
    if len(name) > LONGEST_NAME:
        raise Unusable(f"A name has at most {LONGEST_NAME} characters, this one has {len(name):,}.")
    lifecycle.search_rename(search=search, by=request.user, name=name)
    search.name = name


def _enough(search: Search, request: HttpRequest) -> None:
    supernet_enough(search=search, by=request.user)


def _number(request: HttpRequest, field: str, kind: type) -> float | int | None:
    text = request.POST.get(field, "").strip()
    if not text:
        return None
    try:
        value = kind(text)
    except ValueError as e:
        raise Unusable(f"{field.capitalize()} must be a number above 0, not “{text[:40]}”.") from e
    if not 0 < value <= 1_000_000:
        raise Unusable(f"{field.capitalize()} must be a number above 0 and at most 1,000,000, not {text[:40]}.")
    return value


def _plain(name: str) -> Callable[[Search, HttpRequest], None]:
    def run(search: Search, request: HttpRequest) -> None:
        getattr(lifecycle, f"search_{name}")(search=search, by=request.user)

    return run


ACTIONS: dict[str, Callable[[Search, HttpRequest], Search | None]] = {
    name: _plain(name) for name in ("start", "pause", "resume", "finish", "cancel", "archive", "unarchive", "delete")
} | {"extend": _extend, "rename": _rename, "enough": _enough}


@require_POST
def action(request: HttpRequest, id: int, action: str) -> HttpResponse:
    """One action on one search."""
    search = search_get(user=request.user, id=id)
    if action == "edit":
        return _to(request, reverse("searches:edit", args=[search.pk]))
    if action == "clone":
        return _to(request, f"{reverse('searches:new')}?{urlencode({'from': search.pk})}")
    if action not in ACTIONS:
        raise Http404(f"no action is called {action}")
    name = search.name
    try:
        made = ACTIONS[action](search, request)
    except Unusable as e:
        return _refused(request, search, str(e))
    except (EngineError, Rejected) as e:
        return _refused(request, search, f"“{name}”: {e}")
    if action == "extend":
        if made is not None and made.pk != search.pk:
            messages.success(request, f"“{made.name}” goes on where “{name}” ended.")
            return _to(request, reverse("searches:detail", args=[made.pk]))
        messages.success(request, f"The budget of “{name}” is larger now.")
    else:
        messages.success(request, DONE[action].format(name=search.name))
    if action == "delete":
        return _to(request, _back(request, reverse("searches:list"), gone=search))
    return _to(request, _back(request, reverse("searches:detail", args=[search.pk])))


@require_POST
def bulk(request: HttpRequest, action: str) -> HttpResponse:
    """One action on several searches: all of them must be the person's own."""
    if action not in BULK:
        raise Http404(f"no action on several searches is called {action}")
    searches = searches_get(user=request.user, ids=request.POST.getlist("id"))
    if not searches:
        messages.warning(request, "Nothing was chosen.")
    done, refused = 0, []
    for search in searches:
        try:
            ACTIONS[action](search, request)
            done += 1
        except (EngineError, Rejected) as e:
            refused.append(f"“{search.name}”: {e}")
    words = {"archive": "archived", "unarchive": "back in the list", "delete": "deleted"}
    if done:
        messages.success(request, f"{done} {'search is' if done == 1 else 'searches are'} {words[action]}.")
    for sentence in refused:
        messages.error(request, sentence)
    return _to(request, _back(request, reverse("searches:list")))


def _refused(request: HttpRequest, search: Search, sentence: str) -> HttpResponse:
    messages.error(request, sentence)
    return _to(request, _back(request, reverse("searches:detail", args=[search.pk])))


def _back(request: HttpRequest, default: str, *, gone: Search | None = None) -> str:
    """The page it was sent from, where that is one of ours and still exists."""
    wanted = request.POST.get("next", "")
    if gone is not None and f"/searches/{gone.pk}/" in wanted:
        return default
    ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if wanted and ours else default


def _to(request: HttpRequest, url: str) -> HttpResponse:
    """To that page: with htmx by a header, else by a redirect."""
    if getattr(request, "htmx", False):
        return HttpResponse(status=204, headers={"HX-Redirect": url})
    return redirect(url)
