"""A space under other names: what a strategy must not depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any, Self

import numpy as np

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.network.morphism import Morphism
from engine.network.plan import Costs, NetworkPlan
from engine.spaces.base import Decision, SearchSpace


class Renamed(SearchSpace):
    """A bound space with new names for its decisions and their options, in another order.

    Plans, costs, canonical keys and everything that comes from them travel along. Options of a scale (ordered
    decisions) keep their values and their order; other options are renamed, the same option alike in every decision,
    and each decision lists them in an order of its own. Decisions change their order only where all of them always act.

    Made by `of`; no plug-in of its own.
    """

    name = "renamed"
    summary = "A space under other names"
    reference = ""

    def __init__(
        self, space: SearchSpace, order: Sequence[str], names: Mapping[str, str], options: Mapping[Any, str],
        listed: Mapping[str, tuple[Option, ...]],
    ) -> None:  # fmt: skip
        super().__init__(space.options, space.data)
        self.space, self._order, self._names, self._options = space, tuple(order), dict(names), dict(options)
        self._listed = dict(listed)  # own decision name -> own options, in their order
        self._old = {new: old for old, new in self._names.items()}
        self._original = {new: key[1] for key, new in self._options.items()}
        every = space.all_decisions()
        self._scales = {d.name for d in every if d.ordered}
        self._place = {d.name: i for i, d in enumerate(every)}
        self._reordered = list(self._place) != list(order)
        self._every = [self._outer(every[self._place[name]]) for name in order]
        for attribute in ("summary", "reference", "Options", "unavailable"):
            setattr(self, attribute, getattr(space, attribute))

    @classmethod
    def of(cls, space: SearchSpace, seed: int) -> Renamed:
        """New names and orders drawn from a seed."""
        rng = np.random.default_rng([seed, 0x2E9A])
        every = space.all_decisions()
        free = not space.entangled and space.size() == prod(len(d.options) for d in every)
        order = [every[i].name for i in (rng.permutation(len(every)) if free else range(len(every)))]
        labels = rng.permutation(len(every))
        names = {d.name: f"d{labels[i] + 1}" for i, d in enumerate(every)}
        kinds = list(dict.fromkeys((type(o).__name__, o) for d in every if not d.ordered for o in d.options))
        tokens = rng.permutation(len(kinds))
        options = {kind: f"o{tokens[i] + 1}" for i, kind in enumerate(kinds)}
        listed: dict[str, tuple[Option, ...]] = {}
        for d in every:
            own = tuple(o if d.ordered else options[type(o).__name__, o] for o in d.options)
            listed[names[d.name]] = own if d.ordered else tuple(own[i] for i in rng.permutation(len(own)))
        return cls(space, order, names, options, listed)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Decided by the space inside."""
        return None

    # -- there and back -----------------------------------------------------------------------
    def _new(self, decision: str, option: Option) -> Option:
        return option if decision in self._scales else self._options[type(option).__name__, option]

    def _inner(self, choices: Mapping[str, Option]) -> dict[str, Option]:
        """Choices under the old names."""
        out: dict[str, Option] = {}
        for name, option in choices.items():
            old = self._old[name]
            out[old] = option if old in self._scales else self._original[str(option)]
        return out

    def back(self, arch: Architecture) -> Architecture:
        """The same architecture of the space inside."""
        cache = self._cache("back")
        if arch.key not in cache:
            chosen = self._inner(arch.choices)
            names = sorted(chosen, key=self._place.__getitem__)
            cache[arch.key] = Architecture(self.space.name, tuple((n, chosen[n]) for n in names))
        found: Architecture = cache[arch.key]
        return found

    def forward(self, arch: Architecture) -> Architecture:
        """An architecture of the space inside under the new names."""
        items = ((old, arch.choices[old]) for old in self._order if old in arch.choices)
        return Architecture(self.name, tuple((self._names[old], self._new(old, o)) for old, o in items))

    def _outer(self, decision: Decision) -> Decision:
        cache = self._cache("outer")
        key = (decision.name, decision.options)
        if key not in cache:
            offered = {self._new(decision.name, o) for o in decision.options}
            own = self._names[decision.name]
            cache[key] = Decision(own, tuple(o for o in self._listed[own] if o in offered), decision.ordered)
        found: Decision = cache[key]
        return found

    # -- the process --------------------------------------------------------------------------
    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        if self._reordered:  # all decisions always act: what is offered does not depend on the order
            return next((d for d in self._every if d.name not in partial), None)
        decision = self.space.next(self._inner(partial))
        return None if decision is None else self._outer(decision)

    def _all(self) -> list[Decision]:
        return list(self._every)

    def restrict(self, allowed: Mapping[str, Sequence[Option]]) -> Self:
        """Narrows the space inside; names stay."""
        self._known(allowed)
        inner = {self._old[n]: [self._inner({n: o})[self._old[n]] for o in options] for n, options in allowed.items()}
        return type(self)(self.space.restrict(inner), self._order, self._names, self._options, self._listed)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """From the prior of the space inside."""
        return self.forward(self.space.sample(rng))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """As the space inside does it."""
        return self.forward(self.space.sample_uniform(rng))

    def count(self, partial: Mapping[str, Option]) -> int:
        """As the space inside counts."""
        return self.space.count(self._inner(partial))

    def size(self) -> int:
        """That of the space inside."""
        return self.space.size()

    @property
    def exact_size(self) -> bool:
        """That of the space inside."""
        return self.space.exact_size

    def _change(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture:
        return self.forward(self.space._change(self.back(arch), self._inner(changes)))

    def _redraw(
        self, arch: Architecture, targets: list[str], rng: np.random.Generator
    ) -> tuple[Architecture, list[str]]:
        child, reached = self.space._redraw(self.back(arch), [self._old[t] for t in targets], rng)
        return self.forward(child), [self._names[r] for r in reached]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """As the space inside does it."""
        return self.forward(self.space.crossover(self.back(a), self.back(b), rng))

    # -- what travels along -------------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The same network."""
        return self.space.plan(self.back(arch))

    def _costs(self, arch: Architecture) -> Costs:
        return self.space.costs(self.back(arch))

    def _live_costs(self, arch: Architecture) -> tuple[int, int]:
        return self.space.live_costs(self.back(arch))

    def _canonical_key(self, arch: Architecture) -> str:
        return self.space.canonical_key(self.back(arch))

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The same features, decisions and options by their new names."""
        inner = self.back(arch)
        out: dict[str, float | str] = {}
        for name, value in self.space.features(inner).items():
            if name in self._names and name not in self._scales and name in inner.choices:
                out[self._names[name]] = str(self._new(name, inner[name]))
            else:
                out[self._names.get(name, name)] = value
        return out

    def _stage(self, arch: Architecture) -> int:
        return self.space.stage(self.back(arch))

    def _grow(self, arch: Architecture) -> list[Architecture]:
        return [self.forward(a) for a in self.space.grow(self.back(arch))]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        return [replace(m, child=self.forward(m.child)) for m in self.space.morphisms(self.back(arch))]

    # -- words --------------------------------------------------------------------------------
    def short_name(self, arch: Architecture) -> str:
        """The options in order."""
        return " ".join(str(o) for _, o in arch.items)

    def outline(self) -> dict[str, Any]:
        """Nothing is drawn of it."""
        return {}


def original(space: SearchSpace) -> SearchSpace:
    """The space under its own names."""
    return space.space if isinstance(space, Renamed) else space
