"""Drawing and counting architectures: defaults for every space, from the process of decisions alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from engine.architecture import Architecture, Option
from engine.spaces._decision import draw
from engine.spaces._moves import Moves
from engine.spaces._offers import Offers


class Draws(Moves, Offers):
    """Samples, counts and lists what `next` leads to."""

    @abstractmethod
    def _cache(self, what: str) -> dict[Any, Any]:
        """A dictionary of this space's own."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draws one from the prior: each decision uniform over its options, in order."""
        return self._walk(lambda d: draw(d.options, rng))

    def sample_uniform(self, rng: np.random.Generator) -> Architecture:
        """Draws one uniformly over all architectures, by counting (dynamic programming).

        Raises:
            NotOffered: a space that cannot count; its reason stands in `unavailable["uniform"]`.
        """
        self._offered("uniform")
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            counts = [self.count({**partial, decision.name: o}) for o in decision.options]
            # counts may exceed 64 bits; their ratios do not
            total = sum(counts)
            at = int(rng.choice(len(counts), p=[c / total for c in counts]))
            partial[decision.name] = decision.options[at]
        return Architecture.of(self.name, partial)

    def count(self, partial: Mapping[str, Option]) -> int:
        """How many architectures begin with these choices, exactly.

        Raises:
            NotOffered: a space that cannot count.
        """
        self._offered("size")
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

    def unrank(self, index: int) -> Architecture:
        """The architecture at a place of the order of `enumerate`, by counting: no list is made.

        Args:
            index: from 0 to the exact size - 1.

        Raises:
            NotOffered: a space that cannot count.
            IndexError: no such place.
        """
        size = self.count({})
        if not 0 <= index < size:
            raise IndexError(f"index {index} is not between 0 and {size - 1}")
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            for option in decision.options:
                below = self.count({**partial, decision.name: option})
                if index < below:
                    partial[decision.name] = option
                    break
                index -= below
            else:
                raise AssertionError(f"{self.name} counts more architectures than {decision.name} has options for")
        return Architecture.of(self.name, partial)

    def size(self) -> int:
        """Number of architectures: exact, or an upper bound where `"size"` stands in `unavailable`."""
        return self.count({})

    @property
    def exact_size(self) -> bool:
        """Whether `size` is the number itself and no bound."""
        return "size" not in self.unavailable

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
