"""The search in the form as YAML, line by line, so that a problem can stand at its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from engine.config import SearchConfig
from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.check import Checked
from searches.forms.fields import Path
from searches.forms.values import Values

WIDE = 72  # a part that is longer in one line is written in several
ORDER = (
    "schema", "name", "data", "space", "strategy", "schedule", "evaluator", "objectives", "limits", "duplicates",
    "replicates",
    "training", "budget", "parallelism", "seed", "final",
)  # fmt: skip
#: written even where they are at their defaults
ALWAYS = {"budget": ("trials", "epochs")}


@dataclass(frozen=True)
class Line:
    """One line: what stands before the key, the key, the rest, and what is wrong with it."""

    path: Path
    indent: str
    key: str
    rest: str
    problem: str = ""

    @property
    def text(self) -> str:
        """The line as it is copied."""
        return f"{self.indent}{self.key}{':' if self.key else ''}{self.rest}"


def short(values: Values) -> Values:
    """The same search without what is at its default: reads back to an equal value."""
    v = forms_values.complete(values)
    out: Values = {"schema": v["schema"], "name": v["name"]}
    for kind in ("data", *forms_values.KINDS):
        name = str(v[kind]["name"])
        if kind == "evaluator" and name == forms_values.DEFAULTS[kind] and len(v[kind]) == 1:
            continue
        kept = _changed(v[kind], forms_values.options_model(kind, name))
        if kind != "evaluator" or name != forms_values.DEFAULTS[kind] or kept:
            out[kind] = {"name": name, **kept}
    out["objectives"] = v["objectives"]
    if v["limits"]:
        out["limits"] = v["limits"]
    for key, model in forms_values.PARTS.items():
        kept = _changed(v[key], model, ALWAYS.get(key, ()))
        if kept:
            out[key] = kept
    if v.get("duplicates", "canonical") != "canonical":
        out["duplicates"] = v["duplicates"]
    if v.get("replicates"):
        out["replicates"] = v["replicates"]
    out["parallelism"], out["seed"] = v["parallelism"], v["seed"]
    for key in v:
        if key not in SearchConfig.model_fields and key != "schema":
            out[key] = v[key]  # unknown: shown, so that its problem can be
    return {key: out[key] for key in (*ORDER, *out) if key in out}


def lines(values: Values, checked: Checked) -> list[Line]:
    """The short form, one `Line` each, problems at the lowest line they belong to."""
    made: list[Line] = []
    for key, value in short(values).items():
        made += _part(str(key), _plain(value))
    said: dict[int, list[str]] = {}
    for path, text in checked.problems:
        if (at := _line_of(path, made)) is not None:
            said.setdefault(at, []).append(text)
    return [Line(line.path, line.indent, line.key, line.rest, " ".join(said.get(i, []))) for i, line in enumerate(made)]


def _changed(given: Values, model: type[BaseModel] | None, always: tuple[str, ...] = ()) -> Values:
    infos = fields.model_fields(model) if model else {}
    out = {}
    for name in always:
        if name in infos:
            out[name] = given.get(name, fields.default_of(infos[name]))
    for name, value in given.items():
        if name == "name" and model not in forms_values.PARTS.values():
            continue
        if name not in infos or not fields.same(value, fields.default_of(infos[name])):
            out[name] = value
    return out


def _part(key: str, value: Any) -> list[Line]:
    if key == "limits" and isinstance(value, Mapping):
        value = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in value.items()}
    if isinstance(value, Mapping):
        flow = fields.flow(value)
        if len(key) + len(flow) + 2 <= WIDE and key != "limits":
            return [Line((key,), "", key, f" {flow}")]
        return [
            Line((key,), "", key, ""),
            *(line for k, v in value.items() for line in _below(key, str(k), v)),
        ]
    if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        return [Line((key,), "", key, ""), *(Line((key, i), "  - ", "", fields.flow(v)) for i, v in enumerate(value))]
    return [Line((key,), "", key, f" {_scalar(value)}")]


def _below(key: str, name: str, value: Any) -> list[Line]:
    """One field of a part; what is nested and long stands below it in several lines."""
    nested = isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(v, Mapping) for v in value))
    if not nested or len(fields.flow(value)) <= WIDE:
        return [Line((key, name), "  ", name, f" {_scalar(value)}")]
    return [
        Line((key, name), "  ", name, ""),
        *(Line((key, name), "    ", "", text) for text in fields.block(value).splitlines()),
    ]


def _scalar(value: Any) -> str:
    """YAML that reads back as this value; text is quoted where it would be read as something else."""
    import yaml

    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _line_of(path: Path, made: list[Line]) -> int | None:
    for end in range(len(path), 0, -1):
        for i, line in enumerate(made):
            if tuple(map(str, line.path)) == tuple(map(str, path[:end])):
                return i
    return None
