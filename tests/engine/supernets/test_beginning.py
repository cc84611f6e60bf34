"""Beginning with another search's supernet: which weights fit, what it does to training, what the report says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from engine.config import SearchConfig
from engine.data import registry
from engine.errors import Interrupted
from engine.evaluation.base import Report, Work
from engine.evaluation.trained import TrainedSession
from engine.spaces.base import make_space
from engine.supernets.nets.learner import Learner
from engine.training.checkpoint import CheckpointError
from tests.engine.supernets.small import (
    SETTING,
    SPACES,
    arrays_of,
    assert_same,
    config_of,
    data_of,
    everything,
    learner_of,
    never,
    quiet,
    served,
    setup_of,
    spec_of,
    trainer_of,
)


def trained(method: str, space: str = "cell") -> Learner:
    """A supernet of another search."""
    trainer = trainer_of(method, space, seed=9)
    trainer.run(quiet, never)
    return trainer.learner


def with_classes(method: str, space: str, n: int) -> Learner:
    """A fresh learner for data with so many classes."""
    from dataclasses import replace

    from engine import catalog

    spec = spec_of(space).model_copy(update={"n_classes": n, "class_names": tuple(map(str, range(n)))})
    bound = make_space(SearchConfig.parse({"name": "test", "space": SPACES[space]}), spec)
    return catalog.get("strategy", method).learner(replace(setup_of(method, space), space=bound))  # type: ignore[no-any-return]


def weights(learner: Learner) -> dict[tuple, torch.Tensor]:
    """Every tensor by key and name within its block."""
    out = {}
    for key, place in learner.bank._keys.items():
        for name, t in learner.bank.blocks[place].state_dict().items():
            out[(*key, name)] = t
    return out


@pytest.mark.parametrize("space", served("spos"))
def test_on_the_same_space_everything_fits(space: str) -> None:
    """Bit for bit, momentum not among it, whatever was made of the networks afterwards."""
    other, mine = trained("spos", space), learner_of("spos", space)
    taken, of = mine.begin_from(other.tensors(), other.about())
    assert taken == of == len(list(other.bank.named_weights()))
    theirs, ours = weights(other), weights(mine)
    assert set(ours) == set(theirs) and all(torch.equal(t, ours[k]) for k, t in theirs.items())
    assert not mine.sgd.buffers and any(n.startswith("momentum.") for n in other.tensors())


@pytest.mark.parametrize("method", ["spos", "darts"])
def test_a_classifier_with_other_classes_starts_fresh(method: str) -> None:
    """All else fits; what nobody needs is not held."""
    other, mine = trained(method), with_classes(method, "cell", 7)
    fresh = with_classes(method, "cell", 7)
    taken, of = mine.begin_from(other.tensors(), other.about())
    assert taken == of - 2 if method == "spos" else 0 < taken < of
    theirs, ours = weights(other), weights(mine)
    classifiers = [k for k in theirs if '"out_features": 3' in k[2]]
    assert len(classifiers) == 2 and not any(k in ours for k in classifiers)
    trainable = {n for n, p in mine.bank.named_parameters() if p.requires_grad}
    assert trainable
    x = data_of("cell").validation_x[:4]
    a = mine.space.sample(np.random.default_rng(0))
    mine.bank.eval(), fresh.bank.eval()
    assert mine.run(a, x).shape == (4, 7)
    for key, t in weights(fresh).items():  # the classifier is the seed's
        if '"out_features": 7' in key[2]:
            assert torch.equal(t, weights(mine)[key])
    assert all(torch.equal(ours[k], t) for k, t in theirs.items() if k in ours and k[-1] == "conv.weight")


def test_from_a_path_method_to_a_mixture_and_back() -> None:
    """Weights have the same places in both; frozen scales of norms stay one, and norms behind poolings are fresh."""
    paths, mixture = trained("spos"), learner_of("darts", "cell")
    taken, of = mixture.begin_from(paths.tensors(), paths.about())
    assert 0 < taken < of
    theirs, ours = weights(paths), weights(mixture)
    convs = [k for k in theirs if k[-1] == "conv.weight"]
    assert len(convs) > 20 and all(torch.equal(theirs[k], ours[k]) for k in convs)
    frozen = [p for p in mixture.bank.parameters() if not p.requires_grad]
    assert frozen and all(((p == 0) | (p == 1)).all() for p in frozen)
    back = learner_of("spos", "cell")
    donor = trained("darts")
    taken, of = back.begin_from(donor.tensors(), donor.about())
    assert taken > 50 and all(torch.equal(t, weights(donor)[k]) for k, t in weights(back).items())


def test_alphas_come_along_only_where_asked() -> None:
    """Of the same tables and options."""
    other = trained("darts")
    plain = learner_of("darts", "cell")
    before = {n: a.detach().clone() for n, a in plain.alphas.items()}
    plain.begin_from(other.tensors(), other.about())
    assert all(torch.equal(a, before[n]) for n, a in plain.alphas.items())
    asked = learner_of("darts", "cell", start_alphas=True)
    taken, of = asked.begin_from(other.tensors(), other.about())
    assert all(torch.equal(a, other.alphas[n]) for n, a in asked.alphas.items())
    assert of == len(list(other.bank.named_weights())) + len(other.alphas)
    about = {**other.about(), "tables": {n: list(reversed(o)) for n, o in other.about()["tables"].items()}}
    reversed_ = learner_of("darts", "cell", start_alphas=True)
    reversed_.begin_from(other.tensors(), about)
    assert all(torch.equal(a, before[n]) for n, a in reversed_.alphas.items())


def test_a_training_so_begun_resumes_bit_for_bit(tmp_path: Path) -> None:
    """The beginning is part of the checkpoint: the earlier supernet is not needed again."""
    first, path = tmp_path / "first.safetensors", tmp_path / "s.safetensors"
    trainer_of("spos", "cell", seed=9).run(quiet, never, first)
    whole = trainer_of("spos", "cell")
    whole.begin_from(first)
    whole.run(quiet, never)
    part = trainer_of("spos", "cell")
    part.begin_from(first)
    calls = iter(range(100))
    with pytest.raises(Interrupted):
        part.run(quiet, lambda: "pause" if next(calls) >= 5 else None, path)
    again = trainer_of("spos", "cell")
    again.restore(path)
    again.run(quiet, never)
    assert_same(everything(again), everything(whole))
    assert again.progress.beginning == whole.progress.beginning and again.progress.beginning["inherited"] > 0
    fresh = trainer_of("spos", "cell")
    fresh.run(quiet, never)
    assert fresh.progress.rows[0]["train_loss"] != whole.progress.rows[0]["train_loss"]


# -- in a session -----------------------------------------------------------------------------
@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> TrainedSession:
    monkeypatch.setattr(registry, "load", lambda *args, **more: arrays_of("cell"))
    monkeypatch.setattr("engine.training.probe.candidates", lambda *args: [SETTING])
    return TrainedSession(config_of("spos"), spec_of("cell"))


def work(folder: Path, **extra: str) -> Work:
    return Work(kind="supernet", architecture=None, fidelity=2, max_fidelity=0, seed=4, folder=folder, extra=extra)


def test_the_report_says_how_much_was_taken_over(session: TrainedSession, tmp_path: Path) -> None:
    """And so does the log."""
    first = session.evaluate(work(tmp_path / "one"), quiet, never)
    assert "inherited" not in first.cost
    events: list[dict] = []
    extra = {"start": "f" * 64, "start_path": first.artifacts["supernet"]}
    report: Report = session.evaluate(work(tmp_path / "two", **extra), events.append, never)
    assert report.failure is None and report.cost["inherited"] == report.cost["of"] > 50
    assert any(f"{report.cost['of']:,} tensors" in str(e.get("message")) for e in events)


def test_what_is_not_there_or_no_supernet_is_refused(session: TrainedSession, tmp_path: Path) -> None:
    """With a sentence."""
    from engine.errors import DataError
    from engine.training import checkpoint

    with pytest.raises(DataError, match="ffffffffffff to begin with is not at hand"):
        session.evaluate(work(tmp_path, start="f" * 64), quiet, never)
    path = tmp_path / "trial.safetensors"
    checkpoint.save(path, {"model.a": torch.zeros(1)}, {"epoch": 1})
    with pytest.raises(CheckpointError, match="is no supernet's checkpoint"):
        session.evaluate(work(tmp_path, start="f" * 64, start_path=str(path)), quiet, never)
