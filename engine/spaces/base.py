"""What a search space is: a process of decisions. Everything but five methods has a default here.

A new space is one file with a subclass of `SearchSpace` that defines `name`, `summary`, `reference`, `Options`,
`fits`, `_next`, `_all`, `plan`, `short_name` and `outline`; what it cannot offer stands in `unavailable`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel

from engine import catalog
from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.network import canonical, live, structure
from engine.network import costs as closed_form
from engine.network.assemble import Assembler
from engine.network.plan import Costs, NetworkPlan
from engine.recipe import RECIPE_PREFIX
from engine.spaces._decision import Decision as Decision
from engine.spaces._draws import Draws
from engine.spaces._offers import CAPABILITIES as CAPABILITIES
from engine.spaces._offers import Capability as Capability
from engine.spaces._offers import Preset as Preset
from engine.spaces._options import SpaceOptions as SpaceOptions
from engine.spaces._shares import Shares
from engine.spaces._words import Words
from engine.spaces._writings import Writings

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec

_CACHE = 20_000
_PLANS = 64


class SearchSpace(Draws, Shares, Words, Writings):
    """A process of decisions that ends in an architecture. Torch-free.

    Args:
        options: an instance of the class's `Options`.
        data: what the networks are for; None until `bind`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    Options: ClassVar[type[BaseModel]]
    presets: ClassVar[tuple[Preset, ...]] = ()
    #: what a decision offers can depend on earlier choices: restrictions are then looked ahead through
    entangled: ClassVar[bool] = False

    def __init__(self, options: BaseModel, data: DataSpec | None = None) -> None:
        self.options = options
        self.data = data
        self._allowed: dict[str, tuple[Option, ...]] = {}
        self._caches: dict[str, dict[Any, Any]] = {}

    @property
    def description(self) -> tuple[str, ...]:
        """Equal for spaces that hold the same networks for the same data, also in another process."""
        cache = self._caches.setdefault("description", {})
        if not cache:
            offered = repr([(d.name, d.options) for d in self.all_decisions()])
            data = self.data.model_dump_json() if self.data is not None else ""
            cache[()] = (self.name, self.options.model_dump_json(), data, offered)
        found: tuple[str, ...] = cache[()]
        return found

    # -- which data, which options ------------------------------------------------------------
    @classmethod
    @abstractmethod
    def fits(cls, data: DataSpec) -> str | None:
        """None where the space serves this data, else the reason why it does not."""

    @classmethod
    def suggested(cls, data: DataSpec) -> dict[str, Any]:
        """Option values that make sense for this data: the form starts from them."""
        return {}

    def bind(self, data: DataSpec) -> Self:
        """The same space for a data set.

        Raises:
            InvalidConfig: the space does not serve this data.
        """
        if reason := self.fits(data):
            raise InvalidConfig([(("space", "name"), f"the space {self.name} does not serve {data.name}: {reason}")])
        bound = self._copy(data)
        bound._allowed = dict(self._allowed)
        return bound

    def _copy(self, data: DataSpec | None) -> Self:
        """The same space for some data, not restricted."""
        return type(self)(self.options, data)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample; needs `bind`."""
        return self._bound().input_shape

    @property
    def n_classes(self) -> int:
        """Number of classes; needs `bind`."""
        return self._bound().n_classes

    def _assembler(self) -> Assembler:
        """An empty plan for the bound data."""
        data = self._bound()
        return Assembler(data.input_shape, data.input_type)

    def _bound(self) -> DataSpec:
        if self.data is None:
            raise NotOffered(f"the space {self.name} makes networks only for known data: call bind(data) first")
        return self.data

    # -- the process --------------------------------------------------------------------------
    @abstractmethod
    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        """`next` before any restriction."""

    @abstractmethod
    def _all(self) -> list[Decision]:
        """`all_decisions` before any restriction."""

    @abstractmethod
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The network an architecture stands for.

        Raises:
            CannotBuild: no network can be made of it for this data.
        """

    @abstractmethod
    def short_name(self, arch: Architecture) -> str:
        """A few characters that tell trials apart."""

    @abstractmethod
    def outline(self) -> dict[str, Any]:
        """The picture of the space, for form and canvas; written with `_outline.Outline`."""

    def all_decisions(self) -> list[Decision]:
        """Every decision that can occur, with every option it can offer (what a restriction leaves), in order."""
        if not self._allowed:
            return self._all()
        return [
            replace(d, options=tuple(o for o in d.options if o in self._allowed[d.name]))
            if d.name in self._allowed
            else d
            for d in self._all()
        ]

    def next(self, partial: Mapping[str, Option]) -> Decision | None:
        """The next open decision with only options from which an architecture can be completed; None = complete.

        Args:
            partial: options chosen so far, by decision.
        """
        decision = self._next(partial)
        if decision is None or not self._allowed:
            return decision
        if self.entangled:
            kept = tuple(o for o in self._kept(decision) if self._completes({**partial, decision.name: o}))
        elif decision.name in self._allowed:
            kept = self._kept(decision)
        else:
            return decision
        if not kept:
            raise NotOffered(f"the restriction leaves no option for {self.title(decision.name)}")
        cache = self._cache("narrowed")
        key = (decision.name, decision.options, kept)
        if key not in cache:
            cache[key] = replace(decision, options=kept)
        narrowed: Decision = cache[key]
        return narrowed

    def _kept(self, decision: Decision) -> tuple[Option, ...]:
        """Its options that the restriction leaves."""
        allowed = self._allowed.get(decision.name)
        return decision.options if allowed is None else tuple(o for o in decision.options if o in allowed)

    def _completes(self, partial: Mapping[str, Option]) -> bool:
        """Whether an architecture of the restricted space begins with these choices."""
        cache = self._cache("completes")
        key = self._rest(partial)
        if key not in cache:
            decision = self._next(partial)
            cache[key] = decision is None or any(
                self._completes({**partial, decision.name: o}) for o in self._kept(decision)
            )
        found: bool = cache[key]
        return found

    def decisions(self, arch: Architecture) -> list[Decision]:
        """The active decisions of an architecture, in order, each with the options it had then."""
        out: list[Decision] = []
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            out.append(decision)
            partial[decision.name] = arch[decision.name]
        return out

    # -- reading and changing -----------------------------------------------------------------
    def validate(self, choices: Mapping[str, Any]) -> Architecture:
        """Reads choices from outside.

        Args:
            choices: option by decision name, in any order.

        Raises:
            InvalidArchitecture: names the decision, what was received, and what would be right.
        """

        def choose(decision: Decision) -> Option:
            offered = ", ".join(map(repr, decision.options))
            if decision.name not in choices:
                raise InvalidArchitecture(f"{decision.name}: nothing chosen; choose one of {offered}")
            given = choices[decision.name]
            for option in decision.options:
                if option == given and isinstance(option, bool) == isinstance(given, bool):
                    return option
            raise InvalidArchitecture(f"{decision.name}: received {str(given)[:60]!r}; choose one of {offered}")

        arch = self._walk(choose)
        if extra := [str(name) for name in choices if name not in arch.choices]:
            known = {d.name for d in self.all_decisions()}
            why = "does not act in this architecture" if extra[0] in known else "is no decision of this space"
            raise InvalidArchitecture(f"{extra[0][:60]}: {why}; leave it out")
        return arch

    def restrict(self, allowed: Mapping[str, Sequence[Option]]) -> Self:
        """The subspace in which the named decisions keep only these options.

        Raises:
            InvalidArchitecture: an unknown decision, or no known option is left; the message names it.
        """
        known = self._known(allowed)
        narrowed = self._copy(self.data)
        narrowed._allowed = dict(self._allowed)
        for name, options in allowed.items():
            kept = tuple(o for o in known[name].options if o in options)
            if not kept:
                offered = ", ".join(map(repr, known[name].options))
                raise InvalidArchitecture(f"{name}: keep at least one of {offered}")
            narrowed._allowed[name] = kept
        if narrowed.entangled and not narrowed._completes({}):
            raise InvalidArchitecture(f"{', '.join(allowed)}: no architecture is left that keeps to all of this")
        return narrowed

    def skeleton(self, **options: Any) -> Self:
        """The same decisions and restrictions in another network: other values of options such as cells or channels."""
        model = type(self.options).model_validate({**self.options.model_dump(), **options})
        other = type(self)(model, self.data)
        other._allowed = dict(self._allowed)
        return other

    def _known(self, names: Iterable[str]) -> dict[str, Decision]:
        """All decisions by name, of which these are some.

        Raises:
            InvalidArchitecture: one of them is none.
        """
        known = {d.name: d for d in self.all_decisions()}
        for name in names:
            if name not in known:
                some = ", ".join(list(known)[:40])
                more = f" and {len(known) - 40:,} more" if len(known) > 40 else ""
                raise InvalidArchitecture(f"{name[:60]}: is no decision of this space; it has {some}{more}")
        return known

    # -- what an architecture is --------------------------------------------------------------
    def costs(self, arch: Architecture) -> Costs:
        """Exact parameters, multiply-adds and activation bytes, remembered per architecture.

        Raises:
            CannotBuild: no network can be made of it for this data.
        """
        cache = self._cache("costs")
        if arch.key not in cache:
            cache[arch.key] = self._costs(arch)
        found: Costs = cache[arch.key]
        return found

    def _costs(self, arch: Architecture) -> Costs:
        return closed_form.costs(self.planned(arch))

    def live_costs(self, arch: Architecture) -> tuple[int, int]:
        """(parameters, multiply-adds) of what is on a path from input to output and not `none`, remembered.

        Raises:
            CannotBuild: no network can be made of it for this data.
        """
        cache = self._cache("live costs")
        if arch.key not in cache:
            cache[arch.key] = self._live_costs(arch)
        found: tuple[int, int] = cache[arch.key]
        return found

    def _live_costs(self, arch: Architecture) -> tuple[int, int]:
        return live.live_costs(self.planned(arch))

    def recipe_choices(self, arch: Architecture) -> dict[str, Option]:
        """What an architecture decides about its training, for `Recipe.chosen`."""
        return {name: option for name, option in arch.items if name.startswith(RECIPE_PREFIX)}

    def planned(self, arch: Architecture) -> NetworkPlan:
        """`plan`, with the last few remembered: costs, key and features of one candidate share it."""
        cache = self._caches.setdefault("plan", {})
        if arch.key not in cache:
            if len(cache) >= _PLANS:
                cache.clear()
            cache[arch.key] = self.plan(arch)
        found: NetworkPlan = cache[arch.key]
        return found

    def canonical_key(self, arch: Architecture) -> str:
        """Equal only for architectures that compute the same function and train the same way."""
        cache = self._cache("canonical")
        if arch.key not in cache:
            cache[arch.key] = self._canonical_key(arch)
        found: str = cache[arch.key]
        return found

    def _canonical_key(self, arch: Architecture) -> str:
        return canonical.canonical_key(self.planned(arch))

    def structure(self, arch: Architecture) -> dict[str, float]:
        """The shape of the network in a few numbers (`network.structure`), remembered.

        Raises:
            CannotBuild: no network can be made of it for this data.
        """
        cache = self._cache("structure")
        if arch.key not in cache:
            cache[arch.key] = self._structure(arch)
        found: dict[str, float] = cache[arch.key]
        return found

    def _structure(self, arch: Architecture) -> dict[str, float]:
        return structure.structure(self.planned(arch))

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """What a surrogate should see: active decisions and the size on a log scale."""
        costs = self.costs(arch)
        out: dict[str, float | str] = {}
        for d in self.decisions(arch):
            value = arch[d.name]
            number = isinstance(value, int | float) and not isinstance(value, bool) and d.ordered
            out[d.name] = float(value) if number and value is not None else self.format(d.name, value)
        out["log10_n_params"] = float(np.log10(max(costs.n_params, 1)))
        out["log10_n_macs"] = float(np.log10(max(costs.n_macs, 1)))
        return out

    # -- memory -------------------------------------------------------------------------------
    def _cache(self, what: str) -> dict[Any, Any]:
        """A plain dictionary (so that a space stays picklable), emptied when it has grown too large."""
        cache = self._caches.setdefault(what, {})
        if len(cache) > _CACHE:
            cache.clear()
        return cache


def make_space(config: SearchConfig, data: DataSpec) -> SearchSpace:
    """The space a search names, for its data.

    Raises:
        InvalidConfig: no such space, or it does not serve this data.
    """
    cls: type[SearchSpace] = catalog.get("space", config.space.name)
    return space_of(cls, config.options("space"), data)


def space_of(cls: type[SearchSpace], options: BaseModel, data: DataSpec) -> SearchSpace:
    """A space for its data, narrowed and composed with recipe decisions as its options say.

    Raises:
        InvalidConfig: it does not serve this data, or a restriction names no decision or leaves no option.
    """
    from engine.spaces._with_recipe import with_recipe

    space = with_recipe(cls(options).bind(data), getattr(options, "recipe", None))
    restrict = getattr(options, "restrict", {})
    if restrict:
        try:
            space = space.restrict(restrict)
        except InvalidArchitecture as e:
            raise InvalidConfig([(("space", "restrict"), str(e))]) from e
    return space
