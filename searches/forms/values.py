"""A search as a plain mapping: from the posted form, from YAML, from a stored config; with the units people type in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import yaml
from django.http import QueryDict
from pydantic import BaseModel, ValidationError

from engine import catalog
from engine.config import SCHEMA, Budget, Final, Recipe, SearchConfig
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import DataError, EngineError, InvalidConfig
from searches.forms import fields

Values = dict[str, Any]
#: models of the parts that are the same for every search
PARTS: dict[str, type[BaseModel]] = {"training": Recipe, "budget": Budget, "final": Final}
KINDS = ("space", "strategy", "schedule", "evaluator")
#: what a search means that does not say it
DEFAULTS: dict[str, str] = {
    "data": "digits",
    "space": "layers",
    "strategy": SearchConfig.model_fields["strategy"].default.name,
    "schedule": "full",
    "evaluator": "trained",
}
#: what the form's limits are typed in, of one unit of the metric
LIMIT_UNITS = {"n_macs": Decimal(10**6), "n_params": Decimal(10**6), "activation_bytes": Decimal(10**6)}
LONGEST_YAML = 100_000


def options_model(kind: str, name: str) -> type[BaseModel] | None:
    """The option model of a plug-in or of a data set; None where the name is unknown."""
    if kind == "data":
        source = registry.sources().get(name)
        return source.Options if source else None
    try:
        return catalog.get(kind, name).Options
    except InvalidConfig:
        return None


def suggested(space: str, data: DataSpec | None) -> Values:
    """Option values of a space that suit the data; empty where either is unknown."""
    try:
        cls = catalog.get("space", space)
        return dict(cls.suggested(data)) if data is not None and cls.fits(data) is None else {}
    except EngineError:
        return {}


def default_space(data: DataSpec) -> str:
    """The space that a form offers first for this kind of data."""
    first = {"image": "layers", "signal": "layers", "text": "transformer", "table": "mlp"}[data.kind]
    every = catalog.plugins("space")
    serving = [name for name, cls in every.items() if cls.fits(data) is None]
    return first if first in serving else next(iter(serving), DEFAULTS["space"])


def data_of(values: Values) -> tuple[DataSpec | None, list[tuple[fields.Path, str]]]:
    """The data's spec, with the problems of that part; an evaluator that brings its own data decides."""
    part = values.get("data", {})
    evaluator = values.get("evaluator", {})
    try:
        cls = catalog.get("evaluator", str(evaluator.get("name", DEFAULTS["evaluator"])))
        options = cls.Options.model_validate({k: v for k, v in evaluator.items() if k != "name"})
        if (own := cls.data_spec(options)) is not None:
            return own, []
    except (InvalidConfig, ValidationError):
        pass  # said by SearchConfig.parse, at its path
    except (DataError, OSError) as e:
        return None, [(("evaluator",), str(e))]
    try:
        return registry.spec(
            str(part.get("name", DEFAULTS["data"])), {k: v for k, v in part.items() if k != "name"}
        ), []
    except InvalidConfig as e:
        return None, list(e.errors)
    except (DataError, OSError) as e:
        return None, [(("data", "name"), str(e))]


def fresh(*, parallelism: int = 2) -> Values:
    """What an untouched form says."""
    data, _ = data_of({"data": {"name": DEFAULTS["data"]}})
    values: Values = {"schema": SCHEMA, "name": "", "data": {"name": DEFAULTS["data"]}}
    for kind in KINDS:
        values[kind] = {"name": DEFAULTS["strategy"] if kind == "strategy" else DEFAULTS[kind]}
    values["space"] |= suggested(DEFAULTS["space"], data)
    values |= {
        "objectives": [{"metric": "accuracy", "direction": "maximize"}],
        "limits": {},
        "parallelism": max(1, parallelism),
    }
    return complete(values)


def complete(values: Values) -> Values:
    """The same search with every part present, for the form to show; problems are left as they are."""
    out = dict(values)
    out.setdefault("schema", SCHEMA)
    out.setdefault("name", "")
    for kind in ("data", *KINDS):
        part = out.get(kind)
        part = {"name": part} if isinstance(part, str) else dict(part) if isinstance(part, Mapping) else {}
        part.setdefault("name", DEFAULTS[kind])
        out[kind] = part
    for key in (*PARTS, "limits"):
        out[key] = dict(out[key]) if isinstance(out.get(key), Mapping) else {}
    given = out.get("objectives", [{"metric": "accuracy", "direction": "maximize"}])
    out["objectives"] = [dict(o) for o in given if isinstance(o, Mapping)] if isinstance(given, Sequence) else []
    out.setdefault("parallelism", 2)
    out.setdefault("seed", 0)
    return out


def default_name(values: Values) -> str:
    """A name that says what it is, for people who do not care to give one."""
    source = registry.sources().get(str(values["data"].get("name")))
    strategy = str(values["strategy"].get("name", "")).replace("_", " ")
    return f"{source.title if source else values['data'].get('name')}, {strategy}"[:200]


def renamed(values: Values) -> Values:
    """A name that nobody has typed follows the data and the strategy."""
    title, _, strategy = str(values.get("name", "")).rpartition(", ")
    given = strategy.replace(" ", "_") in catalog.methods()
    if given and title in {source.title for source in registry.sources().values()}:
        return values | {"name": default_name(values)}
    return values


def from_config(config: Mapping[str, Any]) -> Values:
    """A stored search as the form shows it."""
    return complete(dict(config))


def from_yaml(text: str) -> Values:
    """What was pasted, unchecked but for its form.

    Raises:
        InvalidConfig: too long, not YAML, with aliases, or no mapping.
    """
    if len(text) > LONGEST_YAML:
        raise InvalidConfig([((), f"a search has at most {LONGEST_YAML:,} characters, this has {len(text):,}")])
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise InvalidConfig([((), "aliases (*name) have no place in a search: write the value out")])
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as e:
        mark = getattr(e, "problem_mark", None)
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(e, "problem", None) or str(e).splitlines()[0]
        raise InvalidConfig([((), f"this is not YAML{where}: {what}")]) from e
    except RecursionError as e:
        raise InvalidConfig([((), "this is nested too deeply to be a search")]) from e
    if not isinstance(value, dict):
        raise InvalidConfig([((), f"a search is a mapping of fields, not {type(value).__name__}")])
    return {str(k): v for k, v in value.items()}


def from_post(post: QueryDict, *, parallelism: int = 2) -> Values:
    """What a person typed, as `SearchConfig.parse` reads it.

    Options are taken only where the form that was sent showed those of the chosen plug-in (`space:for`); otherwise it
    gets the ones that suit the data. A form without the mark `form:whole` may name a few fields only.
    """
    whole = "form:whole" in post
    values = fresh(parallelism=parallelism)
    values["name"] = post.get("name", "").strip()[: fields.LONGEST]
    for kind in ("data", *KINDS):
        values[kind] = _plugin(post, kind, values)
    for key, model in PARTS.items():
        values[key] = _model(post, key, model, whole)
    if whole or "objectives" in post:
        values["objectives"] = _objectives(post.getlist("objectives"))
    values["limits"] = _limits(post)
    for key in ("parallelism", "seed", "duplicates", "replicates"):
        present, value = fields.read(SearchConfig.model_fields[key], post.getlist(key))
        if present:
            values[key] = value
    if not values["name"]:
        values["name"] = "" if whole else default_name(values)
    return values


def _plugin(post: QueryDict, kind: str, values: Values) -> Values:
    name = post.get(f"{kind}.name", values[kind]["name"])
    model = options_model(kind, name)
    part: Values = {"name": name}
    if model is None:
        return part
    shown = post.get(f"{kind}:for") == name
    named = any(key.startswith(f"{kind}.") for key in post)
    if shown or (named and f"{kind}:for" not in post):
        part |= _options(post, kind, model, shown)
    if kind != "space":
        return part
    data, _ = data_of(values)
    if (
        data is not None
        and catalog.get("space", name).fits(data)
        and post.get("data:for", "") != values["data"]["name"]
    ):
        name = default_space(data)  # other data was chosen: offer what serves it
        return {"name": name} | suggested(name, data)
    if not shown and len(part) == 1:
        return part | suggested(name, data)
    before = post.get("data:for", "")
    if before and before != values["data"]["name"]:
        old, _ = data_of({"data": {"name": before}, "evaluator": values["evaluator"]})
        if _equal(part, suggested(name, old), model):
            return {"name": name} | suggested(name, data)
    return part


def _equal(part: Values, other: Values, model: type[BaseModel]) -> bool:
    options = {k: v for k, v in part.items() if k != "name"}
    try:
        return model.model_validate(options) == model.model_validate(other)
    except ValidationError:
        return False


def _options(post: QueryDict, prefix: str, model: type[BaseModel], whole: bool) -> Values:
    out = {}
    for name, info in fields.model_fields(model).items():
        key = f"{prefix}.{name}"
        if (inner := fields.inner_model(info)) is not None:
            if part := _options(post, key, inner, whole):
                out[name] = part
            continue
        if key not in post and not (whole and fields.shape_of(info).kind in ("check", "checks")):
            continue
        present, value = fields.read(info, post.getlist(key))
        if present:
            out[name] = value
    return out


def _model(post: QueryDict, prefix: str, model: type[BaseModel], whole: bool) -> Values:
    return _options(post, prefix, model, whole)


def _objectives(given: list[str]) -> list[Values]:
    pairs = [text.partition(":") for text in given[:20]]
    return [{"metric": metric[:80], "direction": direction} for metric, _, direction in pairs]


def _limits(post: QueryDict) -> Values:
    out: Values = {}
    for metric, unit in LIMIT_UNITS.items():
        text = post.get(f"limits.{metric}", "").strip()[:80]
        if not text:
            continue
        try:
            exact = Decimal(str(fields.number(text))) * unit
            out[metric] = float(exact) if exact.is_finite() else text
        except (InvalidOperation, OverflowError):
            out[metric] = text
    return out


def limit_text(metric: str, value: Any) -> str:
    """A limit in the unit it is typed in."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return fields.show(value)
    exact = Decimal(repr(value)) / LIMIT_UNITS.get(metric, Decimal(1))
    return fields.show(float(exact)) if exact.is_finite() else fields.show(value)
