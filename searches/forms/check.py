"""Whether what stands in the form is a search that can run; every problem with the place where it belongs."""

from __future__ import annotations

import pathlib as files
import re
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from engine import catalog
from engine.config import PlugIn, SearchConfig
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import EngineError, InvalidConfig
from engine.parts import refused
from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.facts import SpaceFacts, space_facts
from searches.forms.fields import Path

Problem = tuple[Path, str]
TRIES = 4
COST_WORDS = {"n_macs": "multiply-adds", "n_params": "parameters", "activation_bytes": "bytes of activations"}

#: pydantic's sentences, in the words of the pages
_SENTENCES = (
    (r"Input should be greater than or equal to (\S+)", r"must be at least \1"),
    (r"Input should be less than or equal to (\S+)", r"must be at most \1"),
    (r"Input should be greater than (\S+)", r"must be above \1"),
    (r"Input should be less than (\S+)", r"must be below \1"),
    (r"Input should be a valid integer.*?(?= \(received|$)", "must be a whole number"),
    (r"Input should be a valid number.*?(?= \(received|$)", "must be a number"),
    (r"Input should be a finite number", "must be a finite number"),
    (r"Input should be a valid boolean.*?(?= \(received|$)", "must be yes or no"),
    (r"Input should be (a valid )?(.*)", r"must be \2"),
    (r"Extra inputs are not permitted", "there is no such field here"),
    (r"Field required", "this is missing"),
    (r"String should have at least 1 character", "this must not be empty"),
    (r"String should have at most (\d+) characters?", r"at most \1 characters"),
    (r"(Tuple|List|Set) should have at least (\d+) items?.*?(?= \(received|$)", r"choose at least \2"),
)


@dataclass
class Checked:
    """What is known of the values in a form.

    Attributes:
        config: the search, or None while something is wrong with it.
        data, facts: as far as their own parts are right.
        problems: `(path, sentence)`.
    """

    config: SearchConfig | None = None
    data: DataSpec | None = None
    facts: SpaceFacts | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether it can be started."""
        return self.config is not None and not self.problems


def check(values: dict[str, Any]) -> Checked:
    """Checks values as `searches.forms.values` makes them; never raises for what a person typed."""
    out = Checked(problems=_foreign_paths(values))
    if out.problems:  # before anything is opened
        return out
    try:
        out.config = SearchConfig.parse(values)
    except InvalidConfig as e:
        out.problems += e.errors
    full = forms_values.complete(values)
    out.data, problems = forms_values.data_of(full)
    out.problems += problems
    if out.config is not None and not problems:
        out.config = _data_in_full(out.config)
    said = {str(path[0]) for path, _ in out.problems if path}
    if out.data is not None and "space" not in said:
        options = {k: v for k, v in full["space"].items() if k != "name"}
        try:
            out.facts = space_facts(str(full["space"]["name"]), options, out.data)
        except InvalidConfig as e:
            out.problems += e.errors
    if out.config is not None and out.facts is not None:
        out.problems += _limits(out.config, out.facts, out.data)
        out.problems += _supports(out.config, out.data)
    out.problems = [(path, sentence(text)) for path, text in _unique(out.problems)]
    return out


def _foreign_paths(values: dict[str, Any]) -> list[Problem]:
    """Paths that somebody else's form must not reach: a stack that serves others reads its own data folder only.

    On a local stack the person at the form is the person at the shell, and any file of theirs may be named.
    """
    if not settings.PRODUCTION:
        return []
    root = files.Path(settings.DATA_DIR).resolve()
    out: list[Problem] = []
    for part, name in (("evaluator", "table"), ("data", "folder")):
        given = values.get(part)
        text = given.get(name) if isinstance(given, dict) else None
        if not isinstance(text, str) or not text or text == "synthetic":
            continue
        if not files.Path(text).resolve().is_relative_to(root):
            out.append(
                ((part, name), f"on a shared server files are read from its data folder only, not from {text[:80]!r}")
            )
    return out


def _data_in_full(config: SearchConfig) -> SearchConfig:
    """The data's options with their defaults, as the other plug-ins' are: a stored search keeps its meaning."""
    try:
        full = registry.validate(config.data.name, config.data.options())
    except InvalidConfig:
        return config  # an evaluator that brings its own data does not ask for this one
    return config.model_copy(update={"data": PlugIn(name=config.data.name, **full)})


def sentence(text: str) -> str:
    """A problem as one sentence in people's words."""
    for pattern, plain in _SENTENCES:
        changed = re.sub(f"^{pattern}", plain, text)
        if changed != text:
            text = changed
            break
    text = text.replace(" (received '')", "").strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _limits(config: SearchConfig, facts: SpaceFacts, data: DataSpec | None) -> list[Problem]:
    out: list[Problem] = []
    for metric, limit in config.limits.items():
        low = facts.smallest.get(metric)
        if low is None or low <= limit:
            continue
        advice = "Raise the limit"
        if data is not None and (smaller := _smaller(config, data, metric, limit)):
            advice += f", or {smaller}"
        text = f"no network of this space is that small: the smallest found has {_size(low)} ({low:,.0f})"
        out.append((("limits", metric), f"{text} {COST_WORDS[metric]}. {advice}"))
    return out


def _size(value: float) -> str:
    """Millions with two significant digits: "0.067 million"."""
    return f"{value / 1e6:.2g} million" if value < 1e8 else f"{value / 1e6:,.0f} million"


def _smaller(config: SearchConfig, data: DataSpec, metric: str, limit: float) -> str:
    """Which offered option of the space would make its smallest network small enough, in words; "" if none is found.

    Looks at scales only (depth, width, ...), at most `TRIES` of them: each costs a sampling of the widened space.
    """
    options = dict(config.space.options())
    tried = 0
    for name, info in fields.model_fields(catalog.get("space", config.space.name).Options).items():
        now = [v for v in options.get(name) or [] if isinstance(v, int | float) and not isinstance(v, bool)]
        offered = [c for c in fields.shape_of(info).choices if isinstance(c, int | float) and not isinstance(c, bool)]
        for choice in sorted((c for c in offered if now and c < min(now)), reverse=True):
            tried += 1
            if tried > TRIES:
                return ""
            try:
                low = space_facts(config.space.name, options | {name: [choice, *now]}, data).smallest[metric]
            except InvalidConfig:
                continue
            if low <= limit:
                return f"add {name.replace('_', ' ')} {fields.show(choice)}: then it has {_size(low)}"
    return ""


def _supports(config: SearchConfig, data: DataSpec | None) -> list[Problem]:
    try:
        space_cls = catalog.get("space", config.space.name)
        space = space_cls(config.options("space"), data)
        reason = refused(config, space)
    except EngineError as e:
        return [(("strategy", "name"), str(e))]
    return [(("strategy", "name"), f"it cannot serve this search: {reason}")] if reason else []


def _unique(problems: list[Problem]) -> list[Problem]:
    seen: dict[tuple[Path, str], Problem] = {}
    for path, text in problems:
        seen.setdefault((tuple(path), text), (tuple(path), text))
    return list(seen.values())
