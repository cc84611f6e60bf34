"""Once-for-All and BigNAS: what a step adds up, what a stage draws, the teacher, and the best within each limit."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from engine import catalog
from engine.conductor import Edit, Launch
from engine.errors import Interrupted
from engine.supernets import _shrinking as shrinking
from engine.supernets._tiers import Tier, by_turns
from engine.supernets.nets.learner import At
from engine.supernets.nets.shrinking import soft_loss
from tests.engine.driving import Driver, config
from tests.engine.spaces.specs import DIGITS
from tests.engine.supernets.small import (
    SPACES,
    assert_same,
    everything,
    never,
    options_of,
    quiet,
    space_of,
    trainer_of,
)


def batch(n=12):
    generator = torch.Generator().manual_seed(5)
    return torch.randn(n, 1, 8, 8, generator=generator), torch.randint(0, 3, (n,), generator=generator)


def gradients(learner):
    return {n: p.grad.clone() for n, p in learner.bank.named_parameters() if p.grad is not None}


class Kept:
    """Stands for the optimizer: keeps the gradients and changes nothing."""

    def __init__(self, learner):
        self.learner, self.grads = learner, {}

    def step(self, parameters, rate):
        self.grads = gradients(self.learner)
        for p in self.learner.bank.parameters():
            p.grad = None


def learner_of(**options):
    learner = trainer_of("ofa", "mobile", **options).learner
    learner.bank.train()
    learner.sgd = Kept(learner)
    return learner


# -- sandwich -----------------------------------------------------------------------------------------
def test_a_sandwich_step_adds_up_the_gradients_of_largest_smallest_and_random():
    learner, (x, y), at = learner_of(subnets=2, distillation=0.7), batch(), At(0, 3, 0.1)
    out = learner.step(at, (x, y), None)
    mine = learner.sgd.grads

    paths = learner.sample(learner.rng(3))
    assert len(paths) == 4
    teacher = learner.run(paths[0], x)
    hard = learner.loss(teacher, y)
    q = teacher.detach().softmax(1)
    soft = [-(q * learner.run(p, x).log_softmax(1)).sum(1).mean() for p in paths[1:]]
    (hard + 0.7 * sum(soft)).backward()
    by_hand = gradients(learner)
    assert mine.keys() == by_hand.keys()
    for name, g in by_hand.items():
        assert torch.allclose(mine[name], g, atol=1e-6), name
    assert torch.isclose(out["loss"], hard) and torch.isclose(out["subnet_loss"], 0.7 * sum(soft) / 3)


def test_a_sandwich_without_distillation_learns_from_labels_alone():
    learner, (x, y) = learner_of(subnets=0, distillation=0), batch()
    learner.step(At(0, 0, 0.1), (x, y), None)
    mine = learner.sgd.grads
    sum(learner.loss(learner.run(p, x), y) for p in learner.sample(learner.rng(0))).backward()
    for name, g in gradients(learner).items():
        assert torch.allclose(mine[name], g, atol=1e-6), name


def test_soft_targets_send_no_gradient_to_the_teacher():
    teacher, logits = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    soft_loss(logits, teacher).backward()
    assert teacher.grad is None
    assert torch.allclose(logits.grad, (logits.softmax(1) - teacher.softmax(1)).detach() / 4, atol=1e-6)


def test_the_ends_of_the_sandwich_are_the_largest_and_the_smallest_network():
    space, rng = space_of("mobile"), np.random.default_rng(0)
    macs = [space.costs(a).n_macs for a in space.enumerate()]
    assert space.costs(shrinking.largest(space, rng)).n_macs == max(macs)
    assert space.costs(shrinking.smallest(space, rng)).n_macs == min(macs)


# -- stages -------------------------------------------------------------------------------------------
def mobile(**options):
    cls = catalog.get("space", "mobile")
    base = {"stages": [{"width": [6, 8, 10], "depth": [1, 2, 3]}], "kernel": [3, 5, 7], "expansion": [2, 3, 4],
            "se": [False, True]}  # fmt: skip
    return cls(cls.Options(**{**base, **options})).bind(DIGITS)


OPENED = {
    "the largest network": {"kernel": {7}, "depth": {3}, "width": {10}, "expansion": {4}},
    "elastic kernel": {"kernel": {3, 5, 7}, "depth": {3}, "width": {10}, "expansion": {4}},
    "elastic depth, the two largest": {"kernel": {3, 5, 7}, "depth": {2, 3}, "width": {10}, "expansion": {4}},
    "elastic depth": {"kernel": {3, 5, 7}, "depth": {1, 2, 3}, "width": {10}, "expansion": {4}},
    "elastic width, the two largest": {
        "kernel": {3, 5, 7}, "depth": {1, 2, 3}, "width": {8, 10}, "expansion": {3, 4}
    },
    "elastic width": {"kernel": {3, 5, 7}, "depth": {1, 2, 3}, "width": {6, 8, 10}, "expansion": {2, 3, 4}},
}  # fmt: skip


def test_a_stage_draws_exactly_what_it_opens():
    space, rng = mobile(), np.random.default_rng(1)
    stages = shrinking.stages_of(space)
    assert [s.name for s in stages] == list(OPENED) and [s.subnets for s in stages] == [1, 1, 2, 2, 4, 4]
    for stage in stages:
        drawn = [shrinking.within(space, stage, rng) for _ in range(150)]
        seen: dict[str, set] = {}
        for a in drawn:
            for name, option in a.items:
                seen.setdefault(name.rsplit("_", 1)[-1], set()).add(option)
        assert seen.pop("se") == {False, True}  # no size: drawn in all stages
        assert seen == OPENED[stage.name]


def test_stages_that_change_nothing_are_left_out():
    space = mobile(kernel=[3], stages=[{"width": [6, 8], "depth": [1, 2]}], expansion=[2])
    assert [s.name for s in shrinking.stages_of(space)] == ["the largest network", "elastic depth", "elastic width"]


def test_an_epoch_belongs_to_the_stage_in_which_its_middle_lies():
    stages = [replace(shrinking.STAGES[0], share=s, name=n) for n, s in (("a", 1), ("b", 2), ("c", 1))]
    assert "".join(shrinking.stage_at(stages, e, 8).name for e in range(8)) == "aabbbbcc"
    assert "".join(shrinking.stage_at(stages, e, 3).name for e in range(3)) == "abc"
    assert shrinking.stage_at(stages, 0, 1).name == "a"  # there is a teacher, or nobody who needs one


def test_names_stand_for_sizes_where_they_are_scales_alone():
    space = space_of("macro")
    roles = {d.name: shrinking.role_of(d) for d in space.all_decisions()}
    assert roles["depth"] == "depth" and not roles["block1_op"] and not roles.get("dropout", "")


# -- progressive --------------------------------------------------------------------------------------
PROGRESSIVE = {"training": "progressive", "epochs": 4}


def test_a_progressive_step_adds_up_labels_and_the_teachers_answers():
    learner, (x, y) = learner_of(**PROGRESSIVE, distillation=0.5), batch()
    assert learner.stage(0).name == "the largest network" and learner.stage(3).name.startswith("elastic")
    learner.begin_epoch(0)
    assert learner.teacher is None and "subnet_loss" not in learner.step(At(0, 0, 0.1), (x, y), None)
    learner.begin_epoch(3)
    teacher = {n: t.clone() for n, t in learner.teacher.named_weights()}
    with torch.no_grad():
        for p in learner.bank.parameters():
            p.add_(0.05)
    learner.bank.train()
    learner.step(At(3, 9, 0.1), (x, y), None)
    mine = learner.sgd.grads
    assert not any(p.requires_grad for p in learner.teacher.parameters())
    assert all(torch.equal(t, teacher[n]) for n, t in learner.teacher.named_weights())  # statistics, too

    rng = learner.rng(9)
    paths = learner.sample(rng)
    q = learner._taught(shrinking.largest(learner.space, rng), x).softmax(1)
    total = 0
    for p in paths:
        logits = learner.run(p, x)
        total = total + learner.loss(logits, y) - 0.5 * (q * logits.log_softmax(1)).sum(1).mean()
    total.backward()
    for name, g in gradients(learner).items():
        assert torch.allclose(mine[name], g, atol=1e-6), name


def test_each_stage_is_noted_where_it_begins():
    trainer = trainer_of("ofa", "mobile", **PROGRESSIVE)
    trainer.run(quiet, never)
    notes = [row.get("note") for row in trainer.progress.rows]
    stages = [trainer.learner.stage(e).name for e in range(4)]
    assert notes == [f"stage: {s}" if not i or s != stages[i - 1] else None for i, s in enumerate(stages)]


@pytest.mark.parametrize("after", [1, 6, 11, 17])  # in the first stage, in later ones
def test_a_training_resumed_inside_a_stage_equals_one_that_was_not_interrupted(tmp_path, after):
    options = {**PROGRESSIVE, "kernel_transform": True}
    whole = trainer_of("ofa", "mobile", **options)
    whole.run(quiet, never)
    steps = iter(range(10_000))
    first = trainer_of("ofa", "mobile", **options)
    with pytest.raises(Interrupted):
        first.run(quiet, lambda: "pause" if next(steps) == after else None, tmp_path / "s.safetensors")
    again = trainer_of("ofa", "mobile", **options)
    again.restore(tmp_path / "s.safetensors")
    again.run(quiet, never)
    assert_same(everything(again), everything(whole))


# -- limits -------------------------------------------------------------------------------------------
def test_the_best_of_each_tier_comes_first():
    tiers = [Tier.of("n_macs", 2e6), Tier.of("n_macs", 4e6)]
    found, best = by_turns([["a", "b"], ["a", "c", "d"]], tiers, str)
    assert found == ["a", "b", "c", "d"] and best == {"a": "2 M multiply-adds and 4 M multiply-adds"}


def searched(tiers, trials=6):
    """A search whose results are played."""
    strategy = {"name": "ofa", **options_of("ofa", tiers=tiers, scores=20, search="random")}
    driver = Driver(config(strategy=strategy, space=SPACES["mobile"], evaluator="trained", budget={"trials": trials}))
    driver.tell(Edit("start"))
    return driver.all()


def test_the_best_within_each_limit_is_trained_alone_and_is_a_winner():
    space = searched([]).conductor.strategy.context.space
    macs = sorted({space.costs(a).n_macs for a in space.enumerate()})
    tiers = [float(macs[len(macs) // 4]), float(macs[len(macs) // 2]), float(macs[-1])]
    recorded = searched(tiers)
    strategy, launches = recorded.conductor.strategy, [a for a in recorded.of(Launch) if a.kind == "score"]
    for launch in launches[:3]:
        most = next(t for t in tiers if Tier.of("n_macs", t).words in launch.why)
        assert all(space.costs(space.validate(c)).n_macs <= most for c in launch.payload["architectures"])
    mine = [e for e in recorded.conductor.history if e.proposal.by == "ofa"]
    for most in tiers:
        words = Tier.of("n_macs", most).words
        (best,) = [e for e in mine if words in e.proposal.why]
        assert space.costs(best.architecture).n_macs <= most
    rows = strategy.views()["tiers"]["rows"]
    assert [r[0] for r in rows] == [Tier.of("n_macs", t).words for t in tiers] and all(r[1] for r in rows)
    for (_, number, *_), most in zip(rows, tiers, strict=True):
        within = [e for e in recorded.conductor.history if space.costs(e.architecture).n_macs <= most]
        level = recorded.conductor.history.top
        assert recorded.conductor.history[number].values[level] == min(e.values[level] for e in within)
    assert set(recorded.finish.winners) >= {r[1] for r in rows}
    assert recorded.finish.winners[0] == recorded.conductor.best().number


def test_without_limits_there_is_one_search_and_no_table():
    recorded = searched([])
    assert "tiers" not in recorded.conductor.strategy.views() and not recorded.conductor.strategy.winners()


def test_limits_are_numbers_above_zero_in_order():
    options = catalog.get("strategy", "ofa").Options
    assert options(tiers=[3e6, 1e6, 3e6]).tiers == (1e6, 3e6)
    with pytest.raises(ValidationError, match="above 0"):
        options(tiers=[0.0])
