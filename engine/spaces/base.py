"""What a search space is: a process of decisions. Everything but five methods has a default here.

A new space is one file with a subclass of `SearchSpace` that defines `name`, `summary`, `reference`, `Options`,
`fits`, `_next`, `all_decisions`, `plan`, `short_name` and `outline`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import BaseModel

from engine import catalog
from engine.architecture import Architecture, Option
from engine.errors import InvalidArchitecture, InvalidConfig, NotOffered
from engine.network import canonical
from engine.network import costs as closed_form
from engine.network.plan import Costs, NetworkPlan
from engine.spaces._options import SpaceOptions as SpaceOptions

if TYPE_CHECKING:
    from engine.config import SearchConfig
    from engine.data.spec import DataSpec

_CACHE = 20_000
_ABSENT = "–"


@dataclass(frozen=True)
class Decision:
    """One named choice.

    Attributes:
        name: stable identifier, a key of `Architecture.choices`.
        options: what can be chosen, at least one, no two equal.
        ordered: the options are a scale (depth, width), not names.
        group: what a person calls the part it belongs to, e.g. "block 2".
        help: one sentence.
    """

    name: str
    options: tuple[Option, ...]
    ordered: bool = False
    group: str = ""
    help: str = ""


class SearchSpace(ABC):
    """A process of decisions that ends in an architecture. Torch-free.

    Args:
        options: an instance of the class's `Options`.
        data: what the networks are for; None until `bind`.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    reference: ClassVar[str]
    Options: ClassVar[type[BaseModel]]

    def __init__(self, options: BaseModel, data: DataSpec | None = None) -> None:
        self.options = options
        self.data = data
        self._allowed: dict[str, tuple[Option, ...]] = {}
        self._caches: dict[str, dict[Any, Any]] = {}

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
        bound = type(self)(self.options, data)
        bound._allowed = dict(self._allowed)
        return bound

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample; needs `bind`."""
        return self._bound().input_shape

    @property
    def n_classes(self) -> int:
        """Number of classes; needs `bind`."""
        return self._bound().n_classes

    def _bound(self) -> DataSpec:
        if self.data is None:
            raise NotOffered(f"the space {self.name} makes networks only for known data: call bind(data) first")
        return self.data

    # -- the process --------------------------------------------------------------------------
    @abstractmethod
    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        """`next` before any restriction."""

    @abstractmethod
    def all_decisions(self) -> list[Decision]:
        """Every decision that can occur, with every option it can offer, in order."""

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
        """The picture of the space, for the form: {"parts": [...], "edges": [...]}."""

    def next(self, partial: Mapping[str, Option]) -> Decision | None:
        """The next open decision with only options from which an architecture can be completed; None = complete.

        Args:
            partial: options chosen so far, by decision.
        """
        decision = self._next(partial)
        if decision is None or decision.name not in self._allowed:
            return decision
        cache = self._cache("narrowed")
        key = (decision.name, decision.options)
        if key not in cache:
            allowed = self._allowed[decision.name]
            kept = tuple(o for o in decision.options if o in allowed)
            if not kept:
                raise NotOffered(f"the restriction leaves no option for {self.title(decision.name)}")
            cache[key] = replace(decision, options=kept)
        narrowed: Decision = cache[key]
        return narrowed

    def decisions(self, arch: Architecture) -> list[Decision]:
        """The active decisions of an architecture, in order, each with the options it had then."""
        out: list[Decision] = []
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            out.append(decision)
            partial[decision.name] = arch[decision.name]
        return out

    def _walk(self, choose: Callable[[Decision], Option]) -> Architecture:
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            partial[decision.name] = choose(decision)
        return Architecture.of(self.name, partial)

    # -- drawing architectures ----------------------------------------------------------------
    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draws one from the prior: each decision uniform over its options, in order."""
        return self._walk(lambda d: _draw(d.options, rng))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Draws one uniformly over all architectures, by counting (dynamic programming).

        Raises:
            NotOffered: a space that cannot count.
        """
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            counts = [self.count({**partial, decision.name: o}) for o in decision.options]
            # counts may exceed 64 bits; their ratios do not
            total = sum(counts)
            at = int(rng.choice(len(counts), p=[c / total for c in counts]))
            partial[decision.name] = decision.options[at]
        return Architecture.of(self.name, partial)

    def count(self, partial: Mapping[str, Option]) -> int:
        """How many architectures begin with these choices, exactly."""
        cache = self._cache("count")
        decision = self.next(partial)
        if decision is None:
            return 1
        key = self._rest(partial)
        if key not in cache:
            cache[key] = sum(self.count({**partial, decision.name: o}) for o in decision.options)
        total: int = cache[key]
        return total

    def _rest(self, partial: Mapping[str, Option]) -> Hashable:
        """Equal only where what can follow is equal: lets `count` share its work."""
        return tuple(partial.items())

    def size(self) -> int:
        """Number of architectures, exact."""
        return self.count({})

    def enumerate(self) -> Iterator[Architecture]:
        """All architectures, one at a time, last decision fastest."""
        stack: list[dict[str, Option]] = [{}]
        while stack:
            partial = stack.pop()
            decision = self.next(partial)
            if decision is None:
                yield Architecture.of(self.name, partial)
            else:
                stack.extend({**partial, decision.name: o} for o in reversed(decision.options))

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

    def _change(self, arch: Architecture, changes: Mapping[str, Option]) -> Architecture:
        """The architecture with other options; what is new active takes its first option."""

        def choose(d: Decision) -> Option:
            option = changes[d.name] if d.name in changes else arch.choices.get(d.name, d.options[0])
            return option if option in d.options else d.options[0]

        return self._walk(choose)

    def neighbours(self, arch: Architecture) -> list[Architecture]:
        """All that differ in one decision; decisions that become active take their first option.

        In the order of decisions, then options.
        """
        out: dict[str, Architecture] = {}
        for decision in self.decisions(arch):
            for option in decision.options:
                if option != arch[decision.name]:
                    new = self._change(arch, {decision.name: option})
                    out.setdefault(new.key, new)
        out.pop(arch.key, None)
        return list(out.values())

    def mutate(self, arch: Architecture, n: int, rng: np.random.Generator) -> Architecture:
        """Redraws exactly `n` active decisions to another option, and samples those that become active.

        Where fewer than `n` decisions can change at once, all of them do.

        Raises:
            NotOffered: the space holds a single architecture.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        open_ = [d.name for d in self.decisions(arch) if len(d.options) > 1]
        if not open_:
            raise NotOffered("nothing can change: every decision has one option left")
        order = [open_[i] for i in rng.permutation(len(open_))]
        targets = order[:n]
        left = order[n:]
        while True:
            reached: set[str] = set()

            def choose(d: Decision) -> Option:
                old = arch.choices.get(d.name)
                if d.name in targets and d.name in arch.choices:  # noqa: B023
                    others = tuple(o for o in d.options if o != old)
                    if others:
                        reached.add(d.name)  # noqa: B023
                        return _draw(others, rng)
                if d.name in arch.choices and old in d.options:
                    return old
                return _draw(d.options, rng)

            child = self._walk(choose)
            # a target that the change of another one put out of action is replaced by the next in line
            lost = [name for name in targets if name not in reached]
            if not lost or not left:
                return child
            targets = [name for name in targets if name in reached] + left[: len(lost)]
            left = left[len(lost) :]

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Each decision from either parent with equal chance, from the one that has it, or sampled."""

        def choose(d: Decision) -> Option:
            have = [p[d.name] for p in (a, b) if d.name in p.choices and p[d.name] in d.options]
            return _draw(tuple(have) or d.options, rng)

        return self._walk(choose)

    def restrict(self, allowed: Mapping[str, Sequence[Option]]) -> Self:
        """The subspace in which the named decisions keep only these options.

        Raises:
            InvalidArchitecture: an unknown decision, or no known option is left; the message names it.
        """
        known = {d.name: d for d in self.all_decisions()}
        narrowed = type(self)(self.options, self.data)
        narrowed._allowed = dict(self._allowed)
        for name, options in allowed.items():
            if name not in known:
                raise InvalidArchitecture(f"{name}: is no decision of this space; it has {', '.join(known)}")
            kept = tuple(o for o in known[name].options if o in options)
            if not kept:
                offered = ", ".join(map(repr, known[name].options))
                raise InvalidArchitecture(f"{name}: keep at least one of {offered}")
            narrowed._allowed[name] = kept
        return narrowed

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
        return closed_form.costs(self.plan(arch))

    def canonical_key(self, arch: Architecture) -> str:
        """Equal only for architectures that compute the same function and train the same way."""
        cache = self._cache("canonical")
        if arch.key not in cache:
            cache[arch.key] = self._canonical_key(arch)
        found: str = cache[arch.key]
        return found

    def _canonical_key(self, arch: Architecture) -> str:
        return canonical.canonical_key(self.plan(arch))

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

    # -- words for people ---------------------------------------------------------------------
    def title(self, decision: str) -> str:
        """What a person calls a decision."""
        return decision.replace("_", " ")

    def format(self, decision: str, option: Option) -> str:
        """What a person calls an option."""
        if isinstance(option, bool):
            return "yes" if option else "no"
        return "none" if option is None else f"{option:g}" if isinstance(option, float) else str(option)

    def _ordered_names(self, a: Architecture, b: Architecture) -> list[str]:
        return [d.name for d in self.all_decisions() if d.name in a.choices or d.name in b.choices]

    def _changed(self, a: Architecture, b: Architecture) -> list[str]:
        missing = object()
        return [
            name
            for name in self._ordered_names(a, b)
            if a.choices.get(name, missing) != b.choices.get(name, missing)  # type: ignore[arg-type]
        ]

    def difference(self, a: Architecture, b: Architecture) -> list[tuple[str, str, str]]:
        """(decision, in a, in b) in people's words for every decision that differs; "–" = it does not act."""

        def words(arch: Architecture, name: str) -> str:
            return self.format(name, arch[name]) if name in arch.choices else _ABSENT

        return [(self.title(name), words(a, name), words(b, name)) for name in self._changed(a, b)]

    def describe_change(self, parent: Architecture, child: Architecture) -> str:
        """One phrase: what was changed to get the child. Consequences (decisions that come or go) are left out."""
        changed = [n for n in self._changed(parent, child) if n in parent.choices and n in child.choices]
        if not changed:
            return "no change" if parent == child else "other decisions act"
        return ", ".join(self._phrase(name, parent[name], child[name]) for name in changed)

    def _phrase(self, decision: str, old: Option, new: Option) -> str:
        return f"{self.title(decision)} {self.format(decision, old)} → {self.format(decision, new)}"

    # -- memory -------------------------------------------------------------------------------
    def _cache(self, what: str) -> dict[Any, Any]:
        """A plain dictionary (so that a space stays picklable), emptied when it has grown too large."""
        cache = self._caches.setdefault(what, {})
        if len(cache) > _CACHE:
            cache.clear()
        return cache


def _draw(options: Sequence[Option], rng: np.random.Generator) -> Option:
    return options[int(rng.integers(len(options)))]


def make_space(config: SearchConfig, data: DataSpec) -> SearchSpace:
    """The space a search names, for its data.

    Raises:
        InvalidConfig: no such space, or it does not serve this data.
    """
    cls: type[SearchSpace] = catalog.get("space", config.space.name)
    return cls(config.options("space")).bind(data)
