"""What sections of a form are made of: rows from the options of plug-ins, and folds that say what is in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.fields import Field
from searches.forms.values import Values


@dataclass
class Fold:
    """Rows behind one line that says what they are set to."""

    id: str
    summary: str
    fields: list[Field] = field(default_factory=list)

    @property
    def open(self) -> bool:
        """Folds with a problem inside stand open."""
        return any(f.errors for f in self.fields)


@dataclass
class Section:
    """One of the five."""

    id: str
    title: str
    note: str = ""
    fields: list[Field] = field(default_factory=list)
    folds: list[Fold] = field(default_factory=list)

    def every(self) -> Iterable[Field]:
        """All fields, folded ones too."""
        yield from self.fields
        for fold in self.folds:
            yield from fold.fields


def option_rows(
    kind: str, name: str, given: Values, *, all_folded: bool = False, base: Values | None = None
) -> list[Field]:
    """A row for each option of a plug-in.

    Args:
        kind, name: of the plug-in.
        given: what was typed.
        all_folded: nothing of it is in view.
        base: what an untouched form says, where that is not the option's default.
    """
    model = forms_values.options_model(kind, name)
    if model is None:
        return []
    rows = []
    for key, info in fields.model_fields(model).items():
        usual = (base or {}).get(key, fields.default_of(info))
        if (inner := fields.inner_model(info)) is not None:
            part = given.get(key)
            typed = part if isinstance(part, dict) else {}
            for name, detail in fields.model_fields(inner).items():
                row = fields.make((kind, key, name), detail, typed.get(name, fields.default_of(detail)), folded=True)
                row.label = f"{key}: {row.label}"
                row.folded = True
                rows.append(row)
            continue
        rows.append(fields.make((kind, key), info, given.get(key, usual), default=usual, folded=all_folded))
        rows[-1].folded = rows[-1].folded or all_folded
    return rows


def model_rows(part: str, given: Values) -> list[Field]:
    """A folded row for each field of a part of the search."""
    model = forms_values.PARTS[part]
    return [
        fields.make((part, key), info, given.get(key, fields.default_of(info)), folded=True)
        for key, info in fields.model_fields(model).items()
    ]


def summary_of(rows: list[Field], most: int = 4) -> str:
    """What rows are set to, the first ones in words: "seed 0, validation automatic and 2 more"."""
    said = []
    for row in rows:
        if row.kind == "check":
            text = "on" if row.value else "off"
        elif row.kind in ("checks", "select", "segmented"):
            text = " ".join(c.label for c in row.choices if c.chosen)
        else:
            text = row.value or row.placeholder or "automatic"
        said.append(f"{row.label} {text}")
    more = f" and {len(said) - most} more" if len(said) > most else ""
    return ", ".join(said[:most]) + more
