"""Events a page has missed: after a gap, a reconnect, or while live updates are paused."""

from __future__ import annotations

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.http import require_GET

from searches.models import Event, Search

#: further behind than this, reloading the page is cheaper
MOST = 1_000


@require_GET
def events(request: HttpRequest, id: int) -> JsonResponse:
    """`?after=N`: `{"events": [{"seq", "kind", "data"}], "head": N, "state": ..., "reload": bool}`; the owner's only.

    `reload` says that there are too many, that they are deleted, or that the page knows numbers the database does not
    (it was restored from a backup).
    """
    text = request.GET.get("after", "0")
    if not text.isdigit() or len(text) > 18:
        return JsonResponse({"error": f"after must be a whole number from 0, not {text[:40]!r}"}, status=400)
    after = int(text)
    # The head first: what is written between the two reads comes again, and that does no harm.
    search = Search.objects.only("seq", "state").filter(pk=id, owner_id=request.user.pk).first()
    if search is None:
        raise Http404("no such search")
    answer = {"events": [], "head": search.seq, "state": search.state, "reload": False}
    if after > search.seq or search.seq - after > MOST:
        return JsonResponse({**answer, "reload": True})
    rows = Event.objects.filter(search_id=id, seq__gt=after).order_by("seq").values("seq", "kind", "data")
    found = list(rows[: 2 * MOST])
    if found and found[0]["seq"] != after + 1:
        return JsonResponse({**answer, "reload": True})
    return JsonResponse({**answer, "events": found})
