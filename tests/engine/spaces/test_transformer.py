"""Encoders: published size, elastic weights, padding, heads that divide, notation."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from pydantic import ValidationError

from engine.errors import InvalidArchitecture
from engine.spaces._shared.sequence_stems import strides
from engine.spaces.base import space_of
from engine.spaces.transformer import Transformer, TransformerOptions

from .specs import DIGITS, SIGNAL, TEXT, data_spec

PRESETS = {p.name: dict(p.options) for p in Transformer.presets}


def made(data=TEXT, **options) -> Transformer:
    return Transformer(TransformerOptions(**options)).bind(data)


def test_the_tiny_vision_transformer_has_its_published_size():
    """DeiT-Ti at 224 pixels: 5,717,416 parameters, 1.3 G multiply-adds (Touvron et al. 2021, table 1: 5 M, 1.3 G)."""
    space = made(data_spec((3, 224, 224), 1000), **PRESETS["vit-tiny"]).restrict({"patch": [16], "dropout": [0.0]})
    (arch,) = space.enumerate()
    costs = space.costs(arch)
    assert costs.n_params == 5_717_416
    assert round(costs.n_macs / 1e9, 1) == 1.3


def test_the_size_is_that_of_brute_force():
    space = made(
        depth=(1, 3), width=(6, 8), operation=("attention", "gru"), heads=(3, 4), ratio=(0, 2), skips=True,
        position=("none",), activation=("relu",), dropout=(0.1,),
    )  # fmt: skip
    block = (1 + 1) * 2  # one head count divides each width
    expected = 2 * 2 * (block + block**3 * 2)
    assert space.size() == expected == sum(1 for _ in space.enumerate())


def test_heads_divide_the_width_also_under_restrictions():
    options = {"width": (36, 64), "heads": (3, 8), "operation": ("attention", "conv3"), "depth": (1, 2)}
    space = made(**options)
    rng = np.random.default_rng(0)
    for a in (space.sample(rng) for _ in range(100)):
        assert all(a["width"] % h == 0 for n, h in a.items if n.endswith("_heads"))
    only = space.restrict({"block1_op": ["attention"], "block1_heads": [8]})
    assert only.next({"depth": 1}).options == (64,)
    assert {only.sample(rng)["width"] for _ in range(20)} == {64}
    assert only.size() == sum(1 for _ in only.enumerate()) < space.size()
    # a width without heads keeps the other operations, or goes
    assert made(width=(10, 64), heads=(8,), operation=("attention", "gru")).next({"depth": 1}).options == (10, 64)
    assert made(width=(10, 64), heads=(8,), operation=("attention",)).next({"depth": 1}).options == (64,)
    with pytest.raises(ValidationError, match="none of 8 divides one of 10"):
        TransformerOptions(width=(10,), heads=(8,))


def test_larger_networks_hold_the_smaller_ones():
    """By name and shape in depth, as leading slices in width: what shared weights build on."""
    from engine.network.build import build

    space = made(position=("learned",), dropout=(0.1,), operation=("attention", "conv3", "sep5", "gru", "max3"))
    rng = np.random.default_rng(1)
    for _ in range(10):
        small = space.sample(rng)
        while small["depth"] == 4 or small["width"] == 128:
            small = space.sample(rng)
        wide = space.validate({**small.choices, "width": 128})
        deep = space.grow(small)[0]
        own, wider, deeper = (
            {n: tuple(t.shape) for n, t in build(space.plan(a)).state_dict().items()} for a in (small, wide, deep)
        )
        assert {n: deeper[n] for n in own} == own
        assert set(wider) == set(own)
        assert all(x <= y for n in own for x, y in zip(own[n], wider[n], strict=True))


@pytest.mark.parametrize("pool", ["mean", "max", "first"])
def test_padding_changes_nothing(pool):
    """Text with more padding behind it gives the same logits, whatever the blocks do."""
    import torch

    from engine.network.build import build

    every = ("attention", "conv1", "conv3", "conv7", "sep5", "gru", "lstm", "avg3", "max3")
    options = {"depth": (9,), "width": (16,), "position": ("sinusoidal",), "pool": (pool,), "operation": every,
               "ratio": (0, 2)}  # fmt: skip
    short, long = made(TEXT, **options), made(data_spec((17,), 6, vocabulary=40), **options)
    choices = {f"block{k}_op": op for k, op in enumerate(every, start=1)}
    arch = short.validate(
        {"depth": 9, "width": 16, "position": "sinusoidal", "activation": "gelu", "pool": pool, "dropout": 0.1,
         "block1_heads": 4, **choices, **{f"block{k}_ratio": 2 * (k % 2) for k in range(1, 10)}}
    )  # fmt: skip
    one, other = build(short.plan(arch), seed=1).eval(), build(long.plan(arch), seed=1).eval()
    x = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], [9, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        assert torch.allclose(one(x), other(torch.nn.functional.pad(x, (0, 6))), atol=1e-5)


def test_patches_cover_the_image_and_signals_become_short():
    space = made(data_spec((3, 18, 13), 7), patch=(2, 4, 16))
    assert space.patches() == (2, 4)
    for patch in (2, 4):
        arch = space.restrict({"patch": [patch]}).sample(np.random.default_rng(0))
        steps = space.plan(arch).shape_of("sequence")[1]
        assert steps >= -(-18 // patch) * -(-13 // patch)
    assert made(DIGITS, patch=(8, 16)).patches() == (8,)
    assert made(data_spec((3, 224, 224)), patch=(2, 4, 16)).patches() == (16,)
    assert strides(3000, 64) == (4, 4, 4) and strides(100, 64) == (2,) and strides(64, 64) == ()
    for length in (65, 100, 130, 3000, 16000):
        signal = made(data_spec((1, length)), steps=64)
        plan = signal.plan(signal.sample(np.random.default_rng(0)))
        kept = [n.shape[1] for n in plan.nodes if n.group == "stem"][-1]
        assert 16 < kept <= 64 and kept == length // prod(strides(length, 64))
    assert "convolutions /2" in made(SIGNAL).outline()["parts"][1]["detail"]


def test_skips_join_an_earlier_block():
    space = made(**PRESETS["textnas"])
    arch = space.sample(np.random.default_rng(3))
    plan = space.plan(arch)
    skips = {k: arch[f"block{k}_skip"] for k in range(3, 25)}
    assert any(skips.values()) and "block2_skip" not in arch.choices
    for k, skip in skips.items():
        joined = plan.by_id.get(f"block{k}_join")
        assert (joined is not None) is bool(skip)
        if joined is not None:
            assert joined.inputs == (f"block{k - 1}_mixed", f"block{skip}_mixed")


def test_notation():
    space = made(depth=(1, 2, 3), skips=True)
    text = "width=64 position=learned activation=gelu pool=mean dropout=0.1 / attention heads=4 ratio=2 / conv3 ratio=4"
    arch = space.read(text)
    assert arch["block1_heads"] == 4 and arch["depth"] == 2 and arch["dropout"] == 0.1
    assert space.write(arch) == text
    for bad, words in (
        (text.replace("heads=4", "heads=5"), "block1_heads: received '5'"),
        (text.replace("conv3", "conv4"), "block2_op"),
        (text.replace("width=64", "width"), "received 'width'"),
        (text.split(" / ")[0], "an encoder reads"),
        (text + " /", "block3_op"),
        (text.replace(" ratio=4", " ratio=4 skip=1"), "block2_skip"),
    ):
        with pytest.raises(InvalidArchitecture, match=words):
            space.read(bad)


def test_every_morphism_keeps_the_function_under_restriction_too():
    import torch

    from engine.data.arrays import example
    from engine.network.build import build
    from engine.network.inherit import inherit

    rng = np.random.default_rng(5)
    data = TEXT
    options = TransformerOptions(
        depth=(1, 2, 4), width=(8,), heads=(2,), ratio=(0, 1, 3), skips=True, pool=("mean", "first"), dropout=(0.1,),
        operation=("attention", "conv1", "conv3", "sep3", "sep7", "lstm", "avg3"), restrict={"block3_skip": [1, 0]},
    )  # fmt: skip
    space = space_of(Transformer, options, data)
    said = set()
    for seed in range(6):
        arch = space.sample(rng)
        parent = build(space.plan(arch), seed=seed).eval()
        x = torch.from_numpy(example(data, 6, rng))
        with torch.no_grad():
            for p in parent.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(seed)))
            expected = parent(x)
            for m in space.morphisms(arch):
                child = inherit(parent.state_dict(), space.plan(m.child), m.weights, seed=seed).eval()
                assert float((child(x) - expected).abs().max()) <= 1e-5 * max(1.0, float(expected.abs().max())), m.what
                said.add(m.what.split()[0])
    assert said == {"block", "blocks", "feed-forward", "window", "a"}
