"""Architecture and recipe searched together: any space followed by decisions about its training.

The recipe's decisions come behind the network's. Canonical keys and features include them; plans, costs, growth and
morphisms do not see them. Dong et al. 2021 (AutoHAS) and Zela et al. 2018 search both at once, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import prod
from typing import Any, Self

import numpy as np

from engine.architecture import Architecture, Option
from engine.data.spec import DataSpec
from engine.errors import InvalidArchitecture
from engine.network import canonical
from engine.network.morphism import Morphism
from engine.network.plan import Costs, NetworkPlan
from engine.recipe import RECIPE_PREFIX
from engine.spaces._decision import Decision, draw
from engine.spaces._options import RecipeDecisions
from engine.spaces._shares import Strengths
from engine.spaces.base import SearchSpace
from engine.supernets.mixture import Mixture

_ORDERED = ("learning_rate", "weight_decay", "batch_size")


def with_recipe(space: SearchSpace, recipe: RecipeDecisions | None) -> SearchSpace:
    """The space with the recipe decisions that are offered, or itself where there are none."""
    decisions = [] if recipe is None else recipe_decisions(recipe)
    return WithRecipe(space, decisions) if decisions else space


def recipe_decisions(recipe: RecipeDecisions) -> list[Decision]:
    """One decision per field that offers options."""
    return [
        Decision(f"{RECIPE_PREFIX}{name}", tuple(options), name in _ORDERED, "recipe",
                 type(recipe).model_fields[name].description or "")
        for name in type(recipe).model_fields
        if (options := getattr(recipe, name))
    ]  # fmt: skip


class WithRecipe(SearchSpace):
    """A space and its recipe decisions. Made by `with_recipe`; no plug-in of its own."""

    def __init__(self, space: SearchSpace, decisions: Sequence[Decision]) -> None:
        super().__init__(space.options, space.data)
        self.space, self._recipe = space, tuple(decisions)
        self._names = {d.name for d in decisions}
        # what a class says of itself is here that of the space inside
        for attribute in ("name", "summary", "reference", "Options", "unavailable", "notation", "presets",
                          "elastic"):  # fmt: skip
            setattr(self, attribute, getattr(space, attribute))

    def __getattr__(self, name: str) -> Any:
        """Published writings and the like: `to_string`, `from_digits`."""
        if name.startswith("_") or name == "space":
            raise AttributeError(name)
        return getattr(self.space, name)

    @classmethod
    def fits(cls, data: DataSpec) -> str | None:
        """Decided by the space inside, at `bind`."""
        return None

    def bind(self, data: DataSpec) -> Self:
        """The same for a data set."""
        return type(self)(self.space.bind(data), self._recipe)

    # -- network and recipe apart -------------------------------------------------------------
    def split(self, arch: Architecture) -> tuple[Architecture, dict[str, Option]]:
        """(the network's choices, the recipe's)."""
        network = Architecture(arch.space, tuple(i for i in arch.items if i[0] not in self._names))
        return network, {n: o for n, o in arch.items if n in self._names}

    def _inner(self, partial: Mapping[str, Option]) -> dict[str, Option]:
        return {n: o for n, o in partial.items() if n not in self._names}

    def _with(self, arch: Architecture, choose: Callable[[Decision], Option]) -> Architecture:
        return Architecture(arch.space, (*arch.items, *((d.name, choose(d)) for d in self._recipe)))

    # -- the process --------------------------------------------------------------------------
    def next(self, partial: Mapping[str, Option]) -> Decision | None:
        """The network's decisions, then the recipe's."""
        return self.space.next(self._inner(partial)) or self._next(partial)

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        return next((d for d in self._recipe if d.name not in partial), None)

    def _all(self) -> list[Decision]:
        return [*self.space.all_decisions(), *self._recipe]

    def restrict(self, allowed: Mapping[str, Sequence[Option]]) -> Self:
        """Narrows both parts."""
        self._known(allowed)
        recipe = []
        for d in self._recipe:
            kept = tuple(o for o in d.options if o in allowed.get(d.name, d.options))
            if not kept:
                raise InvalidArchitecture(f"{d.name}: keep at least one of {', '.join(map(repr, d.options))}")
            recipe.append(replace(d, options=kept))
        return type(self)(self.space.restrict({n: o for n, o in allowed.items() if n not in self._names}), recipe)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """The space's own prior, then each recipe decision uniform over its options."""
        return self._with(self.space.sample(rng), lambda d: draw(d.options, rng))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Uniform over networks, and over recipes for each."""
        return self._with(self.space.sample_uniform(rng), lambda d: draw(d.options, rng))

    def count(self, partial: Mapping[str, Option]) -> int:
        """A product."""
        return self.space.count(self._inner(partial)) * prod(
            len(d.options) for d in self._recipe if d.name not in partial
        )

    def _rest(self, partial: Mapping[str, Option]) -> Hashable:
        return tuple(partial.items())

    @property
    def exact_size(self) -> bool:
        """That of the space inside."""
        return self.space.exact_size

    def size(self) -> int:
        """A product; a bound where the space's is one."""
        return self.space.size() * prod(len(d.options) for d in self._recipe)

    def enumerate(self) -> Iterator[Architecture]:
        """Each network with each recipe."""
        recipes = [tuple(zip([d.name for d in self._recipe], options, strict=True))
                   for options in product(*(d.options for d in self._recipe))]  # fmt: skip
        for arch in self.space.enumerate():
            for recipe in recipes:
                yield Architecture(arch.space, (*arch.items, *recipe))

    # -- changes: the network's as its own space makes them ----------------------------------------
    def _change(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture:
        network, recipe = self.split(arch)
        return self._with(
            self.space._change(network, self._inner(changes)), lambda d: changes.get(d.name, recipe[d.name])
        )

    def _redraw(
        self, arch: Architecture, targets: list[str], rng: np.random.Generator
    ) -> tuple[Architecture, list[str]]:
        network, recipe = self.split(arch)
        inner = [t for t in targets if t not in self._names]
        child, reached = self.space._redraw(network, inner, rng) if inner else (network, [])

        def choose(d: Decision) -> Option:
            if d.name not in targets:
                return recipe[d.name]
            reached.append(d.name)
            return draw(tuple(o for o in d.options if o != recipe[d.name]), rng)

        return self._with(child, choose), reached

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """The networks crossed as their space does it, each part of the recipe from either."""
        (one, mine), (other, others) = self.split(a), self.split(b)
        child = self.space.crossover(one, other, rng)
        return self._with(child, lambda d: draw((mine[d.name], others[d.name]), rng))

    # -- what an architecture is --------------------------------------------------------------
    def plan(self, arch: Architecture) -> NetworkPlan:
        """The network's."""
        return self.space.plan(self.split(arch)[0])

    def planned(self, arch: Architecture) -> NetworkPlan:
        """The network's."""
        return self.space.planned(self.split(arch)[0])

    def _costs(self, arch: Architecture) -> Costs:
        return self.space.costs(self.split(arch)[0])

    def _live_costs(self, arch: Architecture) -> tuple[int, int]:
        return self.space.live_costs(self.split(arch)[0])

    def _canonical_key(self, arch: Architecture) -> str:
        network, recipe = self.split(arch)
        return canonical.digest(f"{self.space.canonical_key(network)} {sorted(recipe.items())!r}")

    def recipe_choices(self, arch: Architecture) -> dict[str, Option]:
        """The recipe's, over what an entry of a list brings along."""
        network, recipe = self.split(arch)
        return {**self.space.recipe_choices(network), **recipe}

    def features(self, arch: Architecture) -> dict[str, float | str]:
        """The network's, then the recipe's; learning rate and weight decay as logarithms."""
        network, recipe = self.split(arch)
        out = self.space.features(network)
        for name, option in recipe.items():
            number = isinstance(option, int | float) and not isinstance(option, bool)
            out[name] = float(np.log10(max(float(option), 1e-8))) if number else str(option)  # type: ignore[arg-type]
        return out

    def _stage(self, arch: Architecture) -> int:
        return self.space.stage(self.split(arch)[0])

    def _grow(self, arch: Architecture) -> list[Architecture]:
        network, recipe = self.split(arch)
        return [self._with(a, lambda d: recipe[d.name]) for a in self.space.grow(network)]

    def _morphisms(self, arch: Architecture) -> list[Morphism]:
        network, recipe = self.split(arch)
        return [replace(m, child=self._with(m.child, lambda d: recipe[d.name])) for m in self.space.morphisms(network)]

    # -- shared weights -----------------------------------------------------------------------
    def skeleton(self, **options: Any) -> Self:
        """That of the space inside."""
        return type(self)(self.space.skeleton(**options), self._recipe)

    def covering(self) -> Iterator[Architecture]:
        """The networks that cover the space inside."""
        for network in self.space.covering():
            yield self._with(network, lambda d: d.options[0])

    def _weight_names(self, arch: Architecture) -> Mapping[str, str]:
        return self.space.weight_names(self.split(arch)[0])

    def _unmixed(self) -> str | None:
        return self.space._unmixed()

    def _mixture(self, partial: int, norm_pools: bool) -> Mixture:
        return self.space.mixture(partial=partial, norm_pools=norm_pools)

    def _taken(self, arch: Architecture) -> dict[str, Option]:
        return self.space.chosen(self.split(arch)[0])

    def _derive(self, strengths: Strengths) -> Architecture:
        """The network that is derived, with the first option of each part of the recipe."""
        return self._with(self.space.derive(strengths), lambda d: d.options[0])

    # -- words --------------------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """ "learning rate"."""
        if decision in self._names:
            return decision.removeprefix(RECIPE_PREFIX).replace("_", " ")
        return self.space.title(decision)

    def format(self, decision: str, option: Option) -> str:
        """As in the recipe."""
        return super().format(decision, option) if decision in self._names else self.space.format(decision, option)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        if decision in self._names:
            return super()._phrase(decision, old, new)
        return self.space._phrase(decision, old, new)

    def short_name(self, arch: Architecture) -> str:
        """The network's name and its learning rate or first recipe choice."""
        network, recipe = self.split(arch)
        first = next(iter(recipe.items()))
        word = {"learning_rate": "lr", "weight_decay": "wd", "batch_size": "b"}.get(self._plain(first[0]), "")
        return f"{self.space.short_name(network)} {word}{self.format(*first)}"[:60]

    @staticmethod
    def _plain(name: str) -> str:
        return name.removeprefix(RECIPE_PREFIX)

    def write(self, arch: Architecture) -> str:
        """JSON with both parts."""
        return super().write(arch)

    def read(self, text: str) -> Architecture:
        """JSON with both parts; a network alone, in any writing of its space, gets the first option of each recipe."""
        if RECIPE_PREFIX in text:
            return super().read(text)
        return self._with(self.space.read(text), lambda d: d.options[0])

    def outline(self) -> dict[str, Any]:
        """The space's, with the recipe as a place behind it."""
        drawn = self.space.outline()
        decisions = [
            {
                "name": d.name,
                "names": [d.name],
                "title": self.title(d.name),
                "options": [self.format(d.name, o) for o in d.options],
                "values": list(d.options),
            }
            for d in self._recipe
        ]
        part = {"id": "recipe", "kind": "other", "title": "recipe", "detail": "", "decisions": decisions,
                "repeat": None}  # fmt: skip
        return {**drawn, "parts": [*drawn["parts"], part]}
