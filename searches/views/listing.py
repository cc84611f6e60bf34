"""The list of searches: the first page a person sees."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from searches.selectors.listing import FILTERS, SORTS, WORDS, View, listing

#: name in the address, words, alignment; "" = not sortable
COLUMNS = (
    ("name", "search", ""),
    ("state", "state", ""),
    ("trials", "trials", ""),
    ("best", "best, %", "num"),
    ("", "best so far", ""),
    ("", "now", ""),
    ("", "owner", ""),
    ("", "MB", "num"),
    ("started", "started", "num"),
)


@require_GET
def search_list(request: HttpRequest) -> HttpResponse:
    """The list; with the header `X-Part: rows` only what changes by itself, for the page's own polling."""
    view = View.of(request.GET)
    found = listing(user=request.user, view=view)
    columns = []
    for key, words, align in COLUMNS:
        now = key == view.sort
        descends = not view.descending if now else key in ("best", "trials", "started")
        columns.append(
            {
                "words": words,
                "align": align,
                "href": view.address(sort=key, descending=descends) if key in SORTS else "",
                "sort": ("descending" if view.descending else "ascending") if now else "",
            }
        )
    chips = [
        {
            "words": WORDS.get(name, name),
            "count": found.counts[name],
            "href": view.address(filter=name),
            "now": name == view.filter,
        }
        for name in FILTERS
    ]
    context = {
        "found": found,
        "view": view,
        "rows": found.rows,
        "columns": columns,
        "chips": chips,
        "archive_href": view.address(archived=not view.archived, filter="all"),
        "all_href": view.address(query="", filter="all"),
        "previous_href": view.address(page=found.page.number - 1) if found.page.has_previous() else "",
        "next_href": view.address(page=found.page.number + 1) if found.page.has_next() else "",
        "here": request.get_full_path(),
    }
    template = "searches/_list_live.html" if request.headers.get("X-Part") == "rows" else "searches/list.html"
    response = render(request, template, context)
    patch_vary_headers(response, ["X-Part"])
    response["Cache-Control"] = "private, no-cache"
    return response
