"""Writes the bundle of a fully trained network, and offers it only after it was checked in a fresh process."""

from __future__ import annotations

import json
import os
import shutil
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.data.spec import DataSpec
from engine.evaluation.base import Emit, Report
from engine.export.card import model_card
from engine.export.onnx import export_onnx
from engine.export.predict import plain, predict_source
from engine.export.source import model_source
from engine.export.verify import Check, FreshProcess, judge, write_material
from engine.network.costs import costs
from engine.network.picture import picture
from engine.network.plan import NetworkPlan

if TYPE_CHECKING:
    from torch import nn

    from engine.data.arrays import Split
    from engine.spaces.base import SearchSpace

#: files of a bundle, in the order they are shown
FILES = (
    "model.py",
    "weights.safetensors",
    "model.onnx",
    "architecture.json",
    "MODEL_CARD.md",
    "predict.py",
    "requirements.txt",
)
#: packages whose versions a bundle names
PACKAGES = ("torch", "numpy", "safetensors", "onnx", "onnxscript", "onnxruntime", "nasweb")
#: what a bundle needs to run; the versions it was checked with follow as a comment
NEEDS = ("numpy", "pillow", "torch", "safetensors", "onnxruntime")


@dataclass(frozen=True)
class BundleResult:
    """What came of an export.

    Attributes:
        path_zip: the archive, or None where a check failed.
        checks: six of `{"name", "ok", "detail"}`.
        ok: whether every check holds.
        reason: why there is no download; empty where there is one.
        sizes: bytes by file.
        duration_s: of export and checks.
    """

    path_zip: Path | None
    checks: list[dict[str, Any]]
    ok: bool
    reason: str
    sizes: dict[str, int] = field(default_factory=dict)
    duration_s: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """For the pipe between a worker and its child, and for the trial's row."""
        return {
            "path": str(self.path_zip) if self.path_zip else None,
            "checks": self.checks,
            "ok": self.ok,
            "reason": self.reason,
            "sizes": self.sizes,
            "duration_s": self.duration_s,
        }


def versions_here() -> dict[str, str]:
    """Versions of what trains and exports, on this machine."""
    out: dict[str, str] = {}
    for package in PACKAGES:
        try:
            out[package] = version(package)
        except PackageNotFoundError:
            continue
    return out


def write_bundle(
    *,
    folder: Path,
    config: SearchConfig,
    data: DataSpec,
    architecture: Architecture,
    plan: NetworkPlan,
    weights_path: Path,
    report: Report | None,
    final_report: Report,
    space: SearchSpace,
    versions: Mapping[str, str] | None = None,
    emit: Emit,
    trial: int = 0,
    validation: Split | None = None,
    preprocessing: Mapping[str, Any] | None = None,
) -> BundleResult:
    """Writes `folder/bundle.zip` and checks its content in a fresh process.

    The archive appears under its name only when it is whole and every check holds.

    Args:
        folder: scratch of this job; a sub-folder of it is emptied first.
        config: the search.
        data: spec of the data the network was trained on.
        architecture, plan: what was trained.
        weights_path: safetensors with the keys of `build(plan)`.
        report: the trial's report in the search, if there is one.
        final_report: report of the full training; its artifact "logits", where there is one, is what the exported
            files must reproduce.
        space: for names of decisions and options.
        versions: package versions to print; None = those of this process.
        emit: told the phases "export" and "verify" and one log line for each.
        trial: the trial's number.
        validation: the raw validation split; None = read from the data registry.
        preprocessing: how raw input becomes a sample; None = asked of the data registry, if it holds this data set.

    Raises:
        EngineError, OSError: the export itself failed (a failed check is a result, not an error).
    """
    from safetensors.torch import load_file, save_file

    from engine.data import registry
    from engine.data.arrays import example
    from engine.network.build import build

    began = time.monotonic()
    emit({"kind": "phase", "phase": "export"})
    root = folder / "export"
    shutil.rmtree(root, ignore_errors=True)
    bundle, material = root / "bundle", root / "material"
    bundle.mkdir(parents=True)
    versions = dict(versions_here() if versions is None else versions)
    name = space.short_name(architecture)
    plan_costs = costs(plan)
    recipe = config.training.chosen(space.recipe_choices(architecture), data.input_shape)
    if preprocessing is None and config.data.name == data.name and data.name in registry.sources():
        preprocessing = registry.preprocessing(data.name, config.data.options())

    network = build(plan)
    network.load_state_dict(load_file(weights_path), strict=True)
    network.eval()
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, bundle / "weights.safetensors")
    title = plain(f"{name}, from the search {config.name}") or "Network"
    (bundle / "model.py").write_text(model_source(plan, title=title), encoding="utf-8")
    (bundle / "predict.py").write_text(predict_source(data, title=title, preprocessing=preprocessing), encoding="utf-8")
    (bundle / "requirements.txt").write_text(_requirements(data), encoding="utf-8")
    (bundle / "architecture.json").write_text(
        json.dumps(
            _architecture(config, data, architecture, plan, name, final_report, versions, trial, recipe, preprocessing),
            indent=1,
            ensure_ascii=False,
        ),
        encoding="utf-8",
    )
    if validation is None:
        validation = registry.load(config.data.name, config.data.options()).validation
    reference = _reference(network, validation, data, final_report)
    write_material(material, validation.x, validation.y, reference, data, preprocessing)

    with FreshProcess(bundle, material, root / "scratch") as process:
        inputs = example(data, 4, np.random.default_rng(0))
        export_onnx(network, plan.input_shape, bundle / "model.onnx", plan.input_type, inputs)
        emit({"kind": "phase", "phase": "verify"})
        found = process.finish()
    claimed = round(final_report.metrics["accuracy"] * len(validation)) if "accuracy" in final_report.metrics else None
    checks = judge(found, data=data, n_params=plan_costs.n_params, claimed=claimed)
    (bundle / "MODEL_CARD.md").write_text(
        model_card(
            config=config,
            data=data,
            architecture=architecture,
            name=name,
            costs=plan_costs,
            quick=report,
            final=final_report,
            trial=trial,
            checks=checks,
            versions=versions,
            options_text={d: space.format(d, o) for d, o in architecture.items},
            recipe=recipe,
            preprocessing=preprocessing,
            picture=picture(plan),
        ),
        encoding="utf-8",
    )
    sizes = {file: (bundle / file).stat().st_size for file in FILES}
    shutil.rmtree(material)
    return _result(checks, bundle, sizes, folder / "bundle.zip", began, emit)


def _result(
    checks: list[Check], bundle: Path, sizes: dict[str, int], path: Path, began: float, emit: Emit
) -> BundleResult:
    failed = [c for c in checks if not c.ok]
    took = time.monotonic() - began
    rows = [c.to_json() for c in checks]
    if failed:
        reason = "; ".join(f"{c.name}: {c.detail or 'does not hold'}" for c in failed)
        emit({"kind": "log", "what": "verify", "message": f"{len(failed)} of {len(checks)} checks failed: {reason}"})
        return BundleResult(None, rows, False, f"no download, a check failed: {reason}", sizes, took)
    _zip(bundle, path)
    size = path.stat().st_size
    emit({"kind": "log", "what": "export", "message": f"bundle written, {len(FILES)} files, {size / 1e6:.2f} MB"})
    emit({"kind": "log", "what": "verify", "message": f"{len(checks)} of {len(checks)} checks passed"})
    return BundleResult(path, rows, True, "", sizes, took)


def _zip(bundle: Path, path: Path) -> None:
    """Packs the files, the same bytes for the same content, and renames when whole."""
    part = path.with_suffix(".part")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in FILES:
            info = zipfile.ZipInfo(file, (2020, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, (bundle / file).read_bytes())
    with part.open("rb") as whole:
        os.fsync(whole.fileno())
    part.replace(path)


def _reference(network: nn.Module, validation: Split, data: DataSpec, final: Report) -> NDArray[np.float32]:
    """Validation logits (n, classes) of the trained network: those the training left, or the same made again."""
    from engine.data.arrays import normalize
    from engine.training.inference import reference_logits

    if path := final.artifacts.get("logits"):
        left: NDArray[np.float32] = np.load(path, allow_pickle=False)
        return left
    return reference_logits(network, normalize(validation.x, data))


def _requirements(data: DataSpec) -> str:
    lines = ["# checked with these versions; either torch with safetensors, or onnxruntime, is enough"]
    for package in NEEDS:
        if package == "pillow" and data.kind != "image":
            continue
        try:
            # a local build tag ("+cpu") is no version that an index offers
            exact = version(package).partition("+")[0]
        except PackageNotFoundError:
            continue
        major = exact.partition(".")[0]
        lines.append(f"{package}>={major}  # {exact}")
    return "\n".join(lines) + "\n"


def _architecture(
    config: SearchConfig,
    data: DataSpec,
    architecture: Architecture,
    plan: NetworkPlan,
    name: str,
    final: Report,
    versions: Mapping[str, str],
    trial: int,
    recipe: Recipe,
    preprocessing: Mapping[str, Any] | None,
) -> dict[str, Any]:
    whole = config.to_json()
    return {
        "schema": 1,
        "name": name,
        "choices": architecture.choices,
        "space": whole["space"],
        "plan": {**plan.to_json(), "input_type": plan.input_type, "auxiliary": list(plan.auxiliary)},
        "costs": costs(plan).as_metrics(),
        "data": data.model_dump(mode="json"),
        "preprocessing": None if preprocessing is None else dict(preprocessing),
        "found_by": {
            "search": config.name,
            "trial": trial,
            "seed": config.seed,
            **{part: whole[part] for part in ("strategy", "schedule", "objectives", "limits", "budget")},
        },
        # what the architecture decided about its training is in it
        "training": {**recipe.model_dump(mode="json"), "epochs": final.fidelity, "seed": final.seed},
        "metrics": dict(final.metrics),
        "versions": dict(versions),
    }
