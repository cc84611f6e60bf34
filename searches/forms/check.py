"""Whether what stands in the form is a search that can run; every problem with the place where it belongs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from engine import catalog
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import EngineError, InvalidConfig
from searches.forms import values as forms_values
from searches.forms.facts import SpaceFacts, space_facts
from searches.forms.fields import Path

Problem = tuple[Path, str]
COST_WORDS = {"n_macs": "multiply-adds", "n_params": "parameters", "activation_bytes": "bytes of activations"}

#: pydantic's sentences, in the words of the pages
_SENTENCES = (
    (r"Input should be greater than or equal to (\S+)", r"at least \1"),
    (r"Input should be less than or equal to (\S+)", r"at most \1"),
    (r"Input should be greater than (\S+)", r"above \1"),
    (r"Input should be less than (\S+)", r"below \1"),
    (r"Input should be a valid integer.*?(?= \(received|$)", "a whole number"),
    (r"Input should be a valid number.*?(?= \(received|$)", "a number"),
    (r"Input should be a finite number", "a finite number"),
    (r"Input should be a valid boolean.*?(?= \(received|$)", "yes or no"),
    (r"Input should be (a valid )?(.*)", r"\2"),
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
    out = Checked()
    try:
        out.config = SearchConfig.parse(values)
    except InvalidConfig as e:
        out.problems += e.errors
    full = forms_values.complete(values)
    out.data, problems = forms_values.data_of(full)
    out.problems += problems
    said = {str(path[0]) for path, _ in out.problems if path}
    if out.data is not None and "space" not in said:
        options = {k: v for k, v in full["space"].items() if k != "name"}
        try:
            out.facts = space_facts(str(full["space"]["name"]), options, out.data)
        except InvalidConfig as e:
            out.problems += e.errors
    if out.config is not None and out.facts is not None:
        out.problems += _limits(out.config, out.facts)
        out.problems += _supports(out.config, out.data)
    out.problems = [(path, sentence(text)) for path, text in _unique(out.problems)]
    return out


def sentence(text: str) -> str:
    """A problem as one sentence in people's words."""
    for pattern, plain in _SENTENCES:
        changed = re.sub(f"^{pattern}", plain, text)
        if changed != text:
            text = changed
            break
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _limits(config: SearchConfig, facts: SpaceFacts) -> list[Problem]:
    out: list[Problem] = []
    for metric, limit in config.limits.items():
        low = facts.smallest.get(metric)
        if low is not None and low > limit:
            size = f"{low / 1e6:.2g} million" if low < 1e5 else f"{low / 1e6:.3g} million"
            out.append(
                (
                    ("limits", metric),
                    f"no network of this space is that small: the smallest found has {size} ({low:,.0f}) "
                    f"{COST_WORDS[metric]}. Raise the limit, or allow smaller networks in the space",
                )
            )
    return out


def _supports(config: SearchConfig, data: DataSpec | None) -> list[Problem]:
    try:
        space_cls = catalog.get("space", config.space.name)
        space = space_cls(config.options("space"), data)
        reason = catalog.get("strategy", config.strategy.name).supports(space, config.objectives)
    except EngineError as e:
        return [(("strategy", "name"), str(e))]
    return [(("strategy", "name"), f"it cannot serve this search: {reason}")] if reason else []


def _unique(problems: list[Problem]) -> list[Problem]:
    seen: dict[tuple[Path, str], Problem] = {}
    for path, text in problems:
        seen.setdefault((tuple(path), text), (tuple(path), text))
    return list(seen.values())
