"""Second order, dropped paths and eigenvalues across interruptions: bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.supernets.small import assert_same, everything, interrupted, never, quiet, trainer_of


@pytest.mark.parametrize("hessian", ["exact", "finite"])
def test_resumed_after_every_step_equals_uninterrupted(tmp_path: Path, hessian: str) -> None:
    options = {"order": "second", "hessian": hessian, "drop_path": 0.4, "eigenvalue": True}
    whole = trainer_of("darts", "cell", **options)
    whole.run(quiet, never)
    assert any(name.startswith("adam.exp_avg") for name in whole.learner.tensors())
    trainer, turns = interrupted(lambda: trainer_of("darts", "cell", **options), tmp_path / "s.safetensors")
    assert turns
    assert_same(everything(trainer), everything(whole))
