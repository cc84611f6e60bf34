"""Splits: exact sizes, classes in proportion, the same for the same seed."""

import numpy as np
import pytest

from engine.data.split import digest, quotas, stratified
from engine.errors import DataError


def test_quotas_add_up_and_differ_from_the_exact_share_by_less_than_one() -> None:
    counts = np.array([7, 50, 33, 10])
    for take in range(1, 100):
        got = quotas(counts, take)
        assert got.sum() == take
        assert (np.abs(got - counts * take / 100) < 1).all()


def test_stratified_uses_every_index_once_and_keeps_the_classes_in_proportion() -> None:
    y = np.repeat([0, 1, 2], [600, 300, 100])
    rest, taken = stratified(y, 50, np.random.default_rng(3))
    assert np.array_equal(np.sort(np.concatenate([rest, taken])), np.arange(1000))
    assert np.bincount(y[taken]).tolist() == [30, 15, 5]


def test_stratified_depends_on_the_generator_alone() -> None:
    y = np.repeat([0, 1], 50)
    first, again, other = (stratified(y, 20, np.random.default_rng(s))[1] for s in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("take", [0, 4, 5])
def test_a_split_that_leaves_nothing_is_refused(take: int) -> None:
    with pytest.raises(DataError, match="of 4 samples"):
        stratified(np.array([0, 1, 0, 1]), take, np.random.default_rng(0))


def test_digest_sees_shape_type_and_content_but_not_memory_order() -> None:
    a = np.arange(6).reshape(2, 3)
    assert digest(a) == digest(np.asfortranarray(a))
    assert len({digest(a), digest(a.reshape(3, 2)), digest(a.astype(np.int32)), digest(a + 1)}) == 4
