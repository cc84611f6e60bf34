"""The values of the form with one choice changed from outside of it: by an address, a saved space, a clone."""

from __future__ import annotations

import contextlib
import json
import re
from typing import Any

from engine import catalog
from engine.config import SearchConfig
from searches.forms import values as forms_values

Values = dict[str, Any]
#: networks trained alone that a weight-sharing search begins with: five, and a random one beside each
ALONE = 10


def with_space(values: Values, space: Values, data: Values) -> Values:
    """The same form in another space, for the data that was drawn for."""
    return forms_values.renamed(values | {"space": dict(space), "data": dict(data)})


def with_strategy(values: Values, name: str, options: str = "") -> Values:
    """The same form with another strategy at its defaults; `options` is JSON that is laid over what is chosen.

    Options that it does not know, and what cannot be read, are left out.
    """
    model = forms_values.options_model("strategy", name)
    known = set(model.model_fields) if model else set()
    given: Any = {}
    with contextlib.suppress(ValueError, RecursionError):
        given = json.loads(options[:2000]) if options else {}
    new = {k: v for k, v in given.items() if k in known} if isinstance(given, dict) else {}
    if values["strategy"]["name"] == name:
        return values | {"strategy": values["strategy"] | new} if new else values
    before = str(values["strategy"]["name"])
    return to_sharing(forms_values.renamed(values | {"strategy": {"name": name} | new}), before)


def to_sharing(values: Values, before: str) -> Values:
    """Where a weight-sharing method has just been chosen: few networks are trained alone, and all of them to the end.

    Args:
        before: the strategy until then; "" = not known, and nothing changes.
    """
    sharing = catalog.plugins("supernet")
    if not before or before in sharing or values["strategy"]["name"] not in sharing:
        return values
    out = values | {"schedule": {"name": "full"}}
    usual = SearchConfig.model_fields["budget"].default.trials
    if values["budget"].get("trials", usual) == usual:
        out["budget"] = values["budget"] | {"trials": ALONE}
    return out


def with_start(values: Values, digest: str) -> Values:
    """The same form, its supernet beginning with the weights of an earlier one."""
    if not re.fullmatch(r"[0-9a-f]{64}", digest) or values["strategy"]["name"] not in catalog.plugins("supernet"):
        return values
    return values | {"strategy": values["strategy"] | {"start": digest}}


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
