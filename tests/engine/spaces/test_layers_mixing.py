"""Operations of layer sequences side by side; that a path is the network of a plan is in the contract tests."""

from __future__ import annotations

import numpy as np
import pytest

from engine.errors import CannotBuild
from engine.spaces.base import space_of
from engine.spaces.layers import Layers

from .specs import CIFAR, DIGITS

SETTLED = {
    "depth": [3], "width": [6], "pool_after": [1], "pool": ["max"], "widen": [2], "norm": ["batch"],
    "activation": ["relu"], "dense": [0], "dropout": [0.0], "operation": ["conv3", "sep5"],
}  # fmt: skip


def layers(data=DIGITS, **options) -> Layers:
    return space_of(Layers, Layers.Options(**{**SETTLED, **options}), data)


def test_a_block_is_a_slot_over_operations_with_and_without_skip():
    space = layers()
    mixture = space.mixture()
    assert [t.name for t in mixture.tables] == ["block1_op", "block2_op", "block3_op"]
    assert mixture.tables[0].options == ("conv3", "conv3+skip", "sep5", "sep5+skip")
    assert layers(skip=[True]).mixture().tables[0].options == ("conv3", "sep5")
    assert space.format("block2_op", "sep5+skip") == "separable 5×5 with a skip"
    # the pooling stands once, behind the slot
    assert [p.id for p in mixture.parts if p.id == "pool1"] == ["pool1"]


def test_what_is_derived_is_the_strongest_of_each_block():
    space, rng = layers(), np.random.default_rng(0)
    for _ in range(10):
        rows = {t.name: dict(zip(t.options, rng.random(len(t.options)), strict=True)) for t in space.mixture().tables}
        arch = space.derive(rows)
        assert space.validate(arch.choices) == arch
        assert space.chosen(arch) == {name: max(row, key=row.get) for name, row in rows.items()}


def test_a_block_with_one_option_is_no_slot():
    space = layers().restrict({"block2_op": ["sep5"], "block2_skip": [True]})
    assert [t.name for t in space.mixture().tables] == ["block1_op", "block3_op"]
    assert space.derive({})["block2_skip"] is True


def test_strides_and_options_that_give_one_shape():
    for data in (DIGITS, CIFAR):
        slots = layers(data, stride=[2], operation=["conv3", "conv7", "sep3", "conv1", "max3", "avg3"]).mixture().slots
        assert all(len(s.alternatives) == 12 for s in slots)


def test_what_is_open_is_named():
    with pytest.raises(CannotBuild, match="keep one option of each of these: depth 2, 3; width 6, 8; norm batch, none"):
        layers(depth=[2, 3], width=[6, 8], norm=["batch", "none"]).mixture()
    assert "; and " in space_of(Layers, Layers.Options(), DIGITS).unmixed()
    with pytest.raises(CannotBuild, match="reads several"):
        layers(connections="any", skip=[True]).mixture()
    assert layers(connections="any", skip=[False]).unmixed() is None
    with pytest.raises(CannotBuild, match="without partial channels"):
        layers().mixture(partial=2)
