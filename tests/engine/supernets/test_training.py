"""How a supernet is trained and judged: SGD of shared weights, halves, epochs, batch norms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.architecture import Architecture
from engine.errors import Interrupted
from engine.supernets.nets.learner import At, Batch, Learner, SharedSGD, batches_of, cosine
from engine.supernets.nets.scoring import Judge, by_batch, few, norms
from engine.supernets.nets.training import ENOUGH, SupernetTrainer
from engine.training.checkpoint import CheckpointError
from engine.training.loop import DeviceData
from tests.engine.supernets.small import (
    CPU,
    RECIPE,
    SETTING,
    TRAIN,
    VALIDATION,
    arrays_of,
    data_of,
    interrupted,
    never,
    quiet,
    setup_of,
    space_of,
    trainer_of,
)


# -- SGD --------------------------------------------------------------------------------------
@pytest.mark.parametrize("clip", [0.0, 0.3])
def test_where_all_weights_are_used_it_is_torch_s_sgd(clip: float) -> None:
    """Momentum, weight decay as a part of the gradient, clipping by the norm of all."""
    torch.manual_seed(0)
    ours, theirs = nn.Linear(4, 3), nn.Linear(4, 3)
    theirs.load_state_dict(ours.state_dict())
    sgd = SharedSGD(momentum=0.9, weight_decay=0.01, clip=clip)
    reference = torch.optim.SGD(theirs.parameters(), lr=1.0, momentum=0.9, weight_decay=0.01)
    for step in range(5):
        x, rate = torch.randn(6, 4), 0.1 / (1 + step)
        for net in (ours, theirs):
            net(x).square().mean().backward()
        sgd.step(ours.parameters(), rate)
        if clip:
            nn.utils.clip_grad_norm_(theirs.parameters(), clip)
        reference.param_groups[0]["lr"] = rate
        reference.step()
        reference.zero_grad()
        assert all(p.grad is None for p in ours.parameters())
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(p, q, atol=1e-7)


def test_weights_that_a_step_does_not_use_stay_as_they_are() -> None:
    """Neither decayed nor moved by their momentum (torch's SGD with gradients of zero would do both)."""
    torch.manual_seed(0)
    used, idle = nn.Linear(2, 2), nn.Linear(2, 2)
    sgd = SharedSGD(momentum=0.9, weight_decay=0.1, clip=5)
    idle(torch.ones(1, 2)).sum().backward()
    sgd.step(idle.parameters(), 0.1)
    before = [p.clone() for p in idle.parameters()]
    held = [sgd.buffers[p].clone() for p in idle.parameters()]
    used(torch.ones(1, 2)).sum().backward()
    sgd.step([*used.parameters(), *idle.parameters()], 0.1)
    for p, b, h in zip(idle.parameters(), before, held, strict=True):
        assert torch.equal(p, b) and torch.equal(sgd.buffers[p], h)
    assert len(sgd.buffers) == 4


def test_batches_and_the_cosine() -> None:
    """A last batch of one sample is left out; the rate begins high and ends low."""
    assert batches_of(10, 4) == [(0, 4), (4, 8), (8, 10)] and batches_of(9, 4) == [(0, 4), (4, 8)]
    assert batches_of(1, 4) == [(0, 1)]
    assert cosine(0, 10, 0.5, 0.1) == 0.5 and cosine(10, 10, 0.5, 0.1) == pytest.approx(0.1)
    assert cosine(5, 10, 0.5, 0.1) == pytest.approx(0.3)


# -- epochs -----------------------------------------------------------------------------------
class Counting(Learner):
    """Learns nothing; notes what it is given. The sum of what it saw is its weight."""

    def __init__(self, setup: Any, stop: str = "") -> None:
        super().__init__(setup)
        self.calls: list[str] = []
        self.seen: list[tuple[Tensor, Tensor | None]] = []
        self.rates: list[float] = []
        self.begun = torch.zeros(1)
        self.why = stop

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        self.calls.append(f"step {at.epoch}.{at.step}")
        self.seen.append((train[0], None if held is None else held[0]))
        self.rates.append(at.rate)
        return {"loss": torch.tensor(float(at.step))}

    def begin_epoch(self, epoch: int) -> None:
        self.calls.append(f"begin {epoch}")
        self.begun += 1

    def end_epoch(self, epoch: int) -> None:
        self.calls.append(f"end {epoch}")

    def stop_reason(self, rows: Sequence[Any]) -> str:
        return self.why if len(rows) == 2 else ""

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        return [self.space.sample(rng)]

    def derived(self) -> list[Architecture]:
        return []

    def tensors(self) -> dict[str, Tensor]:
        return super().tensors() | {"begun": self.begun}

    def restore(self, tensors: Any, about: Any) -> None:
        super().restore(tensors, about)
        self.begun = tensors["begun"].clone()


class Halved(Counting):
    """The same with both halves."""

    halves = True


def counting(cls: type[Counting] = Counting, stop: str = "", **options: Any) -> SupernetTrainer:
    learner = cls(setup_of("spos", "cell", epochs=3, **options), stop)
    return SupernetTrainer(learner, data_of("cell"), RECIPE, {"seed": 5})


class Timed(Counting):
    """A step takes a second of a clock that the test holds."""

    now = 0.0

    def step(self, at: At, train: Batch, held: Batch | None) -> dict[str, Tensor]:
        Timed.now += 1.0
        return super().step(at, train, held)


def test_an_epoch_says_how_long_it_took_and_counts_no_interruption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted at every step for an hour each time, an epoch lasts as long as its steps do."""
    monkeypatch.setattr("engine.supernets.nets.training.time.perf_counter", lambda: Timed.now)

    def an_hour_later() -> SupernetTrainer:
        Timed.now += 3600.0
        return counting(Timed)

    trainer, turns = interrupted(an_hour_later, tmp_path / "s.safetensors")
    assert turns >= 3 * len(trainer.batches) - 1
    assert [row["duration_s"] for row in trainer.progress.rows] == [float(len(trainer.batches))] * 3


def test_an_epoch_begins_once_however_often_it_is_interrupted(tmp_path: Path) -> None:
    """Also where the order to stop comes before its first step."""
    path, calls, trainer = tmp_path / "s.safetensors", [], counting()
    for turn in range(100):
        asked = 0

        def stop(most: int = 1 + turn % 2) -> str | None:
            nonlocal asked
            asked += 1
            return "pause" if asked > most else None

        try:
            trainer.run(quiet, stop, path)
            break
        except Interrupted:
            calls += trainer.learner.calls
            trainer = counting()
            trainer.restore(path)
    calls += trainer.learner.calls
    whole = counting()
    whole.run(quiet, never)
    assert calls == whole.learner.calls
    assert torch.equal(trainer.learner.begun, torch.full((1,), 3.0))
    expected = ["begin 0", *(f"step 0.{i}" for i in range(4)), "end 0", "begin 1"]
    assert calls[: len(expected)] == expected


def test_a_row_is_the_mean_of_the_steps() -> None:
    """Whatever a step gives, averaged over the epoch."""
    trainer = counting()
    events: list[dict[str, Any]] = []
    assert trainer.run(events.append, never) == ""
    assert [r["train_loss"] for r in trainer.progress.rows] == [1.5, 5.5, 9.5]
    assert [e["epoch"] for e in events if e["kind"] == "epoch"] == [1, 2, 3]
    o = trainer.learner.options
    assert trainer.learner.rates == [cosine(s, 12, o.learning_rate, o.learning_rate_end) for s in range(12)]


def test_it_ends_where_the_learner_says_so_and_stays_ended(tmp_path: Path) -> None:
    """The reason stands in the last row; a resumed training does not begin again."""
    path = tmp_path / "s.safetensors"
    trainer = counting(stop="it collapsed")
    assert trainer.run(quiet, never, path) == "it collapsed"
    assert len(trainer.progress.rows) == 2 and trainer.progress.rows[-1]["ended"] == "it collapsed"
    again = counting(stop="it collapsed")
    again.restore(path)
    assert again.run(quiet, never, path) == "it collapsed" and again.learner.calls == []


def test_a_person_may_call_it_enough() -> None:
    """The epoch is brought to its end, and what there is goes on to the next phase."""
    trainer = counting()
    assert trainer.run(quiet, lambda: ENOUGH) == "ended by a person"
    assert trainer.learner.calls == ["begin 0", *(f"step 0.{i}" for i in range(4)), "end 0"]


def test_halves_are_disjoint_and_cover_the_training_split() -> None:
    """Neither is a part of the validation split; each epoch every sample of a half comes once, in another order."""
    trainer = counting(Halved)
    one, other = trainer.halves
    assert other is not None
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(TRAIN)) and abs(len(one) - len(other)) <= 1
    assert not torch.equal(one, torch.arange(len(one)))
    assert torch.equal(counting(Halved).halves[0], one)
    whole = counting().halves
    assert torch.equal(whole[0], torch.arange(TRAIN)) and whole[1] is None
    # which sample a batch holds can be read from its values: no augmentation
    plain = RECIPE.model_copy(update={"shift": 0, "flip": False})
    data = DeviceData.of(arrays_of("cell"), plain, SETTING, CPU)
    trainer = SupernetTrainer(Halved(setup_of("spos", "cell", epochs=2)), data, plain, {})
    trainer.run(quiet, never)
    samples = {t.numpy().tobytes(): i for i, t in enumerate(data.augmentation.plain(TRAIN))}
    per_epoch = len(trainer.batches)
    orders = []
    for epoch in range(2):
        seen = trainer.learner.seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        mine = [samples[x.numpy().tobytes()] for t, _ in seen for x in t]
        held = [samples[x.numpy().tobytes()] for _, h in seen for x in h]
        assert sorted(mine) == sorted(trainer.halves[0].tolist())
        assert set(held) <= set(trainer.halves[1].tolist())
        orders.append(mine)
    assert orders[0] != orders[1]


def test_steps_of_an_epoch_are_told_before_there_is_data() -> None:
    """The learner counts the batches that the training makes."""
    for cls in (Counting, Halved):
        trainer = counting(cls)
        assert trainer.learner.steps == len(trainer.batches)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """It says what differs."""
    path = tmp_path / "s.safetensors"
    counting().run(quiet, never, path)
    other = SupernetTrainer(Counting(setup_of("spos", "cell", epochs=3)), data_of("cell"), RECIPE, {"seed": 6})
    with pytest.raises(CheckpointError, match="seed is 5, not 6"):
        other.restore(path)


# -- judged -----------------------------------------------------------------------------------
def trained() -> SupernetTrainer:
    trainer = trainer_of("spos", "cell")
    trainer.run(quiet, never)
    return trainer


def test_recalibration_takes_the_statistics_of_the_subnet_by_hand() -> None:
    """Means and variances of what reaches each batch norm, over training samples as they are (Guo et al. 2020, 3.4)."""
    trainer, bound = trained(), space_of("cell")
    learner = trainer.learner
    a = bound.validate({n: "nor_conv_3x3" for n in bound.sample(np.random.default_rng(0)).choices})
    reached: dict[int, list[Tensor]] = {}
    Judge(learner, data_of("cell"), 16).score(a)
    found = norms(learner.blocks_of(a))
    assert len(found) > 10
    # by hand, with every norm on the statistics of these very samples
    for m in found:
        m.register_forward_pre_hook(lambda m, x: reached.setdefault(id(m), []).append(x[0].detach()))
    learner.bank.eval()
    with torch.no_grad(), by_batch(found):
        learner.run(a, data_of("cell").augmentation.plain(few(TRAIN, 16, CPU)))
    for m in found:
        (x,) = reached[id(m)]
        assert torch.allclose(m.running_mean, x.mean((0, 2, 3)), atol=1e-5)
        assert torch.allclose(m.running_var, x.var((0, 2, 3), unbiased=True), atol=1e-4, rtol=1e-4)


def test_recalibration_counts_every_pass_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the first norm, which reads what does not depend on others: the mean over all samples, and no pass of one."""
    from engine.supernets.nets import scoring

    monkeypatch.setattr(scoring, "PASS", 5)
    trainer, bound = trained(), space_of("cell")
    learner, a = trainer.learner, bound.sample(np.random.default_rng(0))
    Judge(learner, data_of("cell"), 16).score(a)  # passes of 4: three of 5 and one of 1 would not do
    first = norms(learner.blocks_of(a))[0]
    seen: list[Tensor] = []
    handle = first.register_forward_pre_hook(lambda m, x: seen.append(x[0].detach()))
    learner.bank.eval()
    with torch.no_grad():
        learner.run(a, data_of("cell").augmentation.plain(few(TRAIN, 16, CPU)))
    handle.remove()
    assert torch.allclose(first.running_mean, seen[0].mean((0, 2, 3)), atol=1e-5)


def test_the_quick_look_leaves_no_trace() -> None:
    """The accuracy of an epoch is measured with the statistics of its batch; no bit of the supernet changes."""
    trainer = trained()
    learner, bound = trainer.learner, space_of("cell")
    before = {n: t.clone() for n, t in learner.tensors().items()}
    judge = Judge(learner, data_of("cell"), 0)
    accuracy = judge.quick([bound.sample(np.random.default_rng(i)) for i in range(3)], 16)
    assert 0 <= accuracy <= 1 and learner.bank.training
    for name, t in before.items():
        assert torch.equal(t, learner.tensors()[name]), name
    assert judge.quick([], 16) == 0.0


def test_scores_are_those_of_the_validation_split() -> None:
    """Against a loop by hand over the recalibrated subnet."""
    trainer = trained()
    learner, data = trainer.learner, data_of("cell")
    a = space_of("cell").sample(np.random.default_rng(4))
    scores = Judge(learner, data, 16).score(a)
    with torch.no_grad():
        logits = learner.run(a, data.validation_x)
    right = logits.argmax(1) == data.validation_y
    assert scores.accuracy == pytest.approx(float(right.float().mean()))
    assert scores.loss == pytest.approx(float(nn.functional.cross_entropy(logits, data.validation_y)), rel=1e-5)
    assert np.array_equal(scores.correct, right.numpy())


def test_a_part_of_the_validation_split_is_spread_over_it() -> None:
    """A split may lie class by class; every judge takes the same part, in the split's order."""
    rows = few(1000, 100, CPU)
    assert len(set(rows.tolist())) == 100 and rows.tolist() == sorted(rows.tolist())
    assert torch.equal(rows, few(1000, 100, CPU))
    assert np.bincount(rows.numpy() // 100, minlength=10).min() >= 4  # of ten classes, one after another
    assert few(5, 16, CPU).tolist() == [0, 1, 2, 3, 4]
    trainer, data = trained(), data_of("cell")
    a = space_of("cell").sample(np.random.default_rng(4))
    whole, part = Judge(trainer.learner, data, 16).score(a), Judge(trainer.learner, data, 16, on=10).score(a)
    assert np.array_equal(part.correct, whole.correct[few(VALIDATION, 10, CPU).numpy()])


@pytest.mark.parametrize("method", ["darts", "drnas"])
def test_what_was_trained_side_by_side_answers_as_a_whole(method: str) -> None:
    learner = trainer_of(method, "cell").learner
    judge, data = Judge(learner, data_of("cell"), 0), data_of("cell")
    kept = {n: t.clone() for n, t in learner.bank.named_weights()}
    accuracy = judge.whole(16)
    learner.bank.eval()
    with torch.no_grad(), by_batch(norms([learner.bank])):
        gates = {name: (range(len(p)), p) for name, p in learner.probabilities().items()}
        rows = few(VALIDATION, 16, CPU)
        right = (learner.forward(data.validation_x[rows], gates).argmax(1) == data.validation_y[rows]).float().mean()
    assert accuracy == float(right)
    assert all(torch.equal(t, kept[n]) for n, t in learner.bank.named_weights()), "nothing of the looking stays"


@pytest.mark.parametrize("method", ["gdas", "proxyless", "spos", "enas"])
def test_what_was_trained_path_by_path_has_no_answer_as_a_whole(method: str) -> None:
    learner = trainer_of(method, "cell").learner
    assert Judge(learner, data_of("cell"), 0).whole(16) is None and learner.bank.training
