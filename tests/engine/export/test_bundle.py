"""The bundle as a whole: what is in it, that it was checked, and that a wrong one is not offered."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.export.bundle import FILES
from tests.engine.export.conftest import NASTY, Exported


def test_six_checks_hold_and_the_zip_has_every_file(bundle: Any) -> None:
    result, events = bundle
    assert [c["ok"] for c in result.checks] == [True] * 6, result.checks
    assert result.ok and result.reason == ""
    assert result.checks[2]["detail"] == "max difference 0"
    assert "all three" in result.checks[4]["detail"]
    with zipfile.ZipFile(result.path_zip) as archive:
        assert archive.namelist() == list(FILES)
        assert archive.testzip() is None
        assert {i.filename: i.file_size for i in archive.infolist()} == result.sizes
    assert [e["phase"] for e in events if e["kind"] == "phase"] == ["export", "verify"]
    assert json.loads(json.dumps(result.to_json()))["path"] == str(result.path_zip)


def test_names_from_people_cannot_become_code_or_markup(unpacked: Path) -> None:
    for file in ("model.py", "predict.py"):
        source = (unpacked / file).read_text()
        assert "\u202e" not in source
        doc = ast.get_docstring(ast.parse(source)) or ""
        assert "<script>" in doc and "import os" in doc.splitlines()[0]  # one harmless line
        assert not any(isinstance(n, ast.Import) and n.names[0].name == "os" for n in ast.walk(ast.parse(source)))
    card = (unpacked / "MODEL_CARD.md").read_text()
    assert "<script>" not in card and "\\<script\\>" in card and "cpu \\<b\\>" in card
    assert json.loads((unpacked / "architecture.json").read_text())["found_by"]["search"] == NASTY


def test_card_names_counts_intervals_and_differences(unpacked: Path) -> None:
    card = (unpacked / "MODEL_CARD.md").read_text()
    assert "**sealed test, after full training** | 90.00 % | 36 of 360 | 86.5 to 92.7 %" in card
    assert "in the search (9 epochs) | 95.00 % | 18 of 360" in card
    assert "max difference 0 |" in card and "limit 0.0001" in card
    assert "1,077 training, 360 validation, 360 sealed test" in card
    assert "## Network" in card and "```mermaid\nflowchart TD\n  n0([" in card and "linear 10 → 10" in card
    assert "seed 11" in card and "1:01 for the full training" in card and "torch 2." in card


def test_architecture_json_builds_the_same_network_again(unpacked: Path, network: Exported) -> None:
    value = json.loads((unpacked / "architecture.json").read_text())
    again = network.space.validate(value["choices"])
    assert again == network.architecture
    plan = {**network.plan.to_json(), "input_type": "float32", "auxiliary": []}
    assert value["plan"] == json.loads(json.dumps(plan))
    assert value["data"]["digest"] == network.arrays.spec.digest


def test_onnx_takes_any_batch(unpacked: Path, network: Exported) -> None:
    import onnxruntime

    from engine.data.arrays import normalize

    session = onnxruntime.InferenceSession(str(unpacked / "model.onnx"), providers=["CPUExecutionProvider"])
    x = normalize(network.arrays.validation.x, network.arrays.spec)
    for n in (1, 3, 360):
        found = session.run(["logits"], {"input": x[:n]})[0]
        np.testing.assert_allclose(found, network.logits[:n], atol=1e-4)


def test_weights_that_were_changed_are_found_out(network: Exported, tmp_path: Path) -> None:
    """The reference is what the training left: one weight off by a little, and there is no download."""
    from safetensors.torch import load_file, save_file

    weights = load_file(network.weights)
    name = next(k for k in weights if k.endswith("weight"))
    weights[name].view(-1)[0] += 1e-3
    save_file(weights, tmp_path / "off.safetensors")
    np.save(tmp_path / "logits.npy", network.logits)
    result, events = network.write(
        folder=tmp_path,
        weights_path=tmp_path / "off.safetensors",
        final_report=replace(network.final, artifacts={"logits": str(tmp_path / "logits.npy")}),
    )
    assert not result.ok and result.path_zip is None
    assert result.reason.startswith("no download") and "model.py against the trained network" in result.reason
    assert not (tmp_path / "bundle.zip").exists()
    assert any("checks failed" in e.get("message", "") for e in events)


def test_a_report_that_claims_more_right_answers_is_found_out(network: Exported, tmp_path: Path) -> None:
    metrics = {**network.final.metrics, "accuracy": network.final.metrics["accuracy"] + 2 / 360}
    result, _ = network.write(folder=tmp_path, final_report=replace(network.final, metrics=metrics))
    assert not result.ok
    assert [c["ok"] for c in result.checks] == [True, True, True, True, False, True]
    assert "report of the training" in result.checks[4]["detail"]


def test_a_user_without_the_project_classifies_a_picture(unpacked: Path, network: Exported, tmp_path: Path) -> None:
    from engine.export.samples import save_png

    raw = network.arrays.validation.x
    i = int(np.argmax(np.ptp(network.logits, axis=1)))
    save_png(raw[i], network.arrays.spec, tmp_path / "digit.png")
    done = subprocess.run(
        [sys.executable, "-I", str(unpacked / "predict.py"), "digit.png", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    line = json.loads(done.stdout)
    assert line["class"] == int(network.logits[i].argmax())
    assert abs(sum(line["probabilities"]) - 1) < 1e-5
    assert done.stderr == ""
