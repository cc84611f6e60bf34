"""A search space on the canvas: from what was posted, pasted or stored, to a space that can be drawn and counted.

A state is plain: `{"space": {"name", option: value, ...}, "data": {"name", option: value, ...}}`, as in a search.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import QueryDict
from pydantic import BaseModel, ValidationError

from engine import catalog
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import DataError, EngineError, InvalidConfig
from engine.spaces._options import RecipeDecisions
from engine.spaces.base import SearchSpace, space_of
from searches.bounded import TookTooLong, within
from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.check import Problem, sentence
from searches.forms.space_text import LONGEST, kind_words, too_long

#: seconds that making a space and its outline may take
SECONDS = 4.0
#: edited in the drawing, or with rows of their own
APART = ("restrict", "recipe")
KEPT = 16

State = dict[str, Any]
_made: OrderedDict[str, tuple[SearchSpace, SearchSpace]] = OrderedDict()
_lock = threading.Lock()


@dataclass
class Canvas:
    """What a state amounts to.

    Attributes:
        state: as it was given, in plain values.
        cls: the family, where it is known.
        data: the data's spec, where it can be had.
        space: narrowed and with its recipe decisions, or None while something is wrong.
        whole: the same without restriction, for the drawing.
        problems: `(path, sentence)`; paths begin with "space" or "data".
    """

    state: State
    cls: type[SearchSpace] | None = None
    data: DataSpec | None = None
    space: SearchSpace | None = None
    whole: SearchSpace | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def family(self) -> str:
        """Name of the family, known or not."""
        return str(self.state["space"].get("name", ""))[:80]

    @property
    def options(self) -> dict[str, Any]:
        """The options as given."""
        return {k: v for k, v in self.state["space"].items() if k != "name"}

    @property
    def full(self) -> State:
        """The state with every option written out; only where nothing is wrong."""
        if self.space is None or self.cls is None:
            raise EngineError("a space with problems has no full form")
        options = self.space.options.model_dump(mode="json")
        data = self.state["data"]
        given = {k: v for k, v in data.items() if k != "name"}
        return {
            "space": {"name": self.cls.name, **options},
            "data": {"name": data["name"], **registry.validate(data["name"], given)},
        }

    @property
    def by_field(self) -> dict[str, list[str]]:
        """Problems by the name of a field of the form."""
        out: dict[str, list[str]] = {}
        known = set(fields.model_fields(self.cls.Options)) if self.cls else set()
        for path, text in self.problems:
            head = [str(p) for p in path[:3]]
            if head[:1] == ["space"] and len(head) > 1 and head[1] in known:
                name = ".".join(head) if head[1] == "recipe" and len(head) > 2 else ".".join(head[:2])
            elif head[:1] == ["data"]:
                name = "data.name"
            else:
                name = "" if len(path) > 1 and head[1] != "name" else "space.name"
                text = f"{head[1]}: {text}" if not name and len(head) > 1 else text
            out.setdefault(name, []).append(text)
        return out


# -- where states come from ------------------------------------------------------------------------
def from_post(post: QueryDict) -> State:
    """What stands in the form. Options count only where the form that was sent showed those of this family.

    Raises:
        InvalidConfig: more than `LONGEST`, or a restriction that is no JSON.
    """
    if sum(len(k) + sum(map(len, post.getlist(k))) for k in post) > LONGEST:
        raise InvalidConfig([(("space",), too_long())])
    family = post.get("space.name", "")[:80]
    data: State = {"name": post.get("data.name", "digits")[:80]}
    data |= _mapping(post.get("data.options", ""), ("data",))
    if data["name"] != post.get("data:for", data["name"]):
        data = {"name": data["name"]}
    space: State = {"name": family}
    model = forms_values.options_model("space", family)
    if model is None:
        return {"space": space, "data": data}
    spec, _ = spec_of(data)
    if post.get("space:for") != family:
        return {"space": space | forms_values.suggested(family, spec), "data": data}
    for name, info in fields.model_fields(model).items():
        if name in APART or name in by_yaml(model):
            continue
        key = f"space.{name}"
        if key not in post and fields.shape_of(info).kind not in ("check", "checks"):
            continue
        present, value = fields.read(info, post.getlist(key))
        if present:
            space[name] = value
    recipe = {}
    for name, info in RecipeDecisions.model_fields.items():
        chosen = fields.read(info, post.getlist(f"space.recipe.{name}"))[1]
        if chosen:
            recipe[name] = chosen
    if recipe:
        space["recipe"] = recipe
    held = _mapping(post.get("space.held", ""), ("space",))
    space |= {k: v for k, v in held.items() if k in by_yaml(model)}
    if restrict := _mapping(post.get("space.restrict", ""), ("space", "restrict")):
        space["restrict"] = restrict
    return {"space": _suiting(space, family, model, post.get("data:for", ""), data, spec), "data": data}


def by_yaml(model: type[BaseModel]) -> list[str]:
    """Options that no row of a form can hold: they travel with it untouched and are edited as YAML."""
    return [n for n, info in fields.model_fields(model).items() if fields.extra(info).get("yaml") and n not in APART]


def _suiting(
    space: State, family: str, model: type[BaseModel], before: str, data: State, spec: DataSpec | None
) -> State:
    """An untouched suggestion follows the data."""
    if not before or before == data["name"]:
        return space
    old, _ = spec_of({"name": before})
    given = {k: v for k, v in space.items() if k != "name"}
    try:
        same = model.model_validate(given) == model.model_validate(forms_values.suggested(family, old))
    except ValidationError:
        same = False
    return {"name": family} | forms_values.suggested(family, spec) if same else space


def _mapping(text: str, path: tuple[str, ...]) -> State:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as e:
        raise InvalidConfig([(path, "this is not JSON")]) from e
    if not isinstance(value, dict):
        raise InvalidConfig([(path, f"this is a mapping, not {kind_words(value)}")])
    return value


# -- what they amount to ---------------------------------------------------------------------------
def spec_of(data: Mapping[str, Any]) -> tuple[DataSpec | None, list[Problem]]:
    """The spec of a data set by name and options, with what is wrong."""
    try:
        return registry.spec(str(data.get("name", "")), {k: v for k, v in data.items() if k != "name"}), []
    except InvalidConfig as e:
        return None, [(path, sentence(text)) for path, text in e.errors]
    except (DataError, OSError) as e:
        return None, [(("data", "name"), sentence(str(e)))]


def canvas(state: State) -> Canvas:
    """Makes the space of a state; never raises for what a person wrote."""
    out = Canvas(state)
    out.data, problems = spec_of(state["data"])
    out.problems += problems
    try:
        out.cls = catalog.get("space", out.family)
    except InvalidConfig as e:
        out.problems += [(("space", "name"), sentence(text)) for _, text in e.errors]
        return out
    try:
        options = out.cls.Options.model_validate(out.options)
    except ValidationError as e:
        out.problems += [(("space", *x["loc"]), sentence(_said(x))) for x in e.errors()[:40]]
        return out
    except RecursionError:
        out.problems.append((("space",), "This is nested too deeply to be a space."))
        return out
    if out.data is None:
        return out
    if reason := out.cls.fits(out.data):
        out.problems.append((("space", "name"), sentence(f"it does not serve {out.data.name}: {reason}")))
        return out
    try:
        out.space, out.whole = _make(out.cls, options, out.data)
    except InvalidConfig as e:
        out.problems += [(path or ("space",), sentence(text)) for path, text in e.errors]
    except TookTooLong:
        out.problems.append((("space",), f"Making this space took longer than {SECONDS:g} s: take options away."))
    except (EngineError, ValueError, RecursionError, MemoryError) as e:
        out.problems.append((("space",), sentence(str(e) or type(e).__name__)))
    return out


def _said(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    received = error.get("input")
    shown = (
        "" if isinstance(received, dict | list | tuple) or received is None else f" (received {str(received)[:60]!r})"
    )
    return message + shown


def _make(cls: type[SearchSpace], options: BaseModel, data: DataSpec) -> tuple[SearchSpace, SearchSpace]:
    """The space, and the space without its restriction; remembered for the next requests about the same canvas."""
    key = digest({"space": {"name": cls.name, **options.model_dump(mode="json")}, "data": data.model_dump(mode="json")})
    with _lock:
        if key in _made:
            _made.move_to_end(key)
            return _made[key]

    def make() -> tuple[SearchSpace, SearchSpace]:
        space = space_of(cls, options, data)
        if not getattr(options, "restrict", None):
            return space, space
        return space, space_of(cls, options.model_copy(update={"restrict": {}}), data)

    pair = within(SECONDS, make)
    with _lock:
        _made[key] = pair
        while len(_made) > KEPT:
            _made.popitem(last=False)
    return pair


def digest(state: Mapping[str, Any]) -> str:
    """Equal for equal states."""
    return hashlib.sha256(json.dumps(state, sort_keys=True, default=str).encode()).hexdigest()[:24]
