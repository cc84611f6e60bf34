"""ENAS: two phases an epoch, a controller that learns by REINFORCE, what it derives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.strategies._controllers.net import Learner as Controller
from engine.strategies._controllers.net import reinforce
from engine.strategies._controllers.sequences import Grammar
from engine.supernets._drawn import within
from engine.supernets.nets.enas import EnasLearner
from engine.supernets.nets.learner import At
from engine.supernets.nets.training import SupernetTrainer
from tests.engine.supernets.small import RECIPE, data_of, never, quiet, setup_of, space_of, trainer_of


def enas(space: str = "cell", limits: Mapping[str, float] | None = None, **options) -> EnasLearner:
    """A learner whose training has told it of the held half."""
    learner = EnasLearner(replace(setup_of("enas", space, **options), limits=limits or {}))
    SupernetTrainer(learner, data_of(space), RECIPE, {})
    return learner


def batch_of(space: str = "cell") -> tuple[torch.Tensor, torch.Tensor]:
    data = data_of(space)
    return data.validation_x[:8], data.validation_y[:8]


def test_the_policy_gradient_in_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the bias of the head, whose logits are those of every step: - A (chosen - p) and the entropy's gradient."""
    grammar = Grammar(space_of("cell"))
    controller = Controller(grammar, hidden=5, squash=None, lr=0.1, rng=np.random.default_rng(0))
    drafts = controller.drafts(np.random.default_rng(1), 3, 1.0)
    monkeypatch.setattr(controller, "descend", lambda loss: loss.backward())
    advantages, weight = [0.3, -0.2, 0.5], 0.07
    reinforce(controller, [d.steps for d in drafts], advantages, weight)
    wanted = np.zeros(grammar.n_tokens + 1)
    for draft, advantage in zip(drafts, advantages, strict=True):
        for step, p in zip(draft.steps, draft.probabilities, strict=True):
            chosen = np.eye(len(p))[step.chosen]
            entropy = -(p * np.log(p)).sum()
            wanted[step.offered] -= (advantage * (chosen - p) - weight * p * (np.log(p) + entropy)) / 3
    assert np.allclose(controller.net.head.bias.grad.numpy(), wanted, atol=1e-6)


def test_the_baseline_is_a_moving_average_that_begins_with_the_first_reward() -> None:
    """By hand: b <- b + (1 - beta)(R - b)."""
    learner = enas(baseline=0.8)
    assert learner.advantages([0.5, 0.7]) == pytest.approx([0.0, 0.2])
    assert learner.baseline == pytest.approx(0.54)
    assert learner.advantages([0.44]) == pytest.approx([-0.1]) and learner.baseline == pytest.approx(0.52)


def test_it_learns_what_is_rewarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of one operation as reward: the controller comes to write hardly anything else, and to derive it."""
    learner = enas(controller_rate=0.01, samples=4, derive=10)

    def reward(architecture: Architecture, batch) -> float:
        return sum(o == "nor_conv_1x1" for o in architecture.choices.values()) / 6

    monkeypatch.setattr(learner, "reward", reward)
    first = learner.views()["tables"]["edge0_1"]
    for step in range(150):
        learner.held_step(At(0, step, 0.0), batch_of())
    tables = learner.views()["tables"]
    assert first["nor_conv_1x1"] < 0.3 and all(t["nor_conv_1x1"] > 0.7 for t in tables.values())
    derived = learner.derived()
    rewards = [reward(a, None) for a in derived]
    assert rewards[0] == 1.0 and rewards == sorted(rewards, reverse=True) and len(set(derived)) == len(derived)


def test_the_phases_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights move while the controller stands still, then the controller moves and no weight does."""
    trainer = trainer_of("enas", "cell", epochs=2, controller_steps=3)
    learner = trainer.learner
    seen: list[tuple[str, bool, bool]] = []

    def watched(name, run):
        def step(*args):
            weights = {n: t.clone() for n, t in learner.bank.named_parameters()}
            controller = learner.controller.arrays()["weights"]
            out = run(*args)
            now = dict(learner.bank.named_parameters())
            moved = any(not torch.equal(t, now[n]) for n, t in weights.items())
            seen.append((name, moved, not np.array_equal(controller, learner.controller.arrays()["weights"])))
            return out

        return step

    monkeypatch.setattr(learner, "step", watched("weights", learner.step))
    monkeypatch.setattr(learner, "held_step", watched("controller", learner.held_step))
    trainer.run(quiet, never)
    assert [name for name, *_ in seen] == (["weights"] * len(trainer.batches) + ["controller"] * 3) * 2
    assert not any(controller for name, _, controller in seen if name == "weights")
    assert not any(moved for name, moved, _ in seen if name == "controller")
    assert any(moved for name, moved, _ in seen if name == "weights") and learner.updates == 6
    row = trainer.progress.rows[-1]
    assert 0 <= row["reward"] <= 1 and 0 < row["entropy"] <= 1


def test_the_paths_of_an_epoch_are_the_controller_s() -> None:
    """Drawn from its policy as it stands, the same after a restart inside the epoch."""
    learner = enas()
    with torch.no_grad():
        learner.controller.net.head.bias[learner.grammar.first[0] + 1] = 50.0  # edge 0-1: its second option
    learner.controller.net.squash = None
    options = space_of("cell").all_decisions()[0].options
    paths = [learner._path(At(0, step, 0.1)) for step in range(learner.steps)]
    assert {a["edge0_1"] for a in paths} == {options[1]}
    again = enas()
    again.restore(learner.tensors(), learner.about())
    again.controller.net.squash = None
    assert [again._path(At(0, step, 0.1)) for step in range(learner.steps)] == paths


def test_probabilities_are_those_of_the_policy_where_nothing_hangs_together() -> None:
    """Against the frequencies of many drafts; conditional decisions count where they came up."""
    for space in ("cell", "macro"):
        learner = enas(space)
        tables = learner.views()["tables"]
        drafts = learner.controller.drafts(np.random.default_rng(0), 600, 1.0)
        for name, row in tables.items():
            assert sum(row.values()) == pytest.approx(1, abs=1e-3)
            counts = Counter(str(d.architecture[name]) for d in drafts if name in d.architecture.choices)
            total = sum(counts.values())
            for option, p in row.items():
                assert abs(counts[option] / total - p) < 0.12


def test_what_cannot_be_built_earns_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither trained nor derived."""
    learner = enas()
    bad = space_of("cell").all_decisions()[0].options[0]
    planned = learner.space.planned

    def refuse(architecture: Architecture):
        if architecture["edge0_1"] == bad:
            raise CannotBuild("no")
        return planned(architecture)

    monkeypatch.setattr(learner.space, "planned", refuse)
    a = space_of("cell").sample(np.random.default_rng(0))
    assert learner.reward(learner.space.validate({**a.choices, "edge0_1": bad}), batch_of()) == 0.0
    assert all(p["edge0_1"] != bad for p in learner.paths(30, np.random.default_rng(0)))
    assert all(p["edge0_1"] != bad for p in learner.derived())


def test_the_reward_is_the_accuracy_on_the_batch() -> None:
    """By hand, with norms on the statistics of the batch and without dropout; nothing is changed by looking."""
    learner = enas("macro")
    x, y = batch_of("macro")
    a = space_of("macro").sample(np.random.default_rng(2))
    rewards = {learner.reward(a, (x, y)) for _ in range(3)}
    learner.bank.train()
    for module in learner.bank.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()
    for module in learner.bank._plain.values():
        module.eval()
    with torch.no_grad():
        assert rewards == {float((learner.run(a, x).argmax(1) == y).float().mean())}


@pytest.mark.parametrize("space", ["macro", "cell", "darts", "recurrent", "mobile"])
def test_every_kind_of_space_is_one_process_of_decisions(space: str) -> None:
    """Whole networks, cells, recurrent cells, blocks of a phone: trained, looked at and derived alike."""
    trainer = trainer_of("enas", space, epochs=1, controller_steps=2, derive=3)
    trainer.run(quiet, never)
    bound = space_of(space)
    derived = trainer.learner.derived()
    assert derived and all(bound.validate(a.choices) == a for a in derived)
    open_ = {d.name for d in bound.all_decisions() if len(d.options) > 1}
    assert set(trainer.progress.rows[0]["tables"]) <= open_ and trainer.progress.rows[0]["tables"]


# -- limits ----------------------------------------------------------------------------------------
def macs(architecture: Architecture) -> float:
    return float(space_of("cell").costs(architecture).n_macs)


def tight(share: float) -> dict[str, float]:
    """A limit within which about this share of the prior is."""
    drawn = [macs(space_of("cell").sample(np.random.default_rng(i))) for i in range(100)]
    return {"n_macs": float(np.quantile(drawn, share))}


def costly(learner: EnasLearner) -> EnasLearner:
    """Its controller writes hardly anything but the dearest operation."""
    learner.controller.net.squash = None
    with torch.no_grad():
        for first, d in zip(learner.grammar.first, learner.grammar.decisions, strict=True):
            learner.controller.net.head.bias[int(first) + d.options.index("nor_conv_3x3")] = 9.0
    return learner


def test_what_is_trained_measured_and_derived_is_within_the_limits() -> None:
    """Whatever the controller writes; what it wrote is kept where nothing stands against it."""
    limits = tight(0.4)
    learner = costly(enas(limits=limits))
    written = learner._written(20, np.random.default_rng(0))
    assert min(map(macs, written)) > limits["n_macs"]
    trained = [learner._path(At(0, step, 0.1)) for step in range(learner.steps)]
    for found in (learner.paths(20, np.random.default_rng(0)), learner.derived(), trained):
        assert found and max(map(macs, found)) <= limits["n_macs"]
        assert np.mean([o == "nor_conv_3x3" for a in found for o in a.choices.values()]) > 0.05, "near to what it wrote"
    free = costly(enas())
    assert free.paths(20, np.random.default_rng(0)) == free._written(20, np.random.default_rng(0)) == written


def test_a_network_beyond_the_limits_earns_less_than_any_within_and_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: limit / cost - 1 of the limit that is exceeded most."""
    space = space_of("cell")
    dear = space.validate({d.name: "nor_conv_3x3" for d in space.all_decisions()})
    costs = space.costs(dear).as_metrics()
    learner = enas(limits={"n_macs": costs["n_macs"] / 2, "n_params": costs["n_params"] / 4})
    cheap = space.validate({d.name: "skip_connect" for d in space.all_decisions()})
    assert learner.reward(cheap, batch_of()) >= 0
    monkeypatch.setattr("engine.supernets.nets.enas.glance", lambda *args: pytest.fail("it was run"))
    assert learner.reward(dear, batch_of()) == pytest.approx(0.25 - 1)
    dearer = enas(limits={"n_macs": costs["n_macs"] / 3})
    assert dearer.reward(dear, batch_of()) == pytest.approx(1 / 3 - 1)


def test_the_controller_comes_to_write_within_the_limits() -> None:
    """From what its networks earn; the row says what share was within and what those scored."""
    limits = tight(0.05)
    learner = enas(limits=limits, controller_rate=0.02, samples=4)

    def share() -> float:
        return float(np.mean([macs(a) <= limits["n_macs"] for a in learner._written(100, np.random.default_rng(1))]))

    before = share()
    rows = [learner.held_step(At(0, step, 0.0), batch_of()) for step in range(100)]
    assert before < 0.15 and share() > 0.6
    assert all("reward" in row or not row["within"] for row in rows) and rows[-1]["within"] > 0
    assert all(0 <= float(row["reward"]) <= 1 for row in rows if "reward" in row)
    assert "within" not in enas().held_step(At(0, 0, 0.0), batch_of())


def test_limits_that_nothing_is_within_are_said_before_the_first_step() -> None:
    """With what is nearest."""
    least = macs(space_of("cell").validate({d.name: "none" for d in space_of("cell").all_decisions()}))
    with pytest.raises(CannotBuild, match=rf"no network within the limits.*n_macs at most 9, this one {least:,.0f}"):
        enas(limits={"n_macs": 9.0})
    only = enas(limits={"n_macs": least})
    assert {macs(a) for a in only.derived()} == {least}


def test_a_space_of_one_network_is_within_or_is_not() -> None:
    """There is nothing to change."""
    space = space_of("cell").restrict({d.name: ["nor_conv_3x3"] for d in space_of("cell").all_decisions()})
    rng = np.random.default_rng(0)
    only = space.sample(rng)
    assert within(space, {"n_macs": macs(only)}, only, rng) == only
    with pytest.raises(CannotBuild, match="within the limits"):
        within(space, {"n_macs": macs(only) - 1}, only, rng)
