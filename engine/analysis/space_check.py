"""What is odd about a search space, found by looking at samples of it.

Four things are said: an option that was never part of a network that could be built, a decision whose change never
changed the network (its canonical key), two options that always stood for the same network, and decisions that are
settled because one option is left. The first three are statements about samples: each is made only after enough tests
without a single exception, and what has shown an exception is not tested again, so that the tests gather where a
suspicion is left. Decisions that offer the same and mean the same in several places (each block's operation) are taken
together.

No clock and no I/O: the same generator and the same past give the same result. Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Literal

import numpy as np

from engine.architecture import Architecture, Option
from engine.errors import CannotBuild
from engine.network.plan import Costs
from engine.spaces.base import SearchSpace

#: tests without an exception before something is said
ENOUGH = 24
#: refused networks with an option, none built, before it is said that it cannot be built
REFUSED = 8
#: changes tried on one sample
TESTS = 3

Kind = Literal["never_built", "never_matters", "same_function", "settled"]


@dataclass(frozen=True)
class Finding:
    """One thing to say.

    Attributes:
        names: the decisions it is about.
        options: the options it is about; empty = all of them.
        text: the sentence, without a full stop.
    """

    kind: Kind
    names: tuple[str, ...]
    options: tuple[Option, ...]
    text: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"kind": self.kind, "names": list(self.names), "options": list(self.options), "text": self.text}


@dataclass(frozen=True)
class Place:
    """Decisions that are taken together.

    Attributes:
        names: of the decisions, in their order.
        title: in people's words.
        options: what they offer.
        words: the same for people.
    """

    names: tuple[str, ...]
    title: str
    options: tuple[Option, ...]
    words: tuple[str, ...]


@dataclass
class Seen:
    """What the samples so far have shown; plain data that may travel (`to_json`, `from_json`).

    Attributes:
        n: networks that could be built; `refused`: those that could not.
        why: the last reason.
        built, not_built: how often an option was part of them, by `place/option`.
        pairs: `place/option/option` -> [tests, tests in which the network stayed the same].
    """

    n: int = 0
    refused: int = 0
    why: str = ""
    built: dict[str, int] = field(default_factory=dict)
    not_built: dict[str, int] = field(default_factory=dict)
    pairs: dict[str, list[int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "n": self.n, "refused": self.refused, "why": self.why, "built": self.built, "not_built": self.not_built,
            "pairs": self.pairs,
        }  # fmt: skip

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Seen:
        """Reads what `to_json` wrote.

        Raises:
            ValueError: it was not that.
        """
        try:
            return cls(
                int(value["n"]), int(value["refused"]), str(value["why"])[:500],
                {str(k): int(v) for k, v in value["built"].items()},
                {str(k): int(v) for k, v in value["not_built"].items()},
                {str(k): [int(v[0]), int(v[1])] for k, v in value["pairs"].items()},
            )  # fmt: skip
        except (KeyError, TypeError, AttributeError, IndexError, OverflowError) as e:
            raise ValueError(f"not a record of samples: {e}") from e


@dataclass(frozen=True)
class Sampled:
    """One sample: its costs, or None where no network can be made of it."""

    architecture: Architecture
    costs: Costs | None


class SpaceCheck:
    """Looks at one space, a few samples at a time.

    Args:
        space: bound to its data, restricted as it is to be searched.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.places = places(space)
        self._place = {name: i for i, place in enumerate(self.places) for name in place.names}
        self._option = [{_mark(o): k for k, o in enumerate(place.options)} for place in self.places]

    def look(
        self, rng: np.random.Generator, n: int, seen: Seen, enough: Callable[[], bool] = lambda: False
    ) -> list[Sampled]:
        """Draws up to `n` architectures, adds what they show to `seen`.

        Args:
            rng: every draw comes from it.
            n: samples.
            seen: changed in place.
            enough: asked after each sample; True ends this look.
        """
        out: list[Sampled] = []
        for _ in range(n):
            arch = self.space.sample(rng)
            try:
                costs = self.space.costs(arch)
            except CannotBuild as e:
                seen.refused += 1
                seen.why = str(e)[:500]
                self._count(arch, seen.not_built)
                out.append(Sampled(arch, None))
            else:
                seen.n += 1
                self._count(arch, seen.built)
                self._test(arch, rng, seen)
                out.append(Sampled(arch, costs))
            if enough():
                break
        return out

    def _count(self, arch: Architecture, into: dict[str, int]) -> None:
        for name, option in arch.items:
            at = self._place.get(name)
            if at is not None and (k := self._option[at].get(_mark(option))) is not None:
                into[f"{at}/{k}"] = into.get(f"{at}/{k}", 0) + 1

    def _test(self, arch: Architecture, rng: np.random.Generator, seen: Seen) -> None:
        """Changes one decision at a time, where nothing is known yet, least tested first."""
        open_pairs: dict[str, list[tuple[str, Option]]] = {}
        for decision in self.space.decisions(arch):
            at = self._place.get(decision.name)
            if at is None or len(decision.options) < 2:
                continue
            marks = self._option[at]
            now = marks.get(_mark(arch[decision.name]))
            for option in decision.options:
                other = marks.get(_mark(option))
                if now is None or other is None or now == other:
                    continue
                key = f"{at}/{min(now, other)}/{max(now, other)}"
                tested, same = seen.pairs.get(key, (0, 0))
                if tested == same and tested < 2 * ENOUGH:
                    open_pairs.setdefault(key, []).append((decision.name, option))
        order = sorted(open_pairs, key=lambda k: (seen.pairs.get(k, (0, 0))[0], rng.random()))
        for key in order[:TESTS]:
            ways = open_pairs[key]
            name, option = ways[int(rng.integers(len(ways)))]
            other_arch = changed(self.space, arch, name, option)
            try:
                same = self.space.canonical_key(arch) == self.space.canonical_key(other_arch)
            except CannotBuild:
                continue
            count = seen.pairs.setdefault(key, [0, 0])
            count[0] += 1
            count[1] += same

    def findings(self, seen: Seen) -> list[Finding]:
        """What can be said by now, the gravest first."""
        out: list[Finding] = []
        for at, place in enumerate(self.places):
            for k, option in enumerate(place.options):
                if seen.not_built.get(f"{at}/{k}", 0) >= REFUSED and not seen.built.get(f"{at}/{k}"):
                    text = f"{place.title} {place.words[k]}: no network with it can be built for this data ({seen.why})"
                    out.append(Finding("never_built", place.names, (option,), text))
        for at, place in enumerate(self.places):
            out += self._same(at, place, seen)
        settled = [place for place in self.places if len(place.options) == 1]
        if settled:
            words = "; ".join(f"{place.title} {place.words[0]}" for place in settled)
            names = tuple(name for place in settled for name in place.names)
            out.append(Finding("settled", names, (), f"one option is left: {words}"))
        return out

    def _same(self, at: int, place: Place, seen: Seen) -> list[Finding]:
        counts = {
            pair: seen.pairs[key]
            for pair in combinations(range(len(place.options)), 2)
            if (key := f"{at}/{pair[0]}/{pair[1]}") in seen.pairs
        }
        if not counts:
            return []
        tested = sum(t for t, _ in counts.values())
        if tested >= ENOUGH and all(t == same for t, same in counts.values()):
            text = f"{place.title}: it never matters; changed {tested} times, the network stayed the same"
            return [Finding("never_matters", place.names, (), text)]
        out = []
        for (a, b), (t, same) in counts.items():
            if t >= ENOUGH and t == same:
                text = (
                    f"{place.title}: {place.words[a]} and {place.words[b]} are the same function; "
                    f"swapped {t} times, the network stayed the same"
                )
                out.append(Finding("same_function", place.names, (place.options[a], place.options[b]), text))
        return out


def places(space: SearchSpace) -> list[Place]:
    """The decisions of a space, those together that its outline draws together."""
    offered = {d.name: d for d in space.all_decisions()}
    out: list[Place] = []
    taken: set[str] = set()
    for part in space.outline().get("parts", []):
        for drawn in part.get("decisions", []):
            names = [n for n in drawn.get("names", [drawn["name"]]) if n in offered and n not in taken]
            # one restricted apart from the others is another decision
            while names:
                options = offered[names[0]].options
                alike = tuple(n for n in names if offered[n].options == options)
                whole = len(alike) == len(drawn.get("names", [drawn["name"]])) and len(alike) > 1
                # "operation, each block by itself" of the part "block": "block operation"
                title = str(drawn["title"]).partition(", ")[0] if whole else space.title(alike[0])
                if whole and part.get("title") and part["title"] not in title:
                    title = f"{part['title']} {title}"
                out.append(_place(space, alike, title, options))
                taken.update(alike)
                names = [n for n in names if n not in alike]
    out += [_place(space, (d.name,), space.title(d.name), d.options) for d in offered.values() if d.name not in taken]
    return out


def _place(space: SearchSpace, names: tuple[str, ...], title: str, options: Sequence[Option]) -> Place:
    return Place(names, title, tuple(options), tuple(space.format(names[0], o) for o in options))


def changed(space: SearchSpace, arch: Architecture, name: str, option: Option) -> Architecture:
    """The architecture with another option for one decision; what is new active takes its first option."""
    partial: dict[str, Option] = {}
    while (decision := space.next(partial)) is not None:
        wanted = option if decision.name == name else arch.choices.get(decision.name, decision.options[0])
        partial[decision.name] = wanted if wanted in decision.options else decision.options[0]
    return Architecture.of(space.name, partial)


def buildable(space: SearchSpace, name: str, option: Option, rng: np.random.Generator, tries: int = 12) -> bool:
    """Whether any of some samples with this option can be built: for asking other data about an option."""
    for _ in range(tries):
        arch = changed(space, space.sample(rng), name, option)
        if name not in arch.choices:
            continue
        try:
            space.costs(arch)
        except CannotBuild:
            continue
        return True
    return False


def _mark(option: Option) -> str:
    """True and 1 are different options."""
    return json.dumps(option)
