"""Every space of the catalog, bound to every kind of data it serves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine import catalog
from engine.data.arrays import example
from engine.spaces.base import SearchSpace, space_of
from tests.engine.spaces.specs import ALL

PAIRS = [(cls, data) for cls in catalog.plugins("space").values() for data in ALL if cls.fits(data) is None]
CASES = [pytest.param(pair, id=f"{pair[0].name}-{pair[1].name.replace(' ', '-')}") for pair in PAIRS]


def kinds_of(space: SearchSpace) -> list[str]:
    """Names of the data that the space serves."""
    return [data.name for cls, data in PAIRS if cls.name == space.name]


def kind_of(space: SearchSpace) -> int:
    """Which of these its data is."""
    return kinds_of(space).index(space.data.name)


def share(space: SearchSpace, of: int) -> int:
    """So many for this kind of data, where `of` are wanted of the space in all: the first kinds get one more."""
    each, more = divmod(of, len(kinds_of(space)))
    return each + (kind_of(space) < more)


@pytest.fixture(params=CASES)
def space(request: pytest.FixtureRequest) -> SearchSpace:
    cls, data = request.param
    return space_of(cls, cls.Options(**cls.suggested(data)), data)


@pytest.fixture(params=[pytest.param(pair, id=pair[0].name) for pair in {p[0].name: p for p in PAIRS}.values()])
def each(request: pytest.FixtureRequest) -> SearchSpace:
    """One case per space: for what does not depend on the data."""
    cls, data = request.param
    return space_of(cls, cls.Options(**cls.suggested(data)), data)


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Tiny networks: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def made_up(space: SearchSpace, n: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(example(space.data, n, np.random.default_rng(seed)))
