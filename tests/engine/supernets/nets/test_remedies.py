"""What was proposed against the collapse of DARTS."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from engine.supernets.nets.learner import At
from engine.supernets.nets.remedies import AuxiliarySkipLearner, EarlyStoppedLearner, RegularizedLearner
from engine.supernets.r_darts import RDarts
from tests.engine.supernets.mixtures import AT, batch, tiny_learner, tiny_space, walk
from tests.engine.supernets.small import assert_same, everything, never, quiet, trainer_of

CELLS = [{f"edge{a}_{b}": op for a, b in ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))}
         for op in ("nor_conv_1x1", "skip_connect", "avg_pool_3x3")]  # fmt: skip


# -- DARTS-ES -------------------------------------------------------------------------------------
def rows_of(values: list[float]) -> list[dict[str, Any]]:
    return [{"epoch": n, "eigenvalue": v, "derived": CELLS[n % 3]} for n, v in enumerate(values, start=1)]


def test_early_stopping_goes_back_to_before_the_rise() -> None:
    learner = tiny_learner("darts_es")
    assert isinstance(learner, EarlyStoppedLearner)
    rows = rows_of([0.2] * 8 + [0.3] * 4)
    stopped = [learner.stop_reason(rows[:n]) for n in range(len(rows))]
    assert not any(stopped) and learner.handed is None
    rows += rows_of([0.2] * 12 + [0.4])[-1:]
    assert "rose from 0.2 to 0.32" in learner.stop_reason(rows)
    assert learner.derived()[0].choices == rows[13 - 5 - 1]["derived"]


def test_what_is_handed_over_survives_a_checkpoint() -> None:
    learner = tiny_learner("darts_es")
    learner.go_back(rows_of([0.1] * 6), 4)
    again = tiny_learner("darts_es")
    again.restore(learner.tensors(), learner.about())
    assert again.derived() == learner.derived() != [again.genotype()]


def test_a_collapse_stops_any_gradient_method_that_is_asked_to() -> None:
    shares = [0.0] * 6 + [0.5, 0.6, 0.7, 0.8, 1.0]
    rows = [{"epoch": n, "skips": s, "derived": CELLS[n % 3]} for n, s in enumerate(shares, start=1)]
    warned, stopped = tiny_learner("darts"), tiny_learner("darts", on_collapse="stop")
    assert warned.stop_reason(rows) == "" and warned.handed is None
    assert "skip connection" in stopped.stop_reason(rows)
    assert stopped.derived()[0].choices == rows[5]["derived"], "the last epoch before the drift"


def test_an_ended_training_resumes_to_the_same(tmp_path: Any) -> None:
    """The eigenvalues are in the rows; a checkpoint between two epochs keeps them bit for bit."""
    whole = trainer_of("darts_es", "cell")
    whole.run(quiet, never)
    assert all(row["eigenvalue"] >= 0 for row in whole.progress.rows)
    path, calls = tmp_path / "s.safetensors", 0

    def stop() -> str | None:
        nonlocal calls
        calls += 1
        return "drain" if calls == 5 else None

    part = trainer_of("darts_es", "cell")
    with pytest.raises(Exception, match="drain"):
        part.run(quiet, stop, path)
    rest = trainer_of("darts_es", "cell")
    rest.restore(path)
    rest.run(quiet, never)
    assert_same(everything(rest), everything(whole))


# -- R-DARTS --------------------------------------------------------------------------------------
def test_each_run_is_more_regularized() -> None:
    """The paper's grids: 3e-4 times 1, 3, 9, 27; dropped paths 0, 0.2, 0.4, 0.6."""

    def of(run: int, regularization: str) -> RegularizedLearner:
        setup = replace(tiny_learner("r_darts", regularization=regularization).setup, run=run)
        learner = RDarts.learner(setup)
        assert isinstance(learner, RegularizedLearner)
        return learner

    assert RDarts.Options().runs == 4  # type: ignore[attr-defined]
    decays = [of(run, "weight_decay") for run in range(1, 6)]
    assert [x.sgd.weight_decay for x in decays] == pytest.approx([3e-4, 9e-4, 27e-4, 81e-4, 3e-4])
    assert {x.drop_path for x in decays} == {0.0}
    paths = [of(run, "drop_path") for run in range(1, 5)]
    assert [x.drop_path for x in paths] == [0.0, 0.2, 0.4, 0.6]
    assert {x.sgd.weight_decay for x in paths} == {3e-4}


def test_paths_are_dropped_more_and_more_and_skips_never() -> None:
    learner = tiny_learner("darts", drop_path=0.5, epochs=4)
    x = batch(0)[0]
    kept = []
    for epoch in (0, 2):
        seen: list[float] = []
        around = learner.network.around
        assert around is not None

        def watch(slot: Any, option: Any, out: torch.Tensor, around: Any = around, seen: list[float] = seen) -> Any:
            changed = around(slot, option, out)
            if option == "skip_connect":
                assert changed is out
            elif float(out.detach().abs().sum()) > 0:
                gone = (changed.flatten(1).abs().sum(1) == 0) & (out.flatten(1).abs().sum(1) > 0)
                seen.append(1 - float(gone.float().mean()))
            return changed

        learner.network.around = watch
        for step in range(12):
            learner.step(At(epoch, step, 0.01), (x, batch(0)[1]), batch(1))
        learner.network.around = around
        kept.append(sum(seen) / len(seen))
    assert kept[0] == 1 and 0.65 < kept[1] < 0.85, "half way: a quarter"
    assert torch.equal(learner.logits(x, AT), learner.logits(x, AT)), "outside of a step nothing is dropped"


# -- DARTS- ---------------------------------------------------------------------------------------
def test_the_auxiliary_skip_is_a_skip_beside_the_mixture() -> None:
    """Equation 3, by hand: beta times the input on top of what the slot gives."""
    learner = tiny_learner("darts_minus", epochs=4)
    assert isinstance(learner, AuxiliarySkipLearner)
    assert [learner.beta(e) for e in range(4)] == [1.0, 0.75, 0.5, 0.25]
    slot = learner.mixture.slots[0]
    x = torch.randn(3, *slot.shape)
    plain = super(AuxiliarySkipLearner, learner).gates(AT)[slot.table]
    for epoch in range(4):
        gate = learner.gates(At(epoch, 0, 0.1))[slot.table]
        got = learner.network._mixed(slot, x, gate)
        want = learner.network._mixed(slot, x, plain) + learner.beta(epoch) * x
        assert torch.allclose(got, want, atol=1e-6)


def test_the_auxiliary_skip_is_no_part_of_what_is_derived() -> None:
    learner = tiny_learner("darts_minus")
    assert sum(learner.strengths()["edge0_1"].values()) == pytest.approx(1)
    space = tiny_space(operations=["nor_conv_1x1", "avg_pool_3x3"])
    without = tiny_learner("darts_minus", space=space)
    assert torch.equal(without.gates(AT)["edge0_1"][1], without.probabilities()["edge0_1"])  # type: ignore[arg-type]
    walk(without, 1)


def test_a_limit_on_skips_is_one_of_what_is_derived() -> None:
    learner = tiny_learner("darts", max_skips=1)
    with torch.no_grad():
        for a in learner.alphas.values():
            a.zero_()[1] = 3.0  # skips
            a[2] = 2.0
    assert sorted(learner.genotype().choices.values()) == ["nor_conv_1x1"] * 5 + ["skip_connect"]
    assert learner.views()["skips"] == pytest.approx(1 / 6)
