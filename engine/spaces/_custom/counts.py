"""Counts the architectures of a written space: by dynamic programming over its decisions in their order.

Between two decisions only those choices matter that a later condition still asks for. Where too many such choices are
open at once, counting would take exponential time (it is as hard as counting the solutions of any set of conditions);
then there is a bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from engine.architecture import Option

#: steps beyond which nothing is counted: about half a second
_MOST = 150_000
#: the options that later conditions ask for, in the order of `Level.live`; `_ABSENT` = the decision does not act
State = tuple[object, ...]
_ABSENT = object()


class Slot(NamedTuple):
    """One decision.

    Attributes:
        name: of the decision.
        options: what is offered.
        asks: the decisions on which it depends whether it acts.
        acts: whether it does, by the options of those (one that does not act is left out).
    """

    name: str
    options: tuple[Option, ...]
    asks: tuple[str, ...]
    acts: Callable[[Mapping[str, Option]], bool]


class Ways:
    """Number of ways to go on behind any choices.

    Args:
        slots: in the order in which they are decided.

    Attributes:
        exact: False where counting would take too long.
    """

    def __init__(self, slots: Sequence[Slot]) -> None:
        self.slots = tuple(slots)
        last = {name: i for i, slot in enumerate(slots) for name in slot.asks}
        names: list[tuple[str, ...]] = [()]
        for i, slot in enumerate(slots):
            open_ = (*names[-1], slot.name) if last.get(slot.name, -1) > i else names[-1]
            names.append(tuple(n for n in open_ if last[n] > i))
        #: the decisions whose option a state holds, in front of each slot
        self.live = tuple(names)
        self.exact = True
        self._counts: list[dict[State, int]] = []
        self._fill()

    def _fill(self) -> None:
        reached: list[dict[State, None]] = [{(): None}]
        steps = 0
        for i in range(len(self.slots)):
            after: dict[State, None] = {}
            for state in reached[-1]:
                follows = {new: None for new, _ in self._after(i, state)}
                steps += len(follows)
                after |= follows
                if steps > _MOST:
                    self.exact = False
                    return
            reached.append(after)
        counts = [dict.fromkeys(reached[-1], 1)]
        for i in range(len(self.slots) - 1, -1, -1):
            behind = counts[-1]
            counts.append({s: sum(n * behind[new] for new, n in self._after(i, s)) for s in reached[i]})
        self._counts = counts[::-1]

    def _after(self, i: int, state: State) -> list[tuple[State, int]]:
        """(what is known behind slot i, for how many of its options)."""
        slot, before, behind = self.slots[i], self.live[i], self.live[i + 1]
        known = dict(zip(before, state, strict=True))
        acts = self._acts(slot, known)
        if slot.name not in behind:
            return [(tuple([known[n] for n in behind]), len(slot.options) if acts else 1)]
        options: tuple[object, ...] = slot.options if acts else (_ABSENT,)
        return [(tuple([o if n == slot.name else known[n] for n in behind]), 1) for o in options]

    @staticmethod
    def _acts(slot: Slot, known: Mapping[str, object]) -> bool:
        return not slot.asks or slot.acts({n: o for n, o in known.items() if o is not _ABSENT})  # type: ignore[misc]

    def count(self, chosen: Mapping[str, Option]) -> int:
        """How many architectures begin with these choices; only where `exact`."""
        at = len(self.slots)
        for i, slot in enumerate(self.slots):
            if slot.name not in chosen and slot.acts(chosen):
                at = i
                break
        return self._counts[at].get(self._state(at, chosen), 0)

    def _state(self, i: int, chosen: Mapping[str, Option]) -> State:
        return tuple([chosen.get(n, _ABSENT) for n in self.live[i]])

    def draw(self, rng: np.random.Generator) -> dict[str, Option]:
        """Any architecture with the same chance; only where `exact`."""
        chosen: dict[str, Option] = {}
        for i, slot in enumerate(self.slots):
            if not slot.acts(chosen):
                continue
            at = int(rng.integers(len(slot.options)))
            if slot.name in self.live[i + 1]:
                behind = self._counts[i + 1]
                counts = [behind[self._state(i + 1, {**chosen, slot.name: o})] for o in slot.options]
                total = sum(counts)
                # counts may exceed 64 bits; their ratios do not
                at = int(rng.choice(len(counts), p=[c / total for c in counts]))
            chosen[slot.name] = slot.options[at]
        return chosen

    def bound(self) -> int:
        """As many as there would be if every decision always acted."""
        total = 1
        for slot in self.slots:
            total *= len(slot.options)
        return total
