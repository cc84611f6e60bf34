"""All that follows from the state of a canvas in a moment, and the answers that both its page and its parts give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, JsonResponse

from engine.errors import EngineError
from engine.spaces.base import SearchSpace
from searches.bounded import TookTooLong, within
from searches.forms import spaces as form
from searches.forms.check import sentence
from searches.forms.space_rows import rows as rows_of
from searches.forms.space_text import to_yaml
from searches.models import SpaceVersion
from searches.selectors import spaces as read

#: seconds for counting at once, and when asked for by itself
COUNT_SECONDS = 0.8
COUNT_LONG_SECONDS = 10.0


def length_of(request: HttpRequest) -> int:
    """Bytes of the body as announced; the server hands on no more than that."""
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 2**50


def refused(problems: list[Any], status: int) -> JsonResponse:
    """The answer to what cannot be: problems by field, and all of them as sentences."""
    errors: dict[str, list[str]] = {}
    for path, text in problems:
        name = ".".join(map(str, path[:2])) if len(path) > 1 else ""
        errors.setdefault(name, []).append(sentence(text))
    said = [text for texts in errors.values() for text in texts]
    return JsonResponse({"ok": False, "errors": errors, "said": said}, status=status)


def state_answer(made: form.Canvas, version: SpaceVersion | None) -> dict[str, Any]:
    """All that follows from a state in a moment."""
    rows = rows_of(made)
    restrict = made.options.get("restrict") or {}
    answer: dict[str, Any] = {
        "ok": made.space is not None,
        "errors": made.by_field,
        "state": made.state,
        "restrict": restrict,
        "folds": {fold.id: fold.summary for fold in rows.folds},
        "yaml": to_yaml(made.state),
        "outline": None,
        "chips": [],
        "titles": {},
        "words": {},
        "same_as": None,
        "size": {"words": "", "counting": False},
    }
    if made.space is None or made.whole is None:
        return answer
    whole = made.whole
    full = made.full
    offered = {d.name: d for d in whole.all_decisions()}
    answer["key"] = form.digest(full)
    answer["outline"] = whole.outline()
    answer["titles"] = {name: whole.title(name) for name in offered}
    answer["words"] = {n: [whole.format(n, o) for o in d.options] for n, d in offered.items()}
    answer["offered"] = {n: list(d.options) for n, d in offered.items()}
    answer["n_decisions"] = len(offered)
    answer["chips"] = chips_of(whole, restrict)
    answer["size"] = size_of(made.space, COUNT_SECONDS)
    if version is not None and (full["space"], full["data"]) == (version.config, version.data):
        answer["same_as"] = version.number
    return answer


def chips_of(whole: SearchSpace, restrict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The restrictions for people, those together that the drawing holds together."""
    offered = {d.name: d for d in whole.all_decisions()}
    grouped: dict[tuple[str, str], list[str]] = {}
    title_of: dict[str, str] = {}
    for drawn in (d for p in whole.outline()["parts"] for d in p["decisions"]):
        for name in drawn.get("names", [drawn["name"]]):
            title_of.setdefault(name, drawn["title"] if len(drawn.get("names", [])) > 1 else whole.title(name))
    for name, kept in restrict.items():
        if name in offered:
            out = [o for o in offered[name].options if o not in kept]
            grouped.setdefault((title_of.get(name, whole.title(name)), json.dumps(out)), []).append(name)
    chips = []
    for (group, _), names in grouped.items():
        richest = max((offered[n] for n in names), key=lambda d: len(d.options))
        kept = [o for o in richest.options if o in restrict[richest.name]]
        chips.append(
            {
                "names": names,
                "title": whole.title(names[0]) if len(names) == 1 else group,
                "count": len(names),
                "kept": [whole.format(richest.name, o) for o in kept],
                "left_out": [whole.format(richest.name, o) for o in richest.options if o not in kept],
                "of": len(richest.options),
            }
        )
    return chips


def size_of(space: SearchSpace, seconds: float) -> dict[str, Any]:
    """How many architectures a space has, in words; "counting" where these seconds are too few but more may do."""
    try:
        size = within(seconds, space.size)
    except TookTooLong:
        return {"words": "", "counting": seconds < COUNT_LONG_SECONDS, "too_many": seconds >= COUNT_LONG_SECONDS}
    except (EngineError, ValueError, RecursionError) as e:
        return {"words": "", "counting": False, "why": str(e)}
    text = read.size_text(size)
    words = read.size_words(text, space.exact_size)
    why = "" if space.exact_size else str(space.unavailable.get("size", ""))
    return {"words": words, "counting": False, "text": text, "exact": space.exact_size, "one": size == 1, "why": why}
