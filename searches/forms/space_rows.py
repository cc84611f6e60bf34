"""The rows of the canvas's form, generated from the options of a family."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine import catalog
from engine.data import registry
from engine.spaces._options import RecipeDecisions
from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.fields import Choice, Field
from searches.forms.pieces import Fold
from searches.forms.spaces import APART, Canvas, by_yaml
from searches.forms.words import WRITTEN, data_words, first, source_of


@dataclass
class Rows:
    """The form's fields: what is in view, and what is folded."""

    data: Field
    family: Field
    fields: list[Field]
    folds: list[Fold]
    held: dict[str, Any]
    held_words: list[tuple[str, str]]

    @property
    def held_json(self) -> str:
        """What no row holds, to travel in a hidden field."""
        return json.dumps(self.held) if self.held else ""

    def every(self) -> list[Field]:
        """All of them."""
        return [self.data, self.family, *self.fields, *(f for fold in self.folds for f in fold.fields)]


def rows(made: Canvas) -> Rows:
    """The form for a canvas; problems stand at their fields."""
    info = registry.datasets()
    now = str(made.state["data"].get("name", ""))
    choices = [Choice(n, i.title, n == now, title=i.summary) for n, i in info.items()]
    if now not in info:
        choices.append(Choice(now, now, True))
    about = data_words(made.data) if made.data else ""
    data = Field(("data", "name"), "drawn for", "select", choices=choices, help=about)
    family = Field(("space", "name"), "family", "select", choices=_families(made), help=_about(made))
    given = made.options
    base = forms_values.suggested(made.family, made.data)
    options: list[Field] = []
    held: dict[str, Any] = {}
    words: list[tuple[str, str]] = []
    if made.cls is not None:
        apart = by_yaml(made.cls.Options)
        # what was left out has its default, whatever would be suggested
        shown = made.space.options.model_dump(mode="json") if made.space is not None else given
        for name, field_info in fields.model_fields(made.cls.Options).items():
            if name in APART:
                continue
            usual = base.get(name, fields.default_of(field_info))
            value = shown.get(name, fields.default_of(field_info))
            if name in apart:
                if name in given:
                    held[name] = given[name]
                words.append((name.replace("_", " "), _held(value)))
            else:
                options.append(fields.make(("space", name), field_info, value, default=usual))
    if len(options) > 3 and not any(f.folded for f in options):
        for f in options[2:]:
            f.folded = True
    out = Rows(data, family, [f for f in options if not f.folded], [], held, words)
    if folded := [f for f in options if f.folded]:
        changed = [f.label for f in folded if not f.at_default]
        state = f"{', '.join(changed)} changed" if changed else "as suggested for this data"
        out.folds.append(Fold("fold-options", f"{len(folded)} more option{'s' * (len(folded) > 1)}, {state}", folded))
    if made.cls is not None:
        out.folds.append(_recipe(given.get("recipe")))
    said = made.by_field
    for f in out.every():
        f.errors = said.get(f.name, [])
    return out


def _held(value: Any) -> str:
    """What is written there, in numbers: "6", "decisions 4, network 7"."""
    if isinstance(value, list | tuple):
        return f"{len(value):,}"
    parts = value.items() if isinstance(value, Mapping) else ()
    counts = [f"{k.replace('_', ' ')} {len(v):,}" for k, v in parts if isinstance(v, list | tuple | Mapping) and v]
    return ", ".join(counts) or "as written"


def _families(made: Canvas) -> list[Choice]:
    serve, others = [], []
    for name, cls in sorted(catalog.plugins("space").items(), key=lambda item: item[0] in WRITTEN):
        reason = cls.fits(made.data) if made.data is not None else None
        words = first(cls.summary).split(",")[0].split(":")[0]
        label = f"{name}: {reason}" if reason else f"{name}: {words}"
        (others if reason else serve).append(
            Choice(name, label, name == made.family, bool(reason), reason or cls.summary)
        )
    out = serve + others
    return out if any(c.chosen for c in out) else [*out, Choice(made.family, made.family, True)]


def _about(made: Canvas) -> str:
    if made.cls is None:
        return ""
    return f"{made.cls.summary.rstrip('.')}. {source_of(made.cls)}".strip()


def _recipe(given: Any) -> Fold:
    now = given if isinstance(given, Mapping) else {}
    listed = []
    for name, info in RecipeDecisions.model_fields.items():
        row = fields.make(("space", "recipe", name), info, now.get(name, ()), default=(), folded=True)
        listed.append(row)
    searched = [f.label for f in listed if not f.at_default]
    words = f"searched too: {', '.join(searched)}" if searched else "nothing of it is searched"
    return Fold("fold-recipe", f"training recipe: {words}", listed)
