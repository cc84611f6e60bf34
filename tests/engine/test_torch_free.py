"""The web process never loads torch: proved in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CODE = """
import importlib, pkgutil, sys
import numpy as np

for name in ("config", "architecture", "objectives", "catalog", "conductor", "network.plan", "network.costs",
             "network.picture", "network.canonical", "network.operations", "data.spec", "evaluation.base"):
    importlib.import_module(f"engine.{name}")
for package in ("spaces", "strategies", "schedules", "analysis", "arena"):
    module = importlib.import_module(f"engine.{package}")
    for info in pkgutil.iter_modules(module.__path__):
        importlib.import_module(f"engine.{package}.{info.name}")

from engine import catalog
from engine.data.spec import DataSpec
from engine.network.picture import picture

data = DataSpec(name="d", input_shape=(1, 8, 8), n_classes=10, class_names=tuple("0123456789"),
                sizes={"train": 1, "validation": 1, "test": 1}, digest="", split_digest="", mean=(0.0,), std=(1.0,))
for kind in catalog.KINDS:
    assert catalog.plugins(kind), kind
rng = np.random.default_rng(0)
for cls in catalog.plugins("space").values():
    if cls.fits(data) is None:
        space = cls(cls.Options(**cls.suggested(data))).bind(data)
        arch = space.mutate(space.sample(rng), 1, rng)
        space.costs(arch), space.canonical_key(arch), space.features(arch), space.outline()
        picture(space.plan(arch))
loaded = sorted(m for m in ("torch", "torchvision", "django") if m in sys.modules)
sys.exit(f"loaded: {loaded}" if loaded else 0)
"""


def test_deciding_and_drawing_load_no_torch():
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
