"""Generated from the table in docs/spaces.md: what it promises works, what it refuses is refused with that reason."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import catalog
from engine.architecture import Architecture
from engine.data.arrays import example
from engine.docs import SPACES, spaces_page
from engine.errors import NotOffered
from engine.network.build import build
from engine.network.inherit import inherit
from engine.spaces.base import CAPABILITIES, SearchSpace, space_of
from tests.engine.spaces.specs import ALL

PAGE = Path(__file__).parents[4] / SPACES
ROW = re.compile(r"^\| `(?P<name>\w+)` \|(?P<cells>.*)\|$")


def promised() -> dict[str, dict[str, str]]:
    """space -> capability -> "yes" or the reason, as the page says."""
    out: dict[str, dict[str, str]] = {}
    table = PAGE.read_text().split("## What is not offered, and why")[1]
    for line in table.splitlines():
        if match := ROW.match(line):
            cells = [c.strip() for c in match["cells"].split("|")]
            out[match["name"]] = dict(zip(CAPABILITIES, cells, strict=True))
    return out


TABLE = promised()


def bound(name: str) -> list[SearchSpace]:
    cls = catalog.get("space", name)
    return [space_of(cls, cls.Options(**cls.suggested(d)), d) for d in ALL if cls.fits(d) is None]


def cases(capability: str, *, offered: bool) -> list:
    return [pytest.param(name, id=name) for name, row in TABLE.items() if (row[capability] == "yes") is offered]


def test_the_page_is_up_to_date():
    assert PAGE.read_text() == spaces_page(), "run python -m engine.docs"
    assert set(TABLE) == set(catalog.plugins("space"))


CALLS = {
    "uniform": lambda s, a: s.sample_uniform(np.random.default_rng(0)),
    "size": lambda s, a: s.count({}),
    "grow": lambda s, a: s.grow(a),
    "morphisms": lambda s, a: s.morphisms(a),
    "supernet": lambda s, a: s.weight_names(a),
    "mixture": lambda s, a: s.mixture(),
}


@pytest.mark.parametrize(
    ("name", "capability"), [(n, c) for n, row in TABLE.items() for c in CAPABILITIES if row[c] != "yes"]
)
def test_what_is_not_offered_is_refused_with_the_reason_of_the_page(name, capability):
    reason = TABLE[name][capability]
    assert len(reason) > 25
    for space in bound(name):
        arch = space.sample(np.random.default_rng(1))
        with pytest.raises(NotOffered) as e:
            CALLS[capability](space, arch)
        assert reason in str(e.value)
        assert space.exact_size is (TABLE[name]["size"] == "yes")


@pytest.mark.parametrize("name", cases("uniform", offered=True))
def test_uniform_sampling(name):
    rng = np.random.default_rng(11)
    for space in bound(name):
        drawn = [space.sample_uniform(rng) for _ in range(150)]
        assert all(space.validate(a.choices) == a for a in drawn)
        if not space.exact_size:
            continue
        # the first decision's options come in proportion to what follows them
        first = space.next({})
        shares = np.array([space.count({first.name: o}) for o in first.options], dtype=object)
        seen = np.array([sum(a[first.name] == o for a in drawn) for o in first.options], dtype=float)
        expected = np.array([float(s / shares.sum()) for s in shares]) * len(drawn)
        assert (np.abs(seen - expected) <= 5 * np.sqrt(expected) + 2).all()


def small_subspace(space: SearchSpace, rng: np.random.Generator) -> tuple[SearchSpace, list[Architecture]]:
    """A subspace of 2 to 400 architectures with two open decisions, the last ones first, and all of them."""
    for _ in range(20):
        arch = space.sample(rng)
        decisions = [d for d in space.decisions(arch) if len(d.options) > 1]
        for at in range(len(decisions), 0, -1):
            open_ = {d.name for d in decisions[max(0, at - 2) : at]}
            small = space.restrict({n: [o] for n, o in arch.items if n not in open_})
            everything = list(islice(small.enumerate(), 401))
            if 1 < len(everything) <= 400:
                return small, everything
    raise AssertionError("no such subspace was found")


@pytest.mark.parametrize("name", cases("uniform", offered=True))
def test_uniform_sampling_reaches_all_of_a_small_subspace_alike(name):
    rng = np.random.default_rng(12)
    small, everything = small_subspace(bound(name)[0], rng)
    n = 40 * len(everything)
    drawn = [small.sample_uniform(rng).key for _ in range(n)]
    counts = np.array([drawn.count(a.key) for a in everything], dtype=float)
    assert counts.sum() == n
    # chi square of so many degrees of freedom: mean k, variance 2k
    k = len(everything) - 1
    assert ((counts - 40) ** 2 / 40).sum() < k + 6 * np.sqrt(2 * k)


@pytest.mark.parametrize("name", cases("grow", offered=True))
def test_growth(name):
    """From the smallest stage on: each step is one stage further, no smaller, and never the same twice."""
    rng = np.random.default_rng(13)
    grew = 0
    for space in bound(name):
        for arch in min((space.sample(rng) for _ in range(20)), key=space.stage), space.sample(rng):
            for _ in range(2):
                larger = space.grow(arch)
                assert larger == space.grow(arch)
                assert len({a.key for a in larger}) == len(larger) and arch not in larger
                if not larger:
                    break
                for other in larger[:20]:
                    assert space.validate(other.choices) == other
                    assert space.stage(other) == space.stage(arch) + 1
                    assert space.costs(other).n_params >= space.costs(arch).n_params
                grew += 1
                arch = larger[int(rng.integers(len(larger)))]
    assert grew


@pytest.mark.parametrize("name", cases("morphisms", offered=True))
def test_morphisms_keep_the_function(name):
    rng = np.random.default_rng(14)
    applied = set()
    for space in bound(name):
        for seed in range(3):
            arch = space.sample(rng)
            plan = space.plan(arch)
            parent = build(plan, seed=seed).train()
            x = torch.from_numpy(example(space.data, 8, rng))
            with torch.no_grad():
                for _ in range(3):
                    parent(x)
                generator = torch.Generator().manual_seed(seed)
                for p in parent.parameters():
                    p.add_(0.05 * torch.randn(p.shape, generator=generator))
                parent.eval()
                expected = parent(x)
                morphisms = space.morphisms(arch)
                assert [m.child for m in morphisms] == [m.child for m in space.morphisms(arch)]
                for i in rng.permutation(len(morphisms))[:8]:
                    m = morphisms[i]
                    assert space.validate(m.child.choices) == m.child != arch
                    assert m.what
                    child = inherit(parent.state_dict(), space.plan(m.child), m.weights, seed=seed).eval()
                    scale = max(1.0, float(expected.abs().max()))
                    assert float((child(x) - expected).abs().max()) <= 1e-5 * scale, m.what
                    assert space.costs(m.child).n_params >= space.costs(arch).n_params
                    applied.add(m.what)
    assert applied
