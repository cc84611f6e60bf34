"""Architectures as the sequences of choices that a policy writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture, Option
from engine.encodings import Places, Vector
from engine.spaces.base import Decision, SearchSpace

Tokens = NDArray[np.int64]


@dataclass(frozen=True)
class Step:
    """One choice.

    Attributes:
        decision: its place among all decisions of the space.
        offered: token of each option that was offered.
        chosen: place among these.
    """

    decision: int
    offered: Tokens
    chosen: int

    @property
    def token(self) -> int:
        """The token that was written."""
        return int(self.offered[self.chosen])


@dataclass(frozen=True)
class Draft:
    """What a policy wrote.

    Attributes:
        architecture: the choices.
        steps: the same as tokens.
        probabilities: what the policy gave the offered options, step by step.
    """

    architecture: Architecture
    steps: tuple[Step, ...]
    probabilities: tuple[Vector, ...]

    @property
    def times_chance(self) -> float:
        """How many times as likely it was as by drawing every option alike, as a natural logarithm."""
        pairs = zip(self.steps, self.probabilities, strict=True)
        return float(sum(np.log(max(p[s.chosen], 1e-12) * len(p)) for s, p in pairs))


class Grammar:
    """The tokens of a space: one for each option of each decision, from 1 on.

    Attributes:
        decisions: all that can occur, in order.
        n_tokens: tokens, without the 0 that stands for "nothing yet".
        first: token of each decision's first option.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.places = Places(space)
        self.decisions = self.places.decisions
        self.n_tokens = self.places.n_tokens
        self.first = np.cumsum([1, *(len(d.options) for d in self.decisions)])[:-1]
        self._index = {d.name: i for i, d in enumerate(self.decisions)}
        self._offers: dict[tuple[str, tuple[str, ...]], Tokens] = {}

    def index(self, decision: Decision) -> int:
        """Place of a decision among all."""
        return self._index[decision.name]

    def offered(self, decision: Decision) -> Tokens:
        """Tokens of the options that a decision offers, in its order."""
        # repr, since 1 == True == 1.0 as keys
        key = (decision.name, tuple(map(repr, decision.options)))
        if key not in self._offers:
            self._offers[key] = np.array(self.places.offered(decision), dtype=np.int64)
        return self._offers[key]

    def read(self, architecture: Architecture) -> tuple[Step, ...]:
        """The steps that write an architecture."""
        out = []
        for d in self.space.decisions(architecture):
            chosen = next(i for i, o in enumerate(d.options) if repr(o) == repr(architecture[d.name]))
            out.append(Step(self.index(d), self.offered(d), chosen))
        return tuple(out)

    def words(self, token: int) -> tuple[str, str]:
        """Decision and option of a token, for people."""
        i = int(np.searchsorted(self.first, token, side="right")) - 1
        d = self.decisions[i]
        return self.space.title(d.name), self.space.format(d.name, d.options[token - int(self.first[i])])


class Pen:
    """Writes one architecture, a choice at a time."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.partial: dict[str, Option] = {}
        self.steps: list[Step] = []
        self.probabilities: list[Vector] = []
        self.decision = grammar.space.next(self.partial)

    @property
    def offered(self) -> Tokens:
        """Tokens that may come next."""
        assert self.decision is not None
        return self.grammar.offered(self.decision)

    def choose(self, chosen: int, probabilities: Vector) -> None:
        """Takes the option at this place of `offered`."""
        assert self.decision is not None
        self.steps.append(Step(self.grammar.index(self.decision), self.offered, chosen))
        self.probabilities.append(probabilities)
        self.partial[self.decision.name] = self.decision.options[chosen]
        self.decision = self.grammar.space.next(self.partial)

    def draft(self) -> Draft:
        """What was written; complete."""
        architecture = Architecture.of(self.grammar.space.name, self.partial)
        return Draft(architecture, tuple(self.steps), tuple(self.probabilities))


def softmax(logits: Vector) -> Vector:
    """Probabilities (n,) of logits (n,)."""
    e = np.exp(logits - logits.max())
    out: Vector = e / e.sum()
    return out


def flattened(probabilities: Vector, temperature: float) -> Vector:
    """Probabilities to the power of 1 / temperature, scaled to sum to one."""
    return probabilities if temperature == 1 else softmax(np.log(np.maximum(probabilities, 1e-12)) / temperature)


def pick(probabilities: Vector, at: float) -> int:
    """The option that a number from 0 to 1 falls on."""
    return min(int(np.searchsorted(np.cumsum(probabilities), at, side="right")), len(probabilities) - 1)


def entropy(probabilities: Vector) -> float:
    """Entropy as a share of that of equal chances, 0 to 1; 0 where there is nothing to choose."""
    if len(probabilities) < 2:
        return 0.0
    p = probabilities[probabilities > 0]
    return float(-(p * np.log(p)).sum() / np.log(len(probabilities)))


def tokens_of(sequences: Sequence[Sequence[Step]]) -> Tokens:
    """(sequences, longest): what was written, zeros behind; read back by `Places.from_tokens`."""
    out = np.zeros((len(sequences), max((len(s) for s in sequences), default=0)), dtype=np.int64)
    for row, steps in zip(out, sequences, strict=True):
        row[: len(steps)] = [s.token for s in steps]
    return out
