"""The canvas: one space as a form and as a drawing, and what the browser asks about it piece by piece.

Every question carries the whole state, so that nothing is kept between two of them; each is bounded in size and time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from engine import catalog
from engine.analysis.space_check import Seen, SpaceCheck, buildable
from engine.data import registry
from engine.errors import CannotBuild, EngineError, InvalidConfig
from engine.network.picture import picture
from engine.spaces.base import SearchSpace, space_of
from searches.bounded import TookTooLong, within
from searches.charts.spaces import cost_histogram
from searches.forms import spaces as form
from searches.forms.check import sentence
from searches.forms.space_rows import rows as rows_of
from searches.forms.space_text import LONGEST, from_text, to_yaml, too_long
from searches.models import Space, SpaceVersion
from searches.selectors import spaces as read
from searches.selectors.listing import age
from searches.services import spaces as services
from searches.services.writing import Rejected
from searches.views.overview import digit

#: samples asked for at once, seconds they may take, and questions in all
CHUNK = 40
CHUNK_SECONDS = 1.2
CHUNKS = 8
COUNT_SECONDS = 0.8
COUNT_LONG_SECONDS = 10.0
#: samples among which one that can be built is looked for
TRIES = 40
COSTS = (("n_params", "parameters"), ("n_macs", "multiply-adds"), ("activation_bytes", "activation memory"))


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
    answer = _state_answer(made, version)
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


# -- questions -------------------------------------------------------------------------------------
@require_POST
def part(request: HttpRequest, part: str) -> JsonResponse:
    """Pieces of the canvas: `state`, `fields`, `paste` (posted as a form), `count`, `chunk`, `example` (as JSON)."""
    if part not in ANSWERS:
        raise Http404("no such part of the canvas")
    if (n := _length(request)) > 2 * LONGEST:
        return _refused([(("space",), too_long(n))], 413)
    try:
        return ANSWERS[part](request)
    except InvalidConfig as e:
        return _refused(e.errors, 422)


def _length(request: HttpRequest) -> int:
    """Bytes of the body as announced; the server hands on no more than that."""
    text = request.META.get("CONTENT_LENGTH") or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 2**50


def _refused(problems: list[Any], status: int) -> JsonResponse:
    errors: dict[str, list[str]] = {}
    for path, text in problems:
        name = ".".join(map(str, path[:2])) if len(path) > 1 else ""
        errors.setdefault(name, []).append(sentence(text))
    said = [text for texts in errors.values() for text in texts]
    return JsonResponse({"ok": False, "errors": errors, "said": said}, status=status)


def _state(request: HttpRequest) -> JsonResponse:
    made = form.canvas(form.from_post(request.POST))
    return JsonResponse(_state_answer(made, _version(request)))


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
    answer = _state_answer(made, _version(request))
    context = {"rows": rows_of(made), "made": made, "readonly": False}
    answer["html"] = render_to_string("spaces/_fields.html", context, request)
    return answer


def _version(request: HttpRequest) -> SpaceVersion | None:
    """The version that was opened, for "nothing has changed"."""
    id, number = request.POST.get("form:space", ""), request.POST.get("form:version", "")
    if not (id.isascii() and id.isdigit() and number.isascii() and number.isdigit()):
        return None
    return read.version_get(user=request.user, id=int(id[:18]), number=int(number[:9]))


def _state_answer(made: form.Canvas, version: SpaceVersion | None) -> dict[str, Any]:
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
    answer["chips"] = _chips(whole, restrict)
    answer["size"] = _size(made.space, COUNT_SECONDS)
    if version is not None and (full["space"], full["data"]) == (version.config, version.data):
        answer["same_as"] = version.number
    return answer


def _chips(whole: SearchSpace, restrict: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The restrictions for people, those together that the drawing holds together."""
    offered = {d.name: d for d in whole.all_decisions()}
    grouped: dict[tuple[str, str], list[str]] = {}
    title_of: dict[str, str] = {}
    for drawn in (d for p in whole.outline()["parts"] for d in p["decisions"]):
        for name in drawn.get("names", [drawn["name"]]):
            title_of.setdefault(name, drawn["title"] if len(drawn.get("names", [])) > 1 else whole.title(name))
    for name, kept in restrict.items():
        if name in offered:
            group = title_of.get(name, whole.title(name))
            grouped.setdefault((group, json.dumps(list(kept))), []).append(name)
    out = []
    for (group, _), names in grouped.items():
        first = offered[names[0]]
        kept = [o for o in first.options if o in restrict[names[0]]]
        out.append(
            {
                "names": names,
                "title": whole.title(names[0]) if len(names) == 1 else group,
                "count": len(names),
                "kept": [whole.format(names[0], o) for o in kept],
                "of": len(first.options),
            }
        )
    return out


def _size(space: SearchSpace, seconds: float) -> dict[str, Any]:
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
    return JsonResponse({"ok": True, "size": _size(made.space, COUNT_LONG_SECONDS)})


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
        return [sampled, [f.to_json() for f in findings]]

    try:
        sampled, findings = within(6 * CHUNK_SECONDS, look)
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
    refused = f"; {seen.refused:,} could not be built: {seen.why}" if seen.refused else ""
    return JsonResponse(
        {
            "ok": True,
            "seen": {"checks": seen.to_json(), "costs": costs},
            "figures": figures,
            "findings": findings,
            "words": f"{seen.n:,} sampled networks{refused}",
            "done": number == CHUNKS - 1,
        }
    )


def _ask_other_data(made: form.Canvas, findings: list[Any]) -> None:
    """Adds to "cannot be built for this data" which other data it can be built for, or that there is none."""
    from dataclasses import replace

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


# -- keeping ---------------------------------------------------------------------------------------
@require_POST
def save(request: HttpRequest) -> JsonResponse:
    """Keeps what stands on the canvas: a new space, or a new version of the one it was opened from."""
    if (n := _length(request)) > 2 * LONGEST:
        return _refused([(("space",), too_long(n))], 413)
    try:
        made = form.canvas(form.from_post(request.POST))
    except InvalidConfig as e:
        return _refused(e.errors, 422)
    if made.problems:
        return JsonResponse({"ok": False, "errors": made.by_field}, status=422)
    assert made.space is not None
    size = _size(made.space, COUNT_SECONDS)
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
