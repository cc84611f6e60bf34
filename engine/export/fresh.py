"""Runs in a fresh interpreter (`python -I`) and checks a bundle as someone who never saw this project would use it.

A program of its own: it imports nothing of the project, and refuses every import of it. Arguments: the bundle's
folder, the folder with what to check against (`x.npy`, `y.npy`, `reference.npy`, `samples.json` and raw samples), the
file for the result, the largest difference allowed of ONNX (for logits up to 1; of their size above). It begins before
`model.onnx` is written and waits for a line on standard input, so that loading torch overlaps the export.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.abc
import importlib.util
import io
import json
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FORBIDDEN = {"engine", "searches", "nasweb"}
BATCH = 256


class Blocker(importlib.abc.MetaPathFinder):
    """Refuses imports of the project, also where it is installed in this environment."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Raises for the project's packages, and leaves the rest to others."""
        if fullname.partition(".")[0] in FORBIDDEN:
            raise ModuleNotFoundError(f"{fullname} belongs to the project that wrote this bundle", name=fullname)


def imported(source: str) -> set[str]:
    """Top-level packages a source text imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0] if not node.level else ".")
    return found


def batches(run: Callable[[Any], Any], x: Any) -> Any:
    """Logits of all samples, in batches of a fixed size."""
    return np.concatenate([run(np.ascontiguousarray(x[i : i + BATCH])) for i in range(0, len(x), BATCH)])


class Checks:
    """Collects what was found; one failing check does not hide the others.

    What is found is written as it comes, so that a check that takes the whole process down is named, too.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: dict[str, dict[str, Any]] = {}

    @contextlib.contextmanager
    def check(self, name: str) -> Any:
        """Gives a dictionary to fill with "ok" and figures; an exception becomes a failed check."""
        row: dict[str, Any] = {"ok": False}
        self.found[name] = row
        try:
            yield row
        except (Exception, SystemExit) as e:
            row["ok"] = False
            row["error"] = f"{type(e).__name__}: {e}" if str(e) else type(e).__name__
            row["traceback"] = traceback.format_exc()
        self.path.write_text(json.dumps(self.found))


def check_model(checks: Checks, folder: Path, x: Any, reference: Any) -> Any:
    """Imports model.py, loads the weights strictly, compares the logits. Returns them, or None."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    network: Any = None
    logits: Any = None
    with checks.check("loads") as row:
        foreign = imported((folder / "model.py").read_text()) - {"torch", "math", "__future__"}
        spec = importlib.util.spec_from_file_location("model", folder / "model.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        network = module.Network()
        row["imports"] = sorted(foreign)
        row["ok"] = not foreign and not FORBIDDEN & {name.partition(".")[0] for name in sys.modules}
    with checks.check("weights") as row:
        network.load_state_dict(load_file(folder / "weights.safetensors"), strict=True)
        network.eval()
        row["n_params"] = sum(p.numel() for p in network.parameters())
        row["ok"] = True
    with checks.check("model") as row, torch.inference_mode():
        logits = batches(lambda part: network(torch.from_numpy(part)).numpy(), x)
        row["difference"] = float(np.abs(logits - reference).max())
        row["ok"] = bool(np.array_equal(logits, reference))
    return logits


def check_onnx(checks: Checks, folder: Path, x: Any, reference: Any, limit: float) -> Any:
    """Runs model.onnx on the same samples. Returns its logits, or None."""
    import onnxruntime

    logits: Any = None
    with checks.check("onnx") as row:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )
        logits = batches(lambda part: session.run(["logits"], {"input": part})[0], x)
        row["difference"] = float(np.abs(logits - reference).max())
        row["batch"] = session.get_inputs()[0].shape[0]
        row["limit"] = limit * max(1.0, float(np.abs(reference).max()))  # of large logits the last digits differ
        row["ok"] = row["difference"] <= row["limit"] and not isinstance(row["batch"], int)
    return logits


def check_predict(checks: Checks, folder: Path, samples: list[dict[str, Any]]) -> None:
    """Runs predict.py as a program on raw files, on both runtimes."""
    with checks.check("predict") as row:
        wrong = []
        for runtime in ([], ["--onnx"]):
            out = io.StringIO()
            sys.argv = ["predict.py", "--json", *runtime, *[s["file"] for s in samples]]
            with contextlib.redirect_stdout(out):
                runpy.run_path(str(folder / "predict.py"), run_name="__main__")
            lines = [json.loads(line) for line in out.getvalue().splitlines()]
            if len(lines) != len(samples):
                raise ValueError(f"predict.py printed {len(lines)} lines for {len(samples)} files")
            for sample, line in zip(samples, lines, strict=True):
                if line["class"] != sample["class"]:
                    wrong.append(f"{Path(sample['file']).name}: {line['class']} instead of {sample['class']}")
        row["wrong"] = wrong
        row["ok"] = not wrong


def main() -> None:
    """Checks; the result file holds one entry per check."""
    folder, material, result = (Path(a) for a in sys.argv[1:4])
    limit = float(sys.argv[4])
    sys.meta_path.insert(0, Blocker())
    x = np.load(material / "x.npy", mmap_mode="r")
    y = np.load(material / "y.npy")
    reference = np.load(material / "reference.npy")
    checks = Checks(result)
    by_model = check_model(checks, folder, x, reference)
    import onnxruntime  # noqa: F401 - while the exporter is still writing

    if sys.stdin.readline().strip() != "onnx":
        return
    by_onnx = check_onnx(checks, folder, x, reference, limit)
    with checks.check("count") as row:
        row["counts"] = [int((logits.argmax(1) == y).sum()) for logits in (reference, by_model, by_onnx)]
        row["n"] = len(y)
        row["ok"] = len(set(row["counts"])) == 1
    check_predict(checks, folder, json.loads((material / "samples.json").read_text()))


if __name__ == "__main__":
    main()
