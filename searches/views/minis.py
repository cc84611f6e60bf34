"""Networks in miniature, asked for by the rows that are in view: one answer for many."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from searches.selectors import minis as read
from searches.selectors.searches import search_get

_WRONG = "{name} must be 1 to {most} {what}, e.g. {example}; got {given!r}"


@require_GET
def minis(request: HttpRequest, id: int) -> JsonResponse:
    """`?n=1,2,3` of one search: {"minis": {"1": {"steps", "arcs", "label"} or null}}; unknown numbers are left out."""
    search = search_get(user=request.user, id=id)
    given = request.GET.get("n", "")
    wanted = read.numbers(given)
    if wanted is None:
        return _refused("n", "trial numbers", "1,2,3", given)
    return _answer(read.minis_of_search(search, wanted))


@require_GET
def minis_of(request: HttpRequest) -> JsonResponse:
    """`?t=7.24,8.3` of several searches (search.trial); what is not there, or not the person's, is left out."""
    given = request.GET.get("t", "")
    wanted = read.pairs(given)
    if wanted is None:
        return _refused("t", "trials as search.number", "7.24,8.3", given)
    return _answer(read.minis_of_trials(request.user, wanted))


def _answer(found: dict[str, dict[str, object] | None]) -> JsonResponse:
    answer = JsonResponse({"minis": found})
    answer["Cache-Control"] = "private, max-age=3600"  # a trial's architecture never changes
    return answer


def _refused(name: str, what: str, example: str, given: str) -> JsonResponse:
    problem = _WRONG.format(name=name, most=read.MOST, what=what, example=example, given=given[:80])
    return JsonResponse({"error": problem}, status=400)
