"""What is odd about a space is found, what is not odd is not said, and nothing is random."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine import catalog
from engine.analysis.space_check import ENOUGH, Seen, SpaceCheck, buildable, changed, places
from engine.architecture import Architecture
from engine.data import registry
from engine.errors import CannotBuild
from engine.spaces.base import Decision, SearchSpace, SpaceOptions, space_of

DIGITS = registry.spec("digits")


def made(name: str, **options: Any) -> SearchSpace:
    """A space for the digits."""
    cls = catalog.get("space", name)
    return space_of(cls, cls.Options.model_validate(options), DIGITS)


class Odd(SearchSpace):
    """One convolution with all there is to find: a decision without effect, two equal options, one that fails."""

    name = "odd"
    summary = "odd"
    reference = "none"
    Options = SpaceOptions

    @classmethod
    def fits(cls, data: Any) -> None:
        """Always."""
        return None

    def _all(self) -> list[Decision]:
        return [
            Decision("colour", ("red", "blue")),
            Decision("width", (4, 8, 16)),
            Decision("act", ("relu", "rectifier", "silu")),
            Decision("window", (3, 99)),
            Decision("norm", ("batch",)),
        ]

    def _next(self, partial: Any) -> Decision | None:
        return next((d for d in self._all() if d.name not in partial), None)

    def plan(self, arch: Architecture) -> Any:
        """Stem and head."""
        if arch["window"] == 99:
            raise CannotBuild("a window of 99 does not fit into 8")
        net = self._assembler()
        x = net.add("conv", "conv2d", "input", group="stem", out_channels=arch["width"], kernel_size=3, bias=False)
        x = net.add("act", "silu" if arch["act"] == "silu" else "relu", x, group="stem")
        x = net.add("pool", "global_avg_pool2d", x, group="pool")
        net.add("output", "linear", x, group="output", out_features=self.n_classes)
        return net.finish()

    def short_name(self, arch: Architecture) -> str:
        """Its width."""
        return str(arch["width"])

    def outline(self) -> dict[str, Any]:
        """Nothing drawn."""
        return {"parts": [], "edges": []}


def looked(space: SearchSpace, chunks: int = 8, n: int = 40) -> tuple[SpaceCheck, Seen]:
    """A check that has seen chunks of samples, its record having travelled as JSON between them."""
    check, seen = SpaceCheck(space), Seen()
    for chunk in range(chunks):
        seen = Seen.from_json(json.loads(json.dumps(seen.to_json())))
        SpaceCheck(space).look(np.random.default_rng([1, chunk]), n, seen)
    return check, seen


def test_each_oddity_is_found_and_named():
    check, seen = looked(Odd(SpaceOptions()).bind(DIGITS))
    found = {(f.kind, f.names, f.options) for f in check.findings(seen)}
    assert found == {
        ("never_built", ("window",), (99,)),
        ("never_matters", ("colour",), ()),
        ("same_function", ("act",), ("relu", "rectifier")),
        ("settled", ("norm",), ()),
    }
    assert seen.refused and "window of 99" in seen.why
    texts = " ".join(f.text for f in check.findings(seen))
    assert "relu and rectifier are the same function" in texts and "a window of 99 does not fit" in texts


def test_nothing_is_said_before_there_are_enough_tests():
    check, seen = looked(Odd(SpaceOptions()).bind(DIGITS), chunks=1, n=4)
    assert {f.kind for f in check.findings(seen)} == {"settled"}
    assert all(t < ENOUGH for t, _ in seen.pairs.values())


@pytest.mark.parametrize("name", ["layers", "nasbench201"])
def test_sound_spaces_have_nothing_odd(name):
    check, seen = looked(made(name))
    assert [f for f in check.findings(seen) if f.kind != "settled"] == []
    assert seen.n == 320 and seen.refused == 0


def test_what_has_shown_an_exception_is_not_tested_again():
    _, seen = looked(made("nasbench201"), chunks=2)
    before = {k: tuple(v) for k, v in seen.pairs.items() if v[0] != v[1]}
    SpaceCheck(made("nasbench201")).look(np.random.default_rng(9), 40, seen)
    assert before and all(tuple(seen.pairs[k]) == v for k, v in before.items())


def test_the_same_generator_shows_the_same():
    (_, a), (_, b) = (looked(made("layers"), chunks=2) for _ in range(2))
    assert a == b


def test_a_look_ends_when_it_is_told_to():
    space, seen = made("layers"), Seen()
    sampled = SpaceCheck(space).look(np.random.default_rng(0), 40, seen, lambda: seen.n >= 3)
    assert len(sampled) == 3
    assert all(s.costs == space.costs(s.architecture) for s in sampled)


def test_decisions_drawn_together_are_taken_together():
    space = made("layers", depth=[2], width=[8], norm=["batch"])
    by_name = {p.names: p for p in places(space)}
    assert ("block1_op", "block2_op") in by_name
    names = [n for p in places(space) for n in p.names]
    assert sorted(names) == sorted(d.name for d in space.all_decisions())
    apart = {p.names for p in places(space.restrict({"block2_op": ["conv3", "conv5"]}))}
    assert ("block1_op",) in apart and ("block2_op",) in apart


def test_changed_changes_one_decision_and_what_follows():
    space = made("layers", depth=[1, 3])
    arch = next(a for a in space.enumerate() if a["depth"] == 1)
    deeper = changed(space, arch, "depth", 3)
    assert deeper["depth"] == 3 and deeper == space.validate(deeper.choices)
    assert {n: o for n, o in arch.items if n != "depth"}.items() <= deeper.choices.items()


def test_other_data_is_asked_about_an_option():
    odd = Odd(SpaceOptions()).bind(DIGITS)
    assert not buildable(odd, "window", 99, np.random.default_rng(0))
    assert buildable(odd, "window", 3, np.random.default_rng(0))


GOOD = {"n": 1, "refused": 0, "why": "", "built": {}, "not_built": {}, "pairs": {}}


@pytest.mark.parametrize("bad", [{}, {"n": "x"}, {**GOOD, "built": 3}, {**GOOD, "pairs": {"a": [1]}}])
def test_a_record_that_is_none_is_refused(bad):
    with pytest.raises(ValueError):
        Seen.from_json(bad)
