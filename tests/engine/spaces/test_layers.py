"""The `layers` space: its size, its conditions, its bounds, and the network of the pictures."""

from __future__ import annotations

import time

import numpy as np
import pytest

from engine.config import SearchConfig
from engine.errors import InvalidArchitecture, InvalidConfig
from engine.network.picture import picture
from engine.spaces.layers import Layers, LayersOptions

from .specs import DIGITS, PHOTOS, SIGNAL, data_spec

SPACE = Layers(LayersOptions()).bind(DIGITS)
KNOWN = {
    "depth": 5, "width": 48, "pool": "avg", "widen": 2, "norm": "batch", "activation": "silu", "dense": 128,
    "dropout": 0.2, "block1_op": "conv5", "block1_skip": True, "block2_op": "sep5", "block2_skip": False,
    "block3_op": "conv3", "block3_skip": True, "block4_op": "sep3", "block4_skip": True, "block5_op": "sep3",
    "block5_skip": True,
}  # fmt: skip


def test_size_is_the_sum_over_depths():
    assert SPACE.size() == 4 * 2 * 2 * 3 * 3 * 3 * 4 * sum(8**d for d in (3, 4, 5, 6)) == 517_570_560
    assert len(SPACE.all_decisions()) == 20
    rng = np.random.default_rng(0)
    assert {len(SPACE.sample(rng).items) for _ in range(100)} == {14, 16, 18, 20}


def test_known_network_has_its_known_costs():
    """Counted by hand: conv k: in*out*k*k + 2 out for the norm; separable: in*k*k + in*out + 2 out; dense with bias."""
    costs = SPACE.costs(SPACE.validate(KNOWN))
    convs = 9 * 48 + 25 * 48 * 48 + (25 * 48 + 48 * 48) + 9 * 48 * 96 + (9 * 96 + 96 * 96) + (9 * 96 + 96 * 192)
    norms = 2 * (48 * 3 + 96 * 2 + 192)
    projections = 48 * 96 + 96 * 192
    dense = 192 * 128 + 128 + 128 * 10 + 10
    assert costs.n_params == convs + norms + projections + dense == 182_474
    assert costs.n_macs == 5_013_632


def test_drawing_of_the_known_network():
    drawn = picture(SPACE.plan(SPACE.validate(KNOWN)))
    assert drawn["caption"] == "each convolution is followed by batch norm and silu, the dense layer by silu"
    words = [f"{n['title']} {n['detail']}".strip() for n in drawn["nodes"]]
    assert words == [
        "image", "conv 3×3", "conv 5×5", "add", "separable 5×5", "avg 2×2", "conv 3×3", "conv 1×1", "add",
        "separable 3×3", "add", "avg 2×2", "separable 3×3", "conv 1×1", "add", "global avg", "dense 128",
        "dropout 0.2", "linear 10",
    ]  # fmt: skip
    assert [n["dashed"] for n in drawn["nodes"]].count(True) == 1
    assert {"source": "stem_conv", "target": "block1_add"} in drawn["edges"]  # the skip


def test_blocks_exist_only_up_to_the_depth():
    with pytest.raises(InvalidArchitecture, match="block6_op: does not act"):
        SPACE.validate({**KNOWN, "block6_op": "conv3"})
    with pytest.raises(InvalidArchitecture, match="block6_op: nothing chosen"):
        SPACE.validate({**KNOWN, "depth": 6})
    with pytest.raises(InvalidArchitecture, match="block1_skip: received '1'"):
        SPACE.validate({**KNOWN, "block1_skip": 1})  # 1 is not True


def test_pooling_stops_before_two_pixels_are_gone():
    deep = Layers(LayersOptions(depth=(8,), pool_after=(1, 2, 3, 4, 5, 6, 8)))
    assert deep.bind(DIGITS).pools(8) == (1, 2)  # 8 -> 4 -> 2
    assert deep.bind(data_spec((1, 28, 28))).pools(8) == (1, 2, 3)  # 28 -> 14 -> 7 -> 3
    assert deep.bind(data_spec((1, 512, 512))).pools(8) == (1, 2, 3, 4, 5, 6)  # nothing follows block 8
    for shape in ((1, 1, 1), (1, 2, 3), (3, 3, 64)):
        bound = deep.bind(data_spec(shape))
        bound.plan(bound.sample(np.random.default_rng(0)))


def test_without_pooling_its_decisions_do_not_act():
    flat = Layers(LayersOptions(pool_after=())).bind(DIGITS)
    assert not {"pool", "widen"} & {d.name for d in flat.all_decisions()}
    assert flat.size() * 4 == SPACE.size()


def test_same_network_same_key():
    one = Layers(LayersOptions(depth=(2, 3))).bind(DIGITS)
    keys = {one.canonical_key(a) for a in (one.sample(np.random.default_rng(i)) for i in range(200))}
    assert len(keys) > 150
    arch = SPACE.validate(KNOWN)
    near = SPACE.neighbours(arch)
    assert len({SPACE.canonical_key(a) for a in [arch, *near]}) == len(near) + 1


def test_words():
    arch = SPACE.validate(KNOWN)
    change = lambda **new: SPACE.describe_change(arch, SPACE.validate({**KNOWN, **new}))  # noqa: E731
    assert change(block5_op="sep5") == "block 5 separable 3×3 → separable 5×5"
    assert change(block2_skip=True) == "skip of block 2 added"
    assert change(block1_skip=False) == "skip of block 1 removed"
    assert change(dense=0, dropout=0.0) == "dense layer 128 → none, dropout 0.2 → 0"
    assert change(widen=1) == "widening ×2 → ×1"
    shallow = SPACE.validate({k: v for k, v in KNOWN.items() if not k.startswith("block5")} | {"depth": 4})
    assert SPACE.describe_change(arch, shallow) == "depth 5 → 4"
    assert ("block 5 operation", "separable 3×3", "–") in SPACE.difference(arch, shallow)
    assert SPACE.short_name(arch) == "5×sep3/conv3+2-48×2 skip4"
    signal = Layers(LayersOptions()).bind(SIGNAL)
    assert signal.format("block1_op", "conv5") == "conv 5"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("width", [10**9], "less than or equal to 4096"),
        ("depth", [10**6], "less than or equal to 64"),
        ("depth", [], "at least one option"),
        ("depth", [0], "greater than or equal to 1"),
        ("width", [16, 16], "each option once"),
        ("width", [float("nan")], "finite"),
        ("operation", ["conv9"], "conv3"),
        ("dropout", [1.5], "between 0 and 0.9"),
        ("dense", [10**9], "between 0"),
        ("widen", [16], "1, 2 or 4"),
        ("colour", ["red"], "not permitted"),
    ],
)
def test_bad_options_are_errors_at_their_field(option, value, says):
    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "layers", option: value}})
    found = {(path[:2], says in text) for path, text in e.value.errors if path[0] == "space"}
    assert found == {(("space", option), True)}


def test_channels_behind_the_last_pooling_are_bounded_too():
    with pytest.raises(InvalidConfig) as e:
        SearchConfig.parse({"name": "x", "space": {"name": "layers", "width": [4096], "widen": [2]}})
    assert [(p, "16,384" in text) for p, text in e.value.errors if p[0] == "space"] == [(("space", "widen"), True)]


def test_suggestions_are_valid():
    for data in (DIGITS, PHOTOS, SIGNAL, data_spec((3, 32, 32)), data_spec((3, 224, 224))):
        LayersOptions(**Layers.suggested(data))


def test_a_form_full_of_samples_takes_less_than_a_second():
    rng = np.random.default_rng(1)
    space = Layers(LayersOptions()).bind(DIGITS)
    start = time.perf_counter()
    archs = [space.sample(rng) for _ in range(256)]
    for arch in archs:
        space.costs(arch)
    assert time.perf_counter() - start < 1
