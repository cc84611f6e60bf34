"""The decisions of a written space: which act, in which order, and how many architectures follow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, Self, cast

import numpy as np

from engine.architecture import Architecture, Option
from engine.spaces._custom.counts import Slot, Ways
from engine.spaces._custom.definition import Definition
from engine.spaces.base import Decision, SearchSpace


class CustomProcess(SearchSpace):
    """The process of decisions of `custom`, without the networks."""

    @property
    def _written(self) -> Definition:
        return cast(Definition, cast(Any, self.options).definition)

    @cached_property
    def _slots(self) -> list[tuple[Decision, Mapping[str, Sequence[Option]], tuple[str, int] | None]]:
        """(decision, its conditions, (decision that counts, from which value on)) in order."""
        out: list[tuple[Decision, Mapping[str, Sequence[Option]], tuple[str, int] | None]] = []
        options = {d.name: d.options for d in self._written.decisions}
        for d in self._written.decisions:
            if not d.per:
                out.append((Decision(d.name, d.options, d.ordered, "decisions", d.help), d.when, None))
                continue
            for k in range(1, max(int(o) for o in options[d.per]) + 1):
                decision = Decision(f"{d.name}_{k}", d.options, d.ordered, f"{d.per} {k}", d.help)
                out.append((decision, d.when, (d.per, k)))
        return out

    @staticmethod
    def _acts(partial: Mapping[str, Option], when: Mapping[str, Sequence[Option]], per: tuple[str, int] | None) -> bool:
        if per is not None and not (per[0] in partial and int(cast(int, partial[per[0]])) >= per[1]):
            return False
        return all(name in partial and partial[name] in options for name, options in when.items())

    def _next(self, partial: Mapping[str, Option]) -> Decision | None:
        for decision, when, per in self._slots:
            if decision.name not in partial and self._acts(partial, when, per):
                return decision
        return None

    def _all(self) -> list[Decision]:
        return [decision for decision, _, _ in self._slots]

    @cached_property
    def _offered_slots(self) -> list[tuple[Decision, Mapping[str, Sequence[Option]], tuple[str, int] | None]]:
        """`_slots` with what a restriction leaves."""
        return [(replace(d, options=self._kept(d)), when, per) for d, when, per in self._slots]

    def _walk(self, choose: Callable[[Decision], Option]) -> Architecture:
        partial: dict[str, Option] = {}
        for decision, when, per in self._offered_slots:
            if self._acts(partial, when, per):
                partial[decision.name] = choose(decision)
        return Architecture(self.name, tuple(partial.items()))

    # -- counting -----------------------------------------------------------------------------
    @property
    def _ways(self) -> Ways:
        cache = self._caches.setdefault("ways", {})
        if not cache:
            cache["all"] = Ways([
                Slot(d.name, d.options, (*when, *(per[:1] if per else ())),
                     functools.partial(self._acts, when=when, per=per))
                for d, when, per in self._offered_slots
            ])  # fmt: skip
        ways: Ways = cache["all"]
        return ways

    def restrict(self, allowed: Mapping[str, Sequence[Option]]) -> Self:
        """See `SearchSpace.restrict`; fewer options may be countable where all are not."""
        return super().restrict(allowed)._sized()

    def _sized(self) -> Self:
        """Says so where there are too many conditions to count what they leave."""
        if not self._ways.exact:
            said = "its conditions depend on too many earlier choices at once to count what they leave"
            # this definition's; the class knows nothing of it
            vars(self)["unavailable"] = {**type(self).unavailable, "uniform": said, "size": f"a bound: {said}"}
        return self

    def count(self, partial: Mapping[str, Option]) -> int:
        """By dynamic programming over the decisions, see `_custom.counts`.

        Raises:
            NotOffered: too much hangs together.
        """
        self._sized()._offered("size")
        return self._ways.count(partial)

    def size(self) -> int:
        """The number, or a bound where there is too much to count."""
        return self._ways.count({}) if self._sized().exact_size else self._ways.bound()

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Each choice that others depend on by what it leads to, all else uniform.

        Raises:
            NotOffered: too much hangs together.
        """
        self._sized()._offered("uniform")
        return Architecture(self.name, tuple(self._ways.draw(rng).items()))
