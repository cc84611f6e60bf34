"""A search space as YAML or JSON: what export writes, import reads, and the canvas shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from engine import catalog
from engine.errors import InvalidConfig
from searches.forms import fields
from searches.forms import values as forms_values

#: characters of a state, whichever way it comes
LONGEST = 256 * 1024


def from_text(text: str) -> dict[str, Any]:
    """YAML or JSON of a space: `{name, note, space: {...}, data: {...}}`; a whole search does, too.

    Returns:
        The mapping, with `space` and `data` being mappings.

    Raises:
        InvalidConfig: too long, unreadable, or without a space.
    """
    if len(text) > LONGEST:
        raise InvalidConfig([(("space",), too_long(len(text)))])
    value = _read(text)
    if not isinstance(value, dict):
        raise InvalidConfig([(("space",), f"a space is a mapping of fields, not {kind_words(value)}")])
    value = {str(k): v for k, v in value.items()}
    if "space" not in value:
        if value.get("name") in catalog.plugins("space"):
            value = {"space": value}
        else:
            raise InvalidConfig([(("space",), "there is no “space” in it, e.g. space: {name: layers}")])
    for part in ("space", "data"):
        given = value.get(part, "digits")
        given = {"name": given} if isinstance(given, str) else given
        if not isinstance(given, dict):
            raise InvalidConfig([((part,), f"{part} is a name, or a mapping with a name, not {kind_words(given)}")])
        value[part] = {str(k): v for k, v in given.items()}
        value[part].setdefault("name", "digits" if part == "data" else "")
    return value


def _read(text: str) -> Any:
    try:
        if text.lstrip().startswith("{"):
            try:
                return json.loads(text, parse_constant=lambda name: float(name.replace("Infinity", "inf")))
            except ValueError:
                pass  # YAML has mappings in braces, too
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for event in yaml.parse(text, Loader=loader):
            if isinstance(event, yaml.AliasEvent):
                raise InvalidConfig([(("space",), "aliases (*name) have no place here: write the value out")])
        return yaml.load(text, Loader=loader)  # noqa: S506 - the safe one
    except (yaml.YAMLError, ValueError) as e:
        mark = getattr(e, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(e, "problem", None) or str(e).splitlines()[0]
        raise InvalidConfig([(("space",), f"this is neither YAML nor JSON{where}: {what}")]) from e
    except RecursionError as e:
        raise InvalidConfig([(("space",), "this is nested too deeply to be a space")]) from e


def kind_words(value: Any) -> str:
    return {str: "a text", list: "a list", type(None): "nothing"}.get(type(value), type(value).__name__)


def too_long(n: int | None = None) -> str:
    """The sentence about the limit on a state."""
    has = f", this has {n:,}" if n else ""
    return f"a space has at most {LONGEST:,} characters{has}"


def to_yaml(state: Mapping[str, Any], *, name: str = "", note: str = "") -> str:
    """What `from_text` reads; options at their defaults are left out."""
    space = dict(state["space"])
    model = forms_values.options_model("space", str(space.get("name", "")))
    kept = {"name": space.get("name", "")}
    for key, value in space.items():
        info = fields.model_fields(model).get(key) if model else None
        if key != "name" and (info is None or not _same(value, fields.default_of(info))):
            kept[key] = _filled(value) if key == "recipe" and isinstance(value, Mapping) else _plain(value)
    data = dict(state["data"])
    usual = forms_values.options_model("data", str(data.get("name", "")))
    rest = {
        k: v for k, v in data.items()
        if k == "name" or usual is None or k not in usual.model_fields
        or not _same(v, fields.default_of(usual.model_fields[k]))
    }  # fmt: skip
    plain: dict[str, Any] = {"name": name} if name else {}
    plain |= {"space": kept, "data": rest}
    if note:
        plain["note"] = note
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, default_flow_style=None, width=88)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _filled(value: Mapping[str, Any]) -> Any:
    """Without what is not searched."""
    return {str(k): _plain(v) for k, v in value.items() if not (isinstance(v, list | tuple) and not v)}


def _same(value: Any, usual: Any) -> bool:
    if isinstance(usual, BaseModel):
        return isinstance(value, Mapping) and _filled(value) == _filled(usual.model_dump(mode="json"))
    usual = (
        [m.model_dump(mode="json") if isinstance(m, BaseModel) else m for m in usual]
        if isinstance(usual, list | tuple)
        else usual
    )
    return bool(_plain(value) == _plain(usual))
