"""P-DARTS: stages of growing depth over fewer options, dropout behind skips, few skips."""

from __future__ import annotations

import copy
import json
import math

import pytest
import torch

from engine.architecture import Option
from engine.data.spec import DataSpec
from engine.errors import CannotBuild
from engine.spaces.base import SearchSpace, space_of
from engine.spaces.darts import Darts
from engine.supernets.nets.progressive import DECAY, at_depth
from engine.supernets.nets.staged import split
from tests.engine.spaces.specs import data_spec
from tests.engine.supernets.nets.tiny import at, batch, tiny_learner, tiny_space

IMAGES: DataSpec = data_spec((1, 8, 8), n_classes=3)


def through(learner, epochs: int, begin: int = 0):
    """Some epochs of a single step."""
    for epoch in range(begin, epochs):
        learner.begin_epoch(epoch)
        learner.step(at(epoch, epoch), batch(seed=epoch), batch(seed=epoch + 50))
        learner.end_epoch(epoch)
    return learner


@pytest.mark.parametrize(
    ("epochs", "bounds"), [(75, (0, 25, 50, 75)), (10, (0, 3, 7, 10)), (3, (0, 1, 2, 3)), (2, (0, 1, 2)), (1, (0, 1))]
)
def test_epochs_are_split_among_stages(epochs, bounds):
    assert split(epochs, 3) == bounds


def test_no_stage_is_empty():
    for epochs in range(1, 60):
        bounds = split(epochs, 3)
        assert bounds[0] == 0 and bounds[-1] == epochs and list(bounds) == sorted(set(bounds))


def test_depths_are_those_of_the_paper():
    """5, 11 and 17 of 20 layers in the DARTS space; cells a stage in NAS-Bench-201's."""
    darts = space_of(Darts, Darts.Options(), data_spec((3, 32, 32)))
    assert [at_depth(darts, share).options.layers for share in (0.25, 0.55, 0.85)] == [5, 11, 17]
    short = space_of(Darts, Darts.Options(layers=5, channels=4), IMAGES)
    assert [at_depth(short, share).options.layers for share in (0.25, 0.55, 0.85)] == [3, 3, 4]
    for cells, depths in ((5, [1, 3, 4]), (3, [1, 2, 3]), (1, [1, 1, 1])):
        assert [at_depth(tiny_space(cells=cells), s).options.cells for s in (0.25, 0.55, 0.85)] == depths


def test_each_stage_is_deeper_and_has_fewer_options():
    learner = tiny_learner("p_darts", space={"cells": 3}, epochs=6)
    seen = []
    for epoch in range(6):
        through(learner, epoch + 1, epoch)
        cells = {s.id.split("_edge")[0] for s in learner.mixture.slots}
        seen.append((len(cells) // 3, {len(t.options) for t in learner.mixture.tables}, learner.views().get("note")))
    assert [s[:2] for s in seen] == [(1, {5})] * 2 + [(2, {3})] * 2 + [(3, {2})] * 2
    assert [bool(s[2]) for s in seen] == [True, False] * 3
    assert "stage 2 of 3: 3 options side by side, cells 2" in seen[2][2]


def test_the_strongest_options_stay_and_the_rest_begins_anew():
    learner = through(tiny_learner("p_darts", epochs=6, alpha_rate=0.1), 2)
    strong = {
        t.name: [o for _, o in sorted(zip(learner.alphas[t.name].tolist(), t.options, strict=True), reverse=True)[:3]]
        for t in learner.mixture.tables
    }
    old, adam = learner.bank, learner.adam
    learner.begin_epoch(2)
    for table in learner.mixture.tables:
        assert set(table.options) == set(strong[table.name])
        assert list(table.options) == [
            o for o in tiny_space().mixture().by_name[table.name].options if o in table.options
        ]
    assert learner.bank is not old and learner.adam is not adam and not learner.adam.state and not learner.sgd.buffers
    mine, before = (dict(b.named_parameters())["blocks.0.weight"] for b in (learner.bank, old))
    assert not torch.equal(mine, before), "not the first stage's initial weights either"
    gone = next(o for o in tiny_space().mixture().by_name["edge0_1"].options if o not in strong["edge0_1"])
    choices = {t.name: t.options[-1] for t in learner.mixture.tables}
    arch = learner.space.validate({**choices, "edge0_1": gone})
    with pytest.raises(CannotBuild, match=f"edge0_1: {gone} was dropped"):
        learner.run(arch, batch()[0])


def test_pruning_is_that_of_a_restricted_space():
    """Where decisions are the tables, a restricted space has the same mixture."""
    learner = through(tiny_learner("p_darts", epochs=3), 2)
    restricted = tiny_space().restrict(learner.kept)
    assert restricted.mixture(norm_pools=True) == learner.mixture


@pytest.mark.parametrize("epochs_done", [1, 3, 5])
def test_a_checkpoint_of_any_stage_goes_on(epochs_done):
    """Tensors and JSON bring back stage, options, weights, alphas and optimizers; what follows agrees bit for bit."""
    learner = through(tiny_learner("p_darts", epochs=6, frozen=0.0), epochs_done)
    tensors = {n: t.clone() for n, t in learner.tensors().items()}
    about = json.loads(json.dumps(copy.deepcopy(learner.about())))
    assert about["stage"] == learner.stage == (epochs_done - 1) // 2
    again = tiny_learner("p_darts", epochs=6, frozen=0.0)
    again.restore(tensors, about)
    for one in (learner, again):  # inside an epoch: begin_epoch is not called
        one.step(at(40, epochs_done - 1), batch(seed=7), batch(seed=8))
        through(one, 6, epochs_done)
    assert list(learner.tensors()) == list(again.tensors())
    assert all(torch.equal(t, again.tensors()[n]) for n, t in learner.tensors().items())
    assert learner.about() == again.about() and learner.derived() == again.derived()


def test_the_learning_rate_falls_once_a_stage():
    learner = tiny_learner("p_darts", epochs=6)
    steps = 6 * 4
    rates = []
    for epoch in range(6):
        learner.begin_epoch(epoch)
        rates += [learner.rate(epoch * 4 + i, steps) for i in range(4)]
    assert [r == pytest.approx(0.025) for r in rates] == [i % 8 == 0 for i in range(24)]
    assert rates[:8] == rates[8:16] == rates[16:] and rates[:8] == sorted(rates[:8], reverse=True)


def test_dropout_grows_by_stage_and_decays_within():
    """Published: 0.0, 0.4, 0.7; linear while alphas stay (10 of 25 epochs), then from the full rate by exp(-0.2)."""
    learner = tiny_learner("p_darts", epochs=75)
    rates = [learner.dropout(e) for e in range(75)]
    assert rates[:25] == [0.0] * 25
    for first, full in ((25, 0.4), (50, 0.7)):
        published = [full * (24 - e) / 25 for e in range(10)] + [full * math.exp(-0.2 * e) for e in range(15)]
        assert rates[first : first + 25] == pytest.approx(published)
    assert DECAY == 0.2 * 15
    assert [learner.frozen(e) for e in range(25)] == [True] * 10 + [False] * 15


def test_dropout_behind_skips_keeps_the_expectation():
    learner = through(tiny_learner("p_darts", epochs=6, dropout=0.5, frozen=0.0), 5)
    slot = learner.mixture.slots[0]
    out = torch.full((64, 4, 8, 8), 2.0)
    assert torch.equal(learner.dropped(slot, "skip_connect", out), out), "only within a step"
    learner._masks = 0.5, torch.Generator().manual_seed(0)
    dropped = learner.dropped(slot, "skip_connect", out)
    n = out.numel()
    assert set(dropped.unique().tolist()) == {0.0, 4.0}
    assert float(dropped.mean()) == pytest.approx(2, abs=4 * 2 / n**0.5)
    assert torch.equal(learner.dropped(slot, "nor_conv_3x3", out), out)


def test_masks_come_from_seed_step_and_turn():
    learner = tiny_learner("p_darts", epochs=1, dropout=0.5, frozen=0.0)
    x, _ = batch()
    with torch.no_grad():
        for table in learner.mixture.tables:
            learner.alphas[table.name][table.options.index("skip_connect")] = 5.0
        one, turned, later, again = (learner.logits(x, at(*w)) for w in ((0, 0, 0), (0, 0, 1), (1, 0, 0), (0, 0, 0)))
    assert torch.equal(one, again)
    assert not torch.equal(one, turned) and not torch.equal(one, later)


def test_at_most_two_skips_are_derived():
    learner = tiny_learner("p_darts")
    strong = {t.name: 6.0 - i for i, t in enumerate(learner.mixture.tables)}
    with torch.no_grad():
        for table in learner.mixture.tables:
            alpha = learner.alphas[table.name]
            alpha[table.options.index("skip_connect")] = strong[table.name]
            alpha[table.options.index("nor_conv_3x3")] = 0.5
    (derived,) = learner.derived()
    skips = [name for name, o in derived.choices.items() if o == "skip_connect"]
    assert skips == sorted(strong, key=lambda n: -strong[n])[:2]
    assert all(o == "nor_conv_3x3" for n, o in derived.choices.items() if n not in skips)


def test_the_darts_space_is_searched_to_its_end():
    """Two kinds of cells, stride 2, an edge's table per kind; options of an edge differ from edge to edge."""
    space: SearchSpace = space_of(Darts, Darts.Options(channels=4, layers=6, steps=(2,)), IMAGES)
    learner = tiny_learner("p_darts", bound=space, epochs=3)
    through(learner, 3)
    sizes: set[tuple[Option, ...]] = {t.options for t in learner.mixture.tables}
    assert {len(o) for o in sizes} == {3} and len(sizes) > 1
    assert learner.space.options.layers == 5
    derived = learner.derived()[0]
    assert space.validate(derived.choices) == derived
    assert learner.run(derived, batch()[0]).shape == (8, 3)
