"""Changing architectures: neighbours, mutation, crossover. Defaults for every space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar

import numpy as np

from engine.architecture import Architecture, Option
from engine.errors import NotOffered
from engine.spaces._decision import Decision, draw


class Moves(ABC):
    """What follows from the process of decisions alone."""

    name: ClassVar[str]

    @abstractmethod
    def next(self, partial: Mapping[str, Option]) -> Decision | None:
        """The next open decision; None = complete."""

    @abstractmethod
    def decisions(self, arch: Architecture) -> list[Decision]:
        """The active decisions of an architecture, in order."""

    def _walk(self, choose: Callable[[Decision], Option]) -> Architecture:
        partial: dict[str, Option] = {}
        while (decision := self.next(partial)) is not None:
            partial[decision.name] = choose(decision)
        return Architecture.of(self.name, partial)

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
        return list(self.each_neighbour(arch))

    def each_neighbour(self, arch: Architecture) -> Iterator[Architecture]:
        """`neighbours`, one at a time: a wide space has many thousands."""
        seen = {arch.key}
        for name, option in self.moves(arch):
            new = self.moved(arch, name, option)
            if new.key not in seen:
                seen.add(new.key)
                yield new

    def moves(self, arch: Architecture) -> list[tuple[str, Option]]:
        """(decision, another option) of every change of one decision: `neighbours` before any of them is made.

        In the order of decisions, then options. Where decisions hang together two moves may lead to one architecture.
        """
        return [(d.name, o) for d in self.decisions(arch) for o in d.options if o != arch[d.name]]

    def moved(self, arch: Architecture, decision: str, option: Option) -> Architecture:
        """The neighbour a move leads to; decisions that become active take their first option."""
        return self._change(arch, {decision: option})

    def mutate(self, arch: Architecture, n: int, rng: np.random.Generator) -> Architecture:
        """Redraws exactly `n` active decisions to another option, and samples those that become active.

        Where fewer than `n` decisions can change at once, all of them do.

        Raises:
            NotOffered: the space holds a single architecture.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        names = [d.name for d in self.decisions(arch) if len(d.options) > 1]
        if not names:
            raise NotOffered("nothing can change: every decision has one option left")
        order = [names[i] for i in rng.permutation(len(names))]
        targets, left = order[:n], order[n:]
        while True:
            child, reached = self._redraw(arch, targets, rng)
            lost = len(targets) - len(reached)
            if not lost or not left:
                return child
            # a target that the change of another one put out of action is replaced by the next in line
            targets, left = reached + left[:lost], left[lost:]

    def _redraw(
        self, arch: Architecture, targets: list[str], rng: np.random.Generator
    ) -> tuple[Architecture, list[str]]:
        """The child, and which of the targets still act in it and so were redrawn."""
        reached: list[str] = []

        def choose(d: Decision) -> Option:
            if d.name not in arch.choices:
                return draw(d.options, rng)
            old = arch[d.name]
            others = tuple(o for o in d.options if o != old)
            if d.name in targets and others:
                reached.append(d.name)
                return draw(others, rng)
            return old if old in d.options else draw(d.options, rng)

        return self._walk(choose), reached

    def crossover(self, a: Architecture, b: Architecture, rng: np.random.Generator) -> Architecture:
        """Each decision from either parent with equal chance, from the one that has it, or sampled."""

        def choose(d: Decision) -> Option:
            have = [p[d.name] for p in (a, b) if d.name in p.choices and p[d.name] in d.options]
            return draw(tuple(have) or d.options, rng)

        return self._walk(choose)
