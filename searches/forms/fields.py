"""From a field of a pydantic model to a field of the form, and from what a person typed back to a plain value.

Nothing is validated here: bounds and types are the model's own, and `SearchConfig.parse` applies them. A field knows
only how to show a value and how to read one.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

Path = tuple[str | int, ...]
Kind = Literal["text", "number", "check", "select", "segmented", "checks", "flow", "yaml", "methods"]
LONGEST = 2_000  # characters of one typed value
LONGEST_BLOCK = 200_000  # of one typed block of YAML
_INT = re.compile(r"[+-]?\d{1,40}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?")


@dataclass(frozen=True)
class Choice:
    """One option of a select or of a group of checks."""

    value: str
    label: str
    chosen: bool = False
    disabled: bool = False
    title: str = ""


@dataclass
class Field:
    """One row of the form.

    Attributes:
        path: where its value stands in the search, e.g. `("budget", "trials")`.
        kind: how it is drawn; "flow" is one line of YAML, for values that no other kind fits, "yaml" several lines.
        value: as text ("on" or "" for a check).
        folded: behind "more".
        at_default: whether it says what an untouched form says.
    """

    path: Path
    label: str
    kind: Kind
    value: str = ""
    choices: list[Choice] = field(default_factory=list)
    help: str = ""
    unit: str = ""
    before: str = ""
    placeholder: str = ""
    bounds: str = ""
    folded: bool = False
    at_default: bool = True
    errors: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Name in the HTML form: the path with dots."""
        return ".".join(map(str, self.path))

    @property
    def id(self) -> str:
        """Id in the page."""
        return "f-" + "-".join(map(str, self.path))

    @property
    def n_lines(self) -> int:
        """Height of a block of YAML."""
        return min(24, max(2, self.value.count("\n") + 2))

    @property
    def quiet(self) -> bool:
        """Whether its help is said on hover only: boxes in view explain themselves by their options."""
        return self.kind == "checks" and not self.folded and bool(self.unit)

    @property
    def described_by(self) -> str:
        """What a screen reader says after the label."""
        if self.errors:
            return f"{self.id}-error"
        return f"{self.id}-help" if self.help and not self.quiet else ""


@dataclass(frozen=True)
class Shape:
    """What a model's annotation means for a form."""

    kind: Kind
    many: bool = False
    optional: bool = False
    numeric: bool = False
    choices: tuple[Any, ...] = ()


def shape_of(info: FieldInfo) -> Shape:
    """How a pydantic field is shown and read."""
    annotation, optional = _without_none(info.annotation)
    given = extra(info).get("choices", extra(info).get("options"))
    origin = get_origin(annotation)
    if extra(info).get("yaml"):
        return Shape("yaml", optional=optional)
    if annotation is bool:
        return Shape("check", optional=optional)
    if origin is Literal:
        return Shape("select", optional=optional, choices=get_args(annotation))
    if origin in (tuple, list, set, frozenset):
        inner = _unannotated(next((a for a in get_args(annotation) if a is not Ellipsis), str))
        inner, _ = _without_none(inner)
        choices = get_args(inner) if get_origin(inner) is Literal else tuple(given or ())
        if choices:
            return Shape("checks", many=True, optional=optional, choices=choices)
        if inner in (int, float, str):
            return Shape("text", many=True, optional=optional, numeric=inner is not str)
        return Shape("flow", many=True, optional=optional)
    if given:
        return Shape("select", optional=optional, choices=tuple(given))
    if annotation in (int, float):
        return Shape("number", optional=optional, numeric=True)
    if annotation is str:
        return Shape("text", optional=optional)
    return Shape("flow", optional=optional)


def extra(info: FieldInfo) -> Mapping[str, Any]:
    """The field's hints for a form: label, unit, advanced, choices, labels, words (of a choice: "×{}")."""
    return info.json_schema_extra if isinstance(info.json_schema_extra, Mapping) else {}


def default_of(info: FieldInfo) -> Any:
    """The field's default, or None where it has none."""
    value = info.get_default(call_default_factory=True)
    return None if value is PydanticUndefined else value


def make(path: Path, info: FieldInfo, value: Any, *, default: Any = None, folded: bool = False) -> Field:
    """The field of the form that shows `value`, which may be anything a person typed."""
    shape, hints = shape_of(info), extra(info)
    usual = default_of(info) if default is None else default
    out = Field(
        path=path,
        label=str(hints.get("label") or info.title or str(path[-1]).replace("_", " ")),
        kind=shape.kind,
        help=info.description or "",
        unit=str(hints.get("unit", "")),
        bounds=bounds(info),
        folded=bool(hints.get("advanced", folded)),
        at_default=same(value, usual),
    )
    if shape.kind == "check":
        out.value = "on" if value is True or value == "on" else ""
    elif shape.kind == "checks":
        chosen = {show(v) for v in value} if isinstance(value, list | tuple | set | frozenset) else {show(value)}
        out.choices = [Choice(show(c), label_of(c, hints), show(c) in chosen) for c in shape.choices]
        known = {c.value for c in out.choices}
        out.choices += [Choice(v, label_of(v, hints), True) for v in sorted(chosen - known) if v]
    elif shape.kind == "select":
        out.choices = [Choice(show(c), label_of(c, hints), show(c) == show(value)) for c in shape.choices]
        if shape.optional:
            out.choices.insert(0, Choice("", str(hints.get("none", "not set")), value is None))
        if not any(c.chosen for c in out.choices):
            out.choices.append(Choice(show(value), show(value), True))
    else:
        written = {"flow": flow, "yaml": block}.get(shape.kind, show_many if shape.many else show)
        out.value = written(value)
        out.placeholder = "" if usual is None or shape.kind == "yaml" else show_many(usual)
    return out


def read(info: FieldInfo, given: Sequence[str]) -> tuple[bool, Any]:
    """What was typed into a field, as `(present, value)`; not present = take the default.

    Text that is no number stays text, so that the model says what is wrong with it.
    """
    shape = shape_of(info)
    if shape.kind == "check":
        return True, bool(given and given[-1])
    if shape.kind == "checks":
        known = {show(c): c for c in shape.choices}
        return True, [known.get(v, v) for v in given[:1000] if v]
    if shape.kind == "yaml":
        text = (given[-1] if given else "").strip()
        if len(text) > LONGEST_BLOCK:
            return True, f"{len(text):,} characters of YAML; at most {LONGEST_BLOCK:,}"
        return bool(text), read_block(text)
    text = (given[-1] if given else "").strip()[:LONGEST]
    if shape.kind == "select":
        known = {show(c): c for c in shape.choices}
        return (True, None) if shape.optional and not text else (bool(text), known.get(text, text))
    if not text:
        return shape.optional, None
    if shape.kind == "flow":
        return True, read_flow(text)
    if shape.many:
        parts = [part.strip() for part in text.strip("[]()").split(",")]
        return True, [number(part) if shape.numeric else part for part in parts if part]
    return True, number(text) if shape.numeric else text


def number(text: str) -> int | float | str:
    """An int or float where the text is one, else the text."""
    plain = text.strip().replace("_", "").replace("\u202f", "").replace("\u00a0", "")
    if re.fullmatch(r"[+-]?\d{1,3}(,\d{3})+", plain):
        plain = plain.replace(",", "")
    if _INT.fullmatch(plain):
        return int(plain)
    return float(plain) if _FLOAT.fullmatch(plain) else text


def show(value: Any) -> str:
    """A single value as a person would type it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        exact = format(Decimal(repr(value)), "f") if value == value and abs(value) < 1e15 else repr(value)
        return exact.rstrip("0").rstrip(".") if "." in exact else exact
    if isinstance(value, dict | list | tuple):
        return flow(value)
    return str(value)[:LONGEST]


def show_many(value: Any) -> str:
    """A list as `1, 2, 3`; anything else as `show`."""
    return ", ".join(show(v) for v in value) if isinstance(value, list | tuple) else show(value)


def flow(value: Any) -> str:
    """One line of YAML."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    plain = list(value) if isinstance(value, tuple | set | frozenset) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10_000, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def block(value: Any) -> str:
    """YAML over several lines, what is short in one; nothing for what is empty."""
    if not value:
        return ""
    if isinstance(value, str):
        return value
    text = yaml.dump(_unmodelled(value), Dumper=_Block, width=100, allow_unicode=True, sort_keys=False)
    return str(text).rstrip("\n")


def _unmodelled(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return [_unmodelled(v) for v in value] if isinstance(value, list | tuple) else value


class _Block(yaml.SafeDumper):
    """Lists and small mappings of plain values in one line, no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> Any:
        return super().represent_sequence(tag, sequence, flow_style=all(map(_is_plain, sequence)))

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> Any:
        small = len(str(mapping)) < 90 and all(
            _is_plain(v) or (isinstance(v, list) and all(map(_is_plain, v))) for v in mapping.values()
        )
        return super().represent_mapping(tag, mapping, flow_style=small)


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def read_block(text: str) -> Any:
    """What several lines of YAML say; text that is no YAML, or has aliases, stays text."""
    try:
        if any(isinstance(e, yaml.AliasEvent) for e in yaml.parse(text, Loader=yaml.SafeLoader)):
            return text
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text


def read_flow(text: str) -> Any:
    """What one line of YAML says; text that is no YAML stays text."""
    if "&" in text or "*" in text:
        return text
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text


def label_of(choice: Any, hints: Mapping[str, Any]) -> str:
    """A choice in people's words."""
    labels = hints.get("labels")
    if isinstance(labels, Mapping) and (choice in labels or show(choice) in labels):
        return str(labels.get(choice, labels.get(show(choice))))
    if words := hints.get("words"):
        return str(words).format(show(choice))
    if choice is None:
        return "none"
    if isinstance(choice, bool):
        return "yes" if choice else "no"
    text = show(choice).replace("_", " ")
    if sized := re.fullmatch(r"(conv|sep)(\d+)", text):
        return f"{'separable' if sized[1] == 'sep' else 'conv'} {sized[2]}×{sized[2]}"
    return text


def bounds(info: FieldInfo) -> str:
    """The bounds in words: "1 to 4,096", "above 0", ""."""
    low = high = None
    above = below = False
    for item in info.metadata:
        if (v := getattr(item, "ge", None)) is not None:
            low = v
        if (v := getattr(item, "gt", None)) is not None:
            low, above = v, True
        if (v := getattr(item, "le", None)) is not None:
            high = v
        if (v := getattr(item, "lt", None)) is not None:
            high, below = v, True
    first = (
        "" if low is None else f"above {low:,}" if above else f"{low:,}" if high is not None else f"at least {low:,}"
    )
    last = (
        "" if high is None else f"below {high:,}" if below else f"{high:,}" if low is not None else f"at most {high:,}"
    )
    if first and last:
        return f"{first} {'and' if above else 'to'} {last}"
    return first or last


def model_fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """A model's fields by the names a person writes."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def inner_model(info: FieldInfo) -> type[BaseModel] | None:
    """The model of a field that is a part with fields of its own, drawn as rows of their own."""
    annotation, _ = _without_none(info.annotation)
    if extra(info).get("yaml") or not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    return annotation


def _unannotated(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is typing.Annotated else annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    annotation = _unannotated(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [a for a in get_args(annotation) if a is not type(None)]
        optional = len(parts) < len(get_args(annotation))
        return (_unannotated(parts[0]) if len(parts) == 1 else annotation), optional
    return annotation, False


def _without_defaults(model: type[BaseModel], value: Any) -> BaseModel | None:
    try:
        return value if isinstance(value, BaseModel) else model.model_validate(value)
    except ValidationError:
        return None


def same(value: Any, default: Any) -> bool:
    """Whether two values read alike in a form."""
    if isinstance(default, BaseModel):
        return bool(_without_defaults(type(default), value) == default)
    if isinstance(value, list | tuple) and isinstance(default, list | tuple):
        return [show(v) for v in value] == [show(v) for v in default]
    return show(value) == show(default)
