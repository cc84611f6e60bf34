"""Checks a bundle in a fresh process before anyone may download it (`fresh.py` is what runs there)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.data.arrays import normalize
from engine.data.spec import DataSpec
from engine.export import fresh
from engine.export.samples import is_picture, write_raw

#: largest difference of logits between ONNX Runtime and the trained network, in parts of the largest logit above 1
ONNX_LIMIT = 1e-4
#: the fresh process is given up after so long
TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Check:
    """One line of the check list.

    Attributes:
        name: what was checked, for people.
        ok: whether it holds.
        detail: the figure behind it, or what went wrong.
    """

    name: str
    ok: bool
    detail: str

    def to_json(self) -> dict[str, Any]:
        """As stored with the trial."""
        return asdict(self)


def write_material(
    folder: Path,
    raw: NDArray[Any],
    y: NDArray[np.int64],
    reference: NDArray[np.float32],
    data: DataSpec,
    preprocessing: Mapping[str, Any] | None = None,
) -> None:
    """Writes what the fresh process compares with: the whole validation split, and some raw samples as files.

    The raw samples are the surest ones of up to three predicted classes, each as `.npy` with raw values and in the form
    that suits its kind: a picture (8 bits, so a sample at a border between two classes would not be a fair one), a
    text, a clip, a row of a table.
    """
    folder.mkdir(parents=True)
    np.save(folder / "x.npy", normalize(raw, data))
    np.save(folder / "y.npy", y)
    np.save(folder / "reference.npy", reference)
    ordered = np.sort(reference, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    predicted = reference.argmax(axis=1)
    samples: list[dict[str, Any]] = []
    for label in np.unique(predicted)[:3]:
        members = np.flatnonzero(predicted == label)
        i = int(members[np.argmax(margin[members])])
        for path in write_raw(raw[i], data, preprocessing, folder / f"sample-{i}"):
            samples.append({"file": str(path), "class": int(label)})
    (folder / "samples.json").write_text(json.dumps(samples))


class FreshProcess:
    """The checking process: started early, told when the ONNX file is there, then read.

    Use as a context manager: however it is left, the process is gone afterwards.

    Args:
        bundle: the bundle's folder.
        material: what `write_material` wrote.
        scratch: its working directory and where its result goes; outside the bundle.
    """

    def __init__(self, bundle: Path, material: Path, scratch: Path) -> None:
        self.result = scratch / "found.json"
        self.errors = scratch / "errors.txt"
        scratch.mkdir(parents=True)
        arguments = [bundle, material, self.result, ONNX_LIMIT]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                # -I: no PYTHON* variables, no user site, and neither the working directory nor the script's folder
                # on the path
                [sys.executable, "-I", "-B", str(Path(fresh.__file__).resolve()), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=scratch,
                env={
                    **{k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH")},
                    "OMP_NUM_THREADS": "1",
                },
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def finish(self) -> dict[str, dict[str, Any]]:
        """Says that `model.onnx` is there and waits for what was found, by check."""
        crash = ""
        try:
            self.process.communicate(b"onnx\n", timeout=TIMEOUT_S)
        except subprocess.TimeoutExpired:
            crash = f"the checking process took longer than {TIMEOUT_S:g} s"
        except BrokenPipeError:  # it ended before it was told; the exit status says how
            self.process.wait(TIMEOUT_S)
        if not crash and self.process.returncode:
            said = self.errors.read_text(errors="replace").strip().splitlines()
            crash = f"the checking process ended with status {self.process.returncode}: {said[-1] if said else ''}"
        found: dict[str, dict[str, Any]] = json.loads(self.result.read_text()) if self.result.exists() else {}
        if crash:
            found["crash"] = {"ok": False, "error": crash}
        return found


def judge(found: dict[str, dict[str, Any]], *, data: DataSpec, n_params: int, claimed: int | None) -> list[Check]:
    """The six lines people see.

    Args:
        found: what the fresh process wrote.
        data: for the words.
        n_params: trainable parameters of the plan.
        claimed: right answers on the validation split in the report of the full training, where it says so.
    """
    crash = found.get("crash", {}).get("error", "")

    def line(name: str, key: str, words: Any) -> Check:
        row = found.get(key)
        if row is None:
            return Check(name, False, crash or "not reached")
        if "error" in row:
            return Check(name, False, row["error"])
        ok, detail = words(row)
        return Check(name, bool(ok), detail)

    def loads(row: dict[str, Any]) -> tuple[bool, str]:
        return row["ok"], f"imports {', '.join(row['imports'])}" if row["imports"] else ""

    def weights(row: dict[str, Any]) -> tuple[bool, str]:
        n = row["n_params"]
        same = n == n_params
        return row["ok"] and same, f"{n:,} parameters" + ("" if same else f" instead of {n_params:,}")

    def count(row: dict[str, Any]) -> tuple[bool, str]:
        counts = [*row["counts"], *([] if claimed is None else [claimed])]
        if len(set(counts)) == 1:
            return row["ok"], f"{counts[0]:,} of {row['n']:,}, all three"
        names = ("trained", "model.py", "model.onnx", "report of the training")
        return False, ", ".join(f"{name} {n:,}" for name, n in zip(names, counts, strict=False)) + f" of {row['n']:,}"

    kind = raw_words(data)
    return [
        line("model.py loads in a fresh process, without this project on its path", "loads", loads),
        line("weights.safetensors loads strictly", "weights", weights),
        line(
            "model.py against the trained network",
            "model",
            lambda r: (r["ok"], f"max difference {r['difference']:.2g}"),
        ),
        line(
            "model.onnx against the trained network",
            "onnx",
            lambda r: (
                r["ok"],
                f"max difference {r['difference']:.2g}, limit {r['limit']:.2g}"
                + (f"; its batch is fixed at {r['batch']}" if isinstance(r["batch"], int) else ""),
            ),
        ),
        line("same count on the full validation split", "count", count),
        line(
            f"predict.py runs on a raw {kind}",
            "predict",
            lambda r: (r["ok"], "preprocessing included" if r["ok"] else "; ".join(r["wrong"])),
        ),
    ]


def raw_words(data: DataSpec) -> str:
    """What a raw sample is: "8×8 image", "text", "clip of 3,000 values"."""
    if is_picture(data):
        return f"{data.input_shape[1]}×{data.input_shape[2]} image"
    if data.kind == "text":
        return "text"
    if data.kind == "signal":
        return f"signal of {data.input_shape[-1]:,} values"
    if data.kind == "table":
        return f"row of {data.input_shape[0]:,} columns"
    return f"sample of {'×'.join(map(str, data.input_shape))} values"
