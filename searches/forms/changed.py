"""The values of the form with one choice changed from outside of it: by an address, a saved space, a clone."""

from __future__ import annotations

import re
from typing import Any

from searches.forms import values as forms_values

Values = dict[str, Any]


def with_space(values: Values, space: Values, data: Values) -> Values:
    """The same form in another space, for the data that was drawn for."""
    return forms_values.renamed(values | {"space": dict(space), "data": dict(data)})


def with_strategy(values: Values, name: str) -> Values:
    """The same form with another strategy at its defaults."""
    if values["strategy"]["name"] == name:
        return values
    return forms_values.renamed(values | {"strategy": {"name": name}})


def with_data(values: Values, name: str) -> Values:
    """The same form for another data set, with a space that suits it."""
    if values["data"]["name"] == name:
        return values
    out = forms_values.renamed(values | {"data": {"name": name}})
    data, _ = forms_values.data_of(out)
    space = str(out["space"]["name"])
    out["space"] = {"name": space} | forms_values.suggested(space, data)
    return out


def next_name(name: str) -> str:
    """ "Digits" → "Digits 2" → "Digits 3"."""
    found = re.fullmatch(r"(.*\S)\s+(\d{1,4})", name)
    base, number = (found[1], int(found[2]) + 1) if found else (name, 2)
    return f"{base[:190]} {number}"
