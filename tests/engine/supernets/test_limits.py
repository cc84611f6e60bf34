"""A limit on skip connections takes the weakest away and derives anew."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from engine.data.spec import DataSpec
from engine.spaces.base import SearchSpace
from engine.spaces.nasbench201 import Nasbench201
from engine.supernets._gradient import HIGHEST
from engine.supernets.limits import limited


@pytest.fixture
def space() -> SearchSpace:
    data = DataSpec(
        name="d", input_shape=(1, 8, 8), n_classes=3, class_names=("a", "b", "c"),
        sizes={"train": 8, "validation": 8, "test": 8}, digest="", split_digest="", mean=(0.0,), std=(1.0,),
    )  # fmt: skip
    return Nasbench201(Nasbench201.Options(cells=1, channels=4)).bind(data)


def test_the_weakest_skips_go_and_the_next_best_comes(space: SearchSpace) -> None:
    edges = [d.name for d in space.all_decisions()]
    strong = dict(zip(edges, (0.9, 0.5, 0.8, 0.6, 0.7, 0.1), strict=True))
    strengths = {e: {"skip_connect": s, "nor_conv_3x3": 0.05, "none": 0.01} for e, s in strong.items()}
    for most in range(7):
        arch = limited(space, strengths, most)
        kept = sorted((e for e in edges if arch[e] == "skip_connect"), key=lambda e: -strong[e])
        assert kept == sorted(edges, key=lambda e: -strong[e])[:most]
        assert all(arch[e] == "nor_conv_3x3" for e in edges if e not in kept)


def test_no_limit_and_a_loose_one_change_nothing(space: SearchSpace) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        strengths = {
            d.name: dict(zip(d.options, rng.dirichlet(np.ones(5)), strict=True)) for d in space.all_decisions()
        }
        assert limited(space, strengths, None) == limited(space, strengths, 6) == space.derive(strengths)


def test_it_is_the_strongest_architecture_within_the_limit(space: SearchSpace) -> None:
    """Where edges do not compete, taking the weakest away is not optimal in general, but it is for equal runners-up."""
    rng = np.random.default_rng(1)
    edges = [d.name for d in space.all_decisions()]
    strengths = {e: {"skip_connect": rng.uniform(0.3, 1), "nor_conv_1x1": 0.2} for e in edges}
    arch = limited(space, strengths, 2)
    total = lambda a: sum(strengths[e][o] for e, o in zip(edges, a, strict=True))  # noqa: E731
    best = max(
        (a for a in product(["skip_connect", "nor_conv_1x1"], repeat=6) if a.count("skip_connect") <= 2), key=total
    )
    assert tuple(arch[e] for e in edges) == best


def test_an_edge_that_offers_nothing_else_keeps_its_skip(space: SearchSpace) -> None:
    only = space.restrict({"edge0_1": ["skip_connect"]})
    strengths = {
        d.name: dict.fromkeys(d.options, 0.1) | {"skip_connect": 0.5, "nor_conv_1x1": 0.2} for d in only.all_decisions()
    }
    arch = limited(only, strengths, 0)
    assert [n for n, o in arch.choices.items() if o == "skip_connect"] == ["edge0_1"]


def test_architecture_parameters_can_move_as_far_in_fewer_steps():
    from engine import catalog

    darts = catalog.get("strategy", "darts").Options()
    assert darts.rate(19_500) == 3e-4 == darts.rate(40_000), "never below the paper's"
    assert darts.rate(1_950) == pytest.approx(3e-3) and darts.rate(10) == HIGHEST
    assert catalog.get("strategy", "darts").Options(alpha_rate=0.1).rate(10) == 0.1, "what is given is taken"
    assert catalog.get("strategy", "fbnet").Options().rate(10) == 0.01
