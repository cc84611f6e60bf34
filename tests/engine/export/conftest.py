"""A small network of the `layers` space on the digits, exported once for all tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.data.arrays import Arrays, normalize
from engine.evaluation.base import Report
from engine.network.plan import NetworkPlan
from engine.spaces.base import SearchSpace, make_space

#: a name as nasty as a person can type
NASTY = 'Digits """ <script>alert(1)</script> \u202e {x} \\ `rm` | *bold*\nimport os'


@dataclass
class Exported:
    """What went into an export."""

    folder: Path
    config: SearchConfig
    arrays: Arrays
    space: SearchSpace
    architecture: Architecture
    plan: NetworkPlan
    weights: Path
    logits: np.ndarray
    final: Report

    def write(self, **changes: Any) -> Any:
        """Calls `write_bundle`."""
        from engine.export.bundle import write_bundle

        events: list[dict[str, Any]] = []
        given: dict[str, Any] = {
            "folder": self.folder,
            "config": self.config,
            "data": self.arrays.spec,
            "architecture": self.architecture,
            "plan": self.plan,
            "weights_path": self.weights,
            "report": Report(metrics={"accuracy": 0.95}, fidelity=9, n_samples=360, cost={"duration_s": 4.0}),
            "final_report": self.final,
            "space": self.space,
            "emit": events.append,
            "trial": 7,
            **changes,
        }
        return write_bundle(**given), events


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """A network with random weights (exporting does not care) and the report of its full training."""
    from safetensors.torch import save_file

    from engine.network.build import build
    from engine.training.inference import reference_logits, reference_scores

    folder = tmp_path_factory.mktemp("export")
    config = SearchConfig.parse({"name": NASTY, "strategy": "random"})
    arrays = registry.load("digits")
    space = make_space(config, arrays.spec)
    architecture = space.sample(np.random.default_rng(3))
    plan = space.plan(architecture)
    built = build(plan, seed=5)
    save_file(built.state_dict(), folder / "weights.safetensors")
    logits = reference_logits(built, normalize(arrays.validation.x, arrays.spec))
    scores = reference_scores(logits, arrays.validation.y)
    final = Report(
        metrics={"accuracy": scores.accuracy, "test_accuracy": 0.9, "n_test": 360.0},
        fidelity=50,
        correct=scores.bits,
        n_samples=360,
        seed=11,
        cost={"duration_s": 61.0, "device_model": "cpu <b>", "precision": "float32", "layout": "contiguous"},
    )
    return Exported(folder, config, arrays, space, architecture, plan, folder / "weights.safetensors", logits, final)


@pytest.fixture(scope="session")
def bundle(network: Exported) -> Any:
    """(result, events) of one good export."""
    return network.write()


@pytest.fixture
def unpacked(bundle: Any, tmp_path: Path) -> Path:
    """The bundle as a user has it: unzipped somewhere else."""
    import zipfile

    with zipfile.ZipFile(bundle[0].path_zip) as archive:
        archive.extractall(tmp_path / "bundle")
    return tmp_path / "bundle"
