"""Encodings over every space: round trips where they can be, well formed where not."""

from __future__ import annotations

import numpy as np
import pytest

from engine import encodings
from engine.encodings import Places
from engine.errors import InvalidArchitecture


def test_what_can_be_read_back_is(space, rng):
    places = Places(space)
    for _ in range(15):
        arch = space.sample(rng)
        tokens = places.tokens(arch)
        assert places.from_tokens([*tokens, 0, 0]) == arch and 0 < min(tokens) <= max(tokens) <= places.n_tokens
        ordinal, one_hot = places.ordinal(arch), places.one_hot(arch)
        assert ordinal.shape == (len(space.all_decisions()),) and -1 <= ordinal.min() <= ordinal.max() <= 1
        assert one_hot.sum() == len(arch.items)
        assert places.from_ordinal(ordinal) == arch == places.from_one_hot(one_hot)
        assert encodings.from_tree_string(space, encodings.tree_string(space, arch)) == arch
    relaxed = rng.random(places.n_tokens)
    assert space.validate(places.from_one_hot(relaxed).choices)
    assert space.validate(places.from_ordinal(rng.random(len(space.all_decisions()))).choices)


def test_what_is_no_sequence_is_refused(each):
    places = Places(each)
    for tokens in ([], [places.n_tokens + 1], [-3]):
        with pytest.raises(InvalidArchitecture):
            places.from_tokens(tokens)
    for text in ("", "(nothing)", f"({each.name} (a))", f"({each.name} (x (nonsense 1)))"):
        with pytest.raises(InvalidArchitecture):
            encodings.from_tree_string(each, text)


def test_graphs(space, rng):
    for _ in range(6):
        arch = space.sample(rng)
        plan = space.plan(arch)
        labels, matrix = encodings.adjacency(plan)
        assert matrix.shape == (len(labels), len(labels)) and not np.tril(matrix).any() and labels[0] == "input"
        arrays = encodings.graph_arrays(plan)
        assert arrays.operations.shape == (len(labels),) and arrays.features.shape == (len(labels), 5)
        assert arrays.edges.shape == (2, int(matrix.sum())) and np.isfinite(arrays.features).all()
        assert (arrays.edges[0] < arrays.edges[1]).all() and arrays.features[-1, 4] == 1
        short = encodings.paths(plan, longest=6)
        assert all(0 < len(p) <= 6 for p in short)


def test_paths_count_the_ways_and_can_be_cut():
    from engine.spaces.base import space_of
    from engine.spaces.nasbench201 import Nasbench201, Nasbench201Options
    from tests.engine.spaces.specs import DIGITS

    space = space_of(Nasbench201, Nasbench201Options(channels=4, cells=1), DIGITS)
    full, chain = space.read("111111"), space.read("300303")
    # identities are contracted: what is left differs by the sums alone
    every = [encodings.paths(space.plan(a)) for a in (full, chain)]
    matrix, vocabulary = encodings.path_matrix(every)
    assert matrix.shape == (2, len(vocabulary)) and matrix.sum(axis=1).min() >= 1
    cut, shorter = encodings.path_matrix([encodings.paths(space.plan(a), longest=20) for a in (full, chain)])
    assert len(shorter) <= len(vocabulary)
    again, same = encodings.path_matrix(every, vocabulary)
    assert (again == matrix).all() and same == vocabulary
    assert sum(every[0].values()) > sum(every[1].values()) > 0
