"""Second order, dropped paths and eigenvalues across interruptions: bit for bit."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import Interrupted
from tests.engine.supernets.small import assert_same, everything, never, quiet, trainer_of


@pytest.mark.parametrize("hessian", ["exact", "finite"])
def test_resumed_after_every_step_equals_uninterrupted(tmp_path: Path, hessian: str) -> None:
    options = {"order": "second", "hessian": hessian, "drop_path": 0.4, "eigenvalue": True}
    whole = trainer_of("darts", "cell", **options)
    whole.run(quiet, never)
    assert any(name.startswith("adam.exp_avg") for name in whole.learner.tensors())
    path, trainer, turns = tmp_path / "s.safetensors", trainer_of("darts", "cell", **options), 0
    while True:
        calls = 0

        def stop() -> str | None:
            nonlocal calls
            calls += 1
            return "drain" if calls > 1 else None

        try:
            trainer.run(quiet, stop, path)
            break
        except Interrupted:
            turns += 1
            trainer = trainer_of("darts", "cell", **options)
            trainer.restore(path)
    assert turns
    assert_same(everything(trainer), everything(whole))
