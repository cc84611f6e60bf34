"""An explicit list of architectures, from one space or from several: whatever strategy is chosen races them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from engine import catalog
from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import CannotBuild, InvalidArchitecture, InvalidConfig
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._offers import Capability
from engine.spaces._options import SpaceOptions
from engine.spaces._outline import Outline, input_words
from engine.spaces.base import Decision, Preset, SearchSpace, space_of

MAX_ENTRIES = 2000
#: so many are built to say at once what does not fit the data; all would take minutes
_BUILT = 16
_DRAWN_FROM = ("layers", "mlp", "transformer", "recurrent")


class Entry(BaseModel):
    """One architecture of the list.

    Attributes:
        name: what it is called; empty = its number.
        space: the space it comes from, `{name: layers, depth: [3, 4], ...}`.
        choices: its options by decision, or
        text: the same in the notation of its space (a genotype, digits, ...).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    name: str = Field("", max_length=80)
    space: dict[str, Any]
    choices: dict[str, int | float | str | bool | None] | None = Field(None, max_length=2000)
    text: str = Field("", max_length=20_000)

    @field_validator("space", mode="before")
    @classmethod
    def _space(cls, value: Any) -> Any:
        value = {"name": value} if isinstance(value, str) else value
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError("name the space, e.g. {name: nasbench201}")
        if value["name"] == "list":
            raise ValueError("a list of lists is none: name the space that the architecture comes from")
        try:
            options = catalog.get("space", value["name"]).Options.model_validate(_options(value))
        except InvalidConfig as e:
            raise ValueError(str(e.errors[0][1])) from e
        except ValidationError as e:
            first = e.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from e
        return {"name": value["name"], **options.model_dump(mode="json")}


def _options(space: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in space.items() if k != "name"}


def _examples() -> tuple[Entry, ...]:
    """Two cells, so that an untouched list shows what an entry looks like."""
    full = "+".join(f"|{'|'.join(f'nor_conv_3x3~{source}' for source in range(node))}|" for node in (1, 2, 3))
    residual = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    return (
        Entry(name="all convolutions", space={"name": "nasbench201"}, text=full),
        Entry(name="residual", space={"name": "nasbench201"}, text=residual),
    )


class ListOptions(SpaceOptions):
    """The architectures."""

    architectures: tuple[Entry, ...] = Field(
        default_factory=lambda: _examples(),
        min_length=1, max_length=MAX_ENTRIES,
        description="Each with the space it comes from and its choices, or its text in that space's notation.",
        json_schema_extra={"yaml": True},
    )  # fmt: skip

    @field_validator("architectures")
    @classmethod
    def _named(cls, value: tuple[Entry, ...]) -> tuple[Entry, ...]:
        names = entry_names(value)
        for i, name in enumerate(names):
            if name in names[:i]:
                raise ValueError(f"two architectures are called {name!r}")
        for i, entry in enumerate(value):
            if (entry.choices is None) == (not entry.text):
                raise ValueError(f"{names[i]}: give its choices or its text, one of the two")
        return value


def entry_names(entries: tuple[Entry, ...]) -> list[str]:
    """What the entries are called: their names, or "#3" for the third."""
    return [entry.name or f"#{i}" for i, entry in enumerate(entries, start=1)]


class List(SearchSpace):
    """One decision: which of the listed architectures. Everything else is asked of the space each comes from."""

    name: ClassVar[str] = "list"
    summary: ClassVar[str] = "Architectures of your own choice, written down or picked from searches, raced."
    reference: ClassVar[str] = "none: a plain comparison"
    Options: ClassVar[type[BaseModel]] = ListOptions
    unavailable: ClassVar[Mapping[Capability, str]] = {
        "grow": "a list holds what was put into it; which of its architectures contains which is not said",
        "morphisms": "a changed architecture would not stand in the list",
        "supernet": "its entries are finished networks, which share no parts",
        "mixture": "its entries are finished networks, which share no parts",
    }
    notation: ClassVar[str] = "The name of an entry, such as `residual` or `#3`."

    @property
    def _opt(self) -> ListOptions:
        return cast(ListOptions, self.options)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Where another space does; whether the listed architectures fit, `bind` finds out."""
        others = (c for name, c in catalog.plugins("space").items() if name in _DRAWN_FROM)
        return None if any(c.fits(data) is None for c in others) else f"no space serves {data.kind} data"

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Two drawn from each of the spaces that serve the data."""
        import numpy as np

        entries = []
        for name, space_class in catalog.plugins("space").items():
            if name in _DRAWN_FROM and space_class.fits(data) is None:
                options = space_class.Options.model_validate(space_class.suggested(data))
                space = space_of(space_class, options, data)
                drawn = {space.sample(np.random.default_rng(seed)) for seed in range(2)}
                given = {"name": name, **options.model_dump(mode="json", exclude_defaults=True)}
                entries += [
                    {"name": f"{name} {i}", "space": given, "choices": arch.choices}
                    for i, arch in enumerate(sorted(drawn, key=lambda a: a.key), start=1)
                ]
        return {"architectures": entries} if entries else {}

    def bind(self, data: DataSpec) -> List:
        """The list for a data set.

        Raises:
            InvalidConfig: an entry does not fit the data or is no architecture of its space; the message names it.
        """
        bound = super().bind(data)
        _ = bound._entries
        return bound

    @cached_property
    def _entries(self) -> dict[Option, tuple[SearchSpace, Architecture]]:
        """Each architecture with its space, bound."""
        data = self._bound()
        spaces: dict[str, SearchSpace] = {}
        out: dict[Option, tuple[SearchSpace, Architecture]] = {}
        for i, (name, entry) in enumerate(zip(self._names, self._opt.architectures, strict=True)):
            key = json.dumps(entry.space, sort_keys=True)
            try:
                if key not in spaces:
                    cls = catalog.get("space", entry.space["name"])
                    spaces[key] = space_of(cls, cls.Options.model_validate(_options(entry.space)), data)
                space = spaces[key]
                given = entry.choices
                out[name] = (space, space.read(entry.text) if given is None else space.validate(given))
                # whether the rest can be built is found out before each is trained
                if i < _BUILT:
                    space.planned(out[name][1])
            except InvalidConfig as e:
                raise InvalidConfig([(("space", "architectures", i), f"{name}: {e.errors[0][1]}")]) from e
            except (InvalidArchitecture, CannotBuild) as e:
                raise InvalidConfig([(("space", "architectures", i), f"{name}: {e}")]) from e
        return out

    @cached_property
    def _names(self) -> list[str]:
        return entry_names(self._opt.architectures)

    def entry(self, arch: Architecture) -> tuple[SearchSpace, Architecture]:
        """The space an architecture of the list comes from, and what it is there."""
        return self._entries[arch["architecture"]]

    # -- the process --------------------------------------------------------------------------
    @cached_property
    def _decision(self) -> Decision:
        return Decision("architecture", tuple(self._names), False, "list", "Which of the listed architectures.")

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        return None if "architecture" in partial else self._decision

    def _all(self) -> list[Decision]:
        return [self._decision]

    # -- what an architecture is: asked of its own space ----------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The entry's network."""
        space, inner = self.entry(arch)
        return space.planned(inner)

    def _costs(self, arch: Architecture) -> Costs:
        space, inner = self.entry(arch)
        return space.costs(inner)

    def _canonical_key(self, arch: Architecture) -> str:
        space, inner = self.entry(arch)
        return space.canonical_key(inner)

    def recipe_choices(self, arch: Architecture) -> dict[str, Option]:
        """Those of the entry: one that was picked from a search of recipes keeps its own."""
        space, inner = self.entry(arch)
        return space.recipe_choices(inner)

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """Those of the entry in its own space, and which space that is."""
        space, inner = self.entry(arch)
        return {"space": space.name, **space.features(inner)}

    # -- words --------------------------------------------------------------------------------
    def short_name(self, arch: Architecture) -> str:
        """The entry's name, or its short name in its own space where it has none."""
        name = str(arch["architecture"])
        if not name.startswith("#") or self.data is None:
            return name[:60]
        space, inner = self.entry(arch)
        return f"{name} {space.short_name(inner)}"[:60]

    def write(self, arch: Architecture) -> str:
        """The entry's name."""
        return str(arch["architecture"])

    def _read(self, text: str) -> Architecture:
        return self.validate({"architecture": text})

    def outline(self) -> dict[str, Any]:
        """Input, the choice, output."""
        drawn = Outline(self)
        kind = self.data.kind if self.data else "input"
        drawn.part("input", "input", *input_words(kind, self.data.input_shape if self.data else ()))
        several = f"one of {len(self._names):,}" if len(self._names) > 1 else "one architecture"
        drawn.part("network", "cell", "network", several, decide=["architecture"])
        drawn.part("output", "output", "linear", f"{self.data.n_classes} classes" if self.data else "")
        drawn.chain()
        return drawn.done()

    presets: ClassVar[tuple[Preset, ...]] = ()
