"""What every weight-sharing method promises, on every small space that it serves."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine import catalog
from engine.architecture import Architecture
from engine.errors import CannotBuild
from engine.supernets import epochs
from engine.supernets.nets.bank import Bank
from engine.supernets.nets.learner import Learner
from engine.supernets.nets.scoring import Judge
from engine.training import checkpoint
from tests.engine.supernets.small import (
    METHODS,
    PAIRS,
    assert_same,
    data_of,
    everything,
    interrupted,
    never,
    quiet,
    space_of,
    trainer_of,
)

#: what a row of an epoch may hold, as the module says for those who draw it
DOCUMENTED = set(re.findall(r'"(\w+)"', epochs.__doc__ or "")) | {"epoch", "ended"}
pairs = pytest.mark.parametrize(("method", "space"), PAIRS)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_says_what_it_is(method: str) -> None:
    """A summary, its paper, two sentences of advice; options with a description, numbers with bounds."""
    cls = catalog.get("strategy", method)
    assert cls.summary and cls.reference and cls.group in ("sharing", "gradient")
    assert re.fullmatch(r"[^.]+\. [^.]+\.", re.sub(r"(?<=\d)\.(?=\d)", "", cls.guide)), "guide: exactly two sentences"
    schema = cls.Options.model_json_schema()
    for name, field in schema["properties"].items():
        assert field.get("description", "").endswith("."), f"{name}: a description that ends in a full stop"
        kinds = [field, *field.get("anyOf", ())]
        for kind in kinds:
            if kind.get("type") in ("integer", "number"):
                bounds = set(kind) & {"minimum", "exclusiveMinimum"}, set(kind) & {"maximum", "exclusiveMaximum"}
                assert all(bounds), f"{name}: a bound below and above"
        assert "default" in field, f"{name}: a default"
    assert cls.Options() == cls.Options.model_validate(cls.Options().model_dump(mode="json"))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_tried_on_some_space(method: str) -> None:
    """A method that serves none of the small spaces would go untested."""
    assert any(m == method for m, _ in PAIRS)


@pytest.fixture(scope="module")
def trained() -> Callable[[str, str], tuple]:
    """Each pair trained once without interruption: (trainer, everything)."""
    kept: dict[tuple[str, str], tuple] = {}

    def get(method: str, space: str) -> tuple:
        if (method, space) not in kept:
            trainer = trainer_of(method, space)
            trainer.run(quiet, never)
            kept[method, space] = trainer, everything(trainer)
        return kept[method, space]

    return get


@pairs
def test_it_learns(trained, method: str, space: str) -> None:
    """Every number of every epoch is finite, weights move, and a row holds documented names alone, as plain JSON."""
    trainer, (tensors, _, rows) = trained(method, space)
    assert len(rows) == trainer.learner.setup.epochs
    for row in rows:
        json.dumps(row, allow_nan=False)
        assert set(row) <= DOCUMENTED, f"undocumented: {set(row) - DOCUMENTED}"
        assert math.isfinite(row["train_loss"]) and 0 <= row["accuracy"] <= 1
        for table in row.get("tables", {}).values():
            assert math.isclose(sum(table.values()), 1, abs_tol=1e-3 * len(table))
            assert all(p >= 0 for p in table.values())
        if "derived" in row:
            space_of(space).validate(row["derived"])
    assert all(t.isfinite().all() for t in tensors.values() if t.is_floating_point())
    bank = trainer.learner.bank  # of the last stage, where there are some
    fresh = Bank(seed=bank.seed, affine=bank.affine)
    fresh.hold(bank.keys())
    before = dict(fresh.named_parameters())
    moved = [n for n, p in trainer.learner.bank.named_parameters() if not torch.equal(p, before[n])]
    assert len(moved) > 3  # of a method that trains one path a step, most do not in two epochs


@pairs
def test_what_it_derives_is_an_architecture(trained, method: str, space: str) -> None:
    """So is what it measures an epoch on; both are functions of weights and generator alone."""
    learner = trained(method, space)[0].learner
    bound = space_of(space)
    derived = learner.derived()
    assert derived or catalog.get("strategy", method).searches
    paths = learner.paths(3, np.random.default_rng(1))
    assert paths
    for a in [*derived, *paths]:
        assert bound.validate(a.choices) == a
    assert learner.derived() == derived and learner.paths(3, np.random.default_rng(1)) == paths


@pairs
def test_the_seed_decides(trained, method: str, space: str) -> None:
    """Another one, other weights from the first on; that the same one gives the same, the next test says."""
    one, ours = trained(method, space)[0].learner, trainer_of(method, space).learner
    other = trainer_of(method, space, seed=6).learner
    for learner in (ours, other):
        learner.bank.hold(one.bank.keys())
    theirs = dict(other.bank.named_parameters())
    kernels = [(n, p) for n, p in ours.bank.named_parameters() if p.ndim > 1]
    assert kernels and not any(torch.equal(p, theirs[n]) for n, p in kernels)


@pairs
def test_interrupted_at_every_step_equals_uninterrupted(trained, tmp_path: Path, method: str, space: str) -> None:
    """A new process after each step of each epoch: weights, parameters, optimizers and rows agree bit for bit."""
    trainer, turns = interrupted(lambda: trainer_of(method, space), tmp_path / "s.safetensors")
    assert turns >= len(trainer.batches) * trainer.learner.setup.epochs - 2
    assert_same(everything(trainer), trained(method, space)[1])


@pairs
def test_a_checkpoint_round_trip_changes_no_bit(trained, tmp_path: Path, method: str, space: str) -> None:
    """What is loaded is what was saved, and scores what it scored."""
    trainer, kept = trained(method, space)
    path = tmp_path / "s.safetensors"
    checkpoint.save(path, trainer.learner.tensors(), trainer.learner.about())
    again = trainer_of(method, space)
    tensors, about = checkpoint.load(path)
    again.learner.restore(tensors, about)
    again.progress = trainer.progress
    assert_same(everything(again), kept)
    assert again.learner.derived() == trainer.learner.derived()
    architecture = trainer.learner.paths(1, np.random.default_rng(2))[0]
    one, other = (
        Judge(t.learner, data_of(space), 16).score(architecture) for t in (again, _copy(trainer, method, space))
    )
    assert (one.accuracy, one.loss) == (other.accuracy, other.loss)


def _copy(trainer, method: str, space: str):
    """A trainer with the same weights, whose batch norms may be recalibrated."""
    again = trainer_of(method, space)
    again.learner.restore({n: t.clone() for n, t in trainer.learner.tensors().items()}, trainer.learner.about())
    return again


def _is_path(learner: Learner, architecture: Architecture) -> bool:
    """Whether the supernet holds it: a mixture has the largest number of nodes only, P-DARTS what it did not drop."""
    try:
        learner.blocks_of(architecture)
    except CannotBuild:
        return False
    return True


@pairs
def test_a_subnet_is_scored(trained, method: str, space: str) -> None:
    """Also one that no step ever trained; the scores do not depend on what was scored before."""
    trainer = _copy(trained(method, space)[0], method, space)
    judge, bound = Judge(trainer.learner, data_of(space), 16), space_of(space)
    drawn = [a for i in range(30) if _is_path(trainer.learner, a := bound.sample(np.random.default_rng(i)))]
    asked = [*trainer.learner.paths(1, np.random.default_rng(0)), *drawn[:3]]
    first = [judge.score(a) for a in asked]
    again = [judge.score(a) for a in reversed(asked)][::-1]
    for one, other in zip(first, again, strict=True):
        assert math.isfinite(one.loss) and (one.accuracy, one.loss) == (other.accuracy, other.loss)
