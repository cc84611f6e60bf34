"""What the browser asks about a canvas piece by piece.

Every question carries the whole state, so that nothing is kept between two of them; each is bounded in size and time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
from django.http import Http404, HttpRequest, JsonResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_POST

from engine.analysis.space_check import Seen, SpaceCheck, buildable
from engine.data import registry
from engine.errors import CannotBuild, EngineError, InvalidConfig
from engine.network.picture import picture
from engine.spaces.base import space_of
from searches.bounded import TookTooLong, within
from searches.charts.spaces import COSTS, cost_histogram
from searches.forms import spaces as form
from searches.forms.space_rows import rows as rows_of
from searches.forms.space_text import LONGEST, from_text, too_long
from searches.models import SpaceVersion
from searches.selectors import spaces as read
from searches.services import spaces as services
from searches.views.canvas_state import COUNT_LONG_SECONDS, length_of, refused, size_of, state_answer
from searches.views.overview import digit

#: samples asked for at once, seconds they may take, and questions in all
CHUNK = 40
CHUNK_SECONDS = 1.2
CHUNKS = 8
#: samples among which one that can be built is looked for
TRIES = 40


# -- questions -------------------------------------------------------------------------------------
@require_POST
def part(request: HttpRequest, part: str) -> JsonResponse:
    """Pieces of the canvas: `state`, `fields`, `paste` (posted as a form), `count`, `chunk`, `example` (as JSON)."""
    if part not in ANSWERS:
        raise Http404("no such part of the canvas")
    if (n := length_of(request)) > 2 * LONGEST:
        return refused([(("space",), too_long(n))], 413)
    try:
        return ANSWERS[part](request)
    except InvalidConfig as e:
        return refused(e.errors, 422)


def _state(request: HttpRequest) -> JsonResponse:
    made = form.canvas(form.from_post(request.POST))
    return JsonResponse(state_answer(made, _version(request)))


def _fields(request: HttpRequest) -> JsonResponse:
    made = form.canvas(form.from_post(request.POST))
    return JsonResponse(_whole_answer(request, made))


def _paste(request: HttpRequest) -> JsonResponse:
    value = from_text(request.POST.get("yaml", ""))
    made = form.canvas({"space": value["space"], "data": value["data"]})
    answer = _whole_answer(request, made)
    if made.problems:
        answer["said"] = [f"{'.'.join(map(str, path))}: {text}" for path, text in made.problems[:5]]
    if isinstance(value.get("name"), str) and "space" in value:
        answer["name"] = value["name"][: services.LONGEST_NAME]
    return JsonResponse(answer)


def _whole_answer(request: HttpRequest, made: form.Canvas) -> dict[str, Any]:
    """The state, with the form's rows as HTML: the family or everything may have changed."""
    answer = state_answer(made, _version(request))
    context = {"rows": rows_of(made), "made": made, "readonly": False}
    answer["html"] = render_to_string("spaces/_fields.html", context, request)
    return answer


def _version(request: HttpRequest) -> SpaceVersion | None:
    """The version that was opened, for "nothing has changed"."""
    id, number = request.POST.get("form:space", ""), request.POST.get("form:version", "")
    if not (id.isascii() and id.isdigit() and number.isascii() and number.isdigit()):
        return None
    return read.version_get(user=request.user, id=int(id[:18]), number=int(number[:9]))


# -- questions about a state that is right ---------------------------------------------------------
def _asked(request: HttpRequest) -> tuple[dict[str, Any], form.Canvas]:
    try:
        value = json.loads(request.body)
        state = {part: dict(value["state"][part]) for part in ("space", "data")}
    except (ValueError, KeyError, TypeError, RecursionError) as e:
        raise InvalidConfig([(("space",), "this is no question about a space")]) from e
    made = form.canvas(state)
    if made.space is None:
        raise InvalidConfig(made.problems or [(("space",), "this space cannot be made")])
    return value, made


def _count(request: HttpRequest) -> JsonResponse:
    _, made = _asked(request)
    assert made.space is not None
    return JsonResponse({"ok": True, "size": size_of(made.space, COUNT_LONG_SECONDS)})


def _chunk(request: HttpRequest) -> JsonResponse:
    """One chunk of samples: their costs are added to those that came with the question, and drawn."""
    value, made = _asked(request)
    space = made.space
    assert space is not None
    number = value.get("chunk")
    if not isinstance(number, int) or not 0 <= number < CHUNKS:
        raise InvalidConfig([(("space",), f"chunks are numbered 0 to {CHUNKS - 1}")])
    past = value.get("seen") or {}
    try:
        seen = Seen.from_json(past["checks"]) if past else Seen()
        costs = {m: [float(v) for v in (past["costs"][m] if past else [])][: CHUNK * CHUNKS] for m, _ in COSTS}
    except (ValueError, KeyError, TypeError) as e:
        raise InvalidConfig([(("space",), "what was seen before cannot be read")]) from e
    end = time.monotonic() + CHUNK_SECONDS

    def look() -> list[Any]:
        check = SpaceCheck(space)
        sampled = check.look(np.random.default_rng([5, number]), CHUNK, seen, lambda: time.monotonic() > end)
        findings = check.findings(seen)
        if number == CHUNKS - 1:
            _ask_other_data(made, findings)
        n_networks = sum(1 for _ in islice(space.enumerate(), CHUNK * CHUNKS))  # of a small space all of them
        return [sampled, [f.to_json() for f in findings], n_networks]

    try:
        sampled, findings, n_networks = within(6 * CHUNK_SECONDS, look)
    except TookTooLong:
        return JsonResponse({"ok": False, "said": ["Sampling this space takes too long here."]}, status=503)
    except (EngineError, ValueError, RecursionError) as e:
        raise InvalidConfig([(("space",), str(e))]) from e
    for one in sampled:
        if one.costs is not None:
            metrics = one.costs.as_metrics()
            for metric, _ in COSTS:
                costs[metric].append(float(metrics[metric]))
    figures = {m: cost_histogram(t, costs[m], in_bytes=m.endswith("bytes")).to_json() for m, t in COSTS}
    words = (
        f"{seen.n:,} sampled networks" if n_networks >= seen.n else f"{seen.n:,} draws of its {n_networks:,} networks"
    )
    refused = f"; {seen.refused:,} could not be built: {seen.why}" if seen.refused else ""
    return JsonResponse(
        {
            "ok": True,
            "seen": {"checks": seen.to_json(), "costs": costs},
            "figures": figures,
            "findings": findings,
            "words": f"{words}{refused}",
            "done": number == CHUNKS - 1,
        }
    )


def _ask_other_data(made: form.Canvas, findings: list[Any]) -> None:
    """Adds to "cannot be built for this data" which other data it can be built for, or that there is none."""
    for i, finding in enumerate(findings):
        if finding.kind != "never_built":
            continue
        works = []
        for name in list(registry.sources())[:12]:
            spec, _ = form.spec_of({"name": name})
            if spec is None or made.data is None or spec.name == made.data.name or made.cls is None:
                continue
            if made.cls.fits(spec) is not None or made.space is None:
                continue
            try:
                other = space_of(made.cls, made.space.options, spec)
                if buildable(other, finding.names[0], finding.options[0], np.random.default_rng(0), 6):
                    works.append(name)
            except EngineError:
                continue
        text = f"; it can for {', '.join(works[:3])}" if works else "; nor for any other data set here"
        findings[i] = replace(finding, text=finding.text + text)


def _example(request: HttpRequest) -> JsonResponse:
    """The n-th example architecture, drawn and costed."""
    value, made = _asked(request)
    space = made.space
    assert space is not None
    number = value.get("number")
    if not isinstance(number, int) or not 0 <= number < 10_000:
        raise InvalidConfig([(("space",), "examples are numbered from 0 to 9,999")])

    def draw() -> dict[str, Any]:
        rng = np.random.default_rng([7, number])
        problem = ""
        for _ in range(TRIES):
            arch = space.sample(rng)
            try:
                plan = space.planned(arch)
                costs = space.costs(arch)
            except CannotBuild as e:
                problem = str(e)
                continue
            return {
                "ok": True,
                "name": space.short_name(arch),
                "text": space.write(arch),
                "picture": picture(plan) | _pixels(made),
                "costs": costs.as_metrics(),
                "choices": [[space.title(n), space.format(n, o)] for n, o in arch.items],
            }
        return {"ok": False, "said": [f"None of {TRIES} sampled networks can be built: {problem}"]}

    try:
        return JsonResponse(within(5.0, draw))
    except TookTooLong:
        return JsonResponse({"ok": False, "said": ["Drawing this network takes too long here."]}, status=503)
    except (EngineError, ValueError) as e:
        raise InvalidConfig([(("space",), str(e))]) from e


def _pixels(made: form.Canvas) -> dict[str, Any]:
    return {"pixels": digit() if made.data is not None and made.data.name == "digits" else None}


ANSWERS: dict[str, Callable[[HttpRequest], JsonResponse]] = {
    "state": _state, "fields": _fields, "paste": _paste, "count": _count, "chunk": _chunk, "example": _example,
}  # fmt: skip
