"""The text of a bundle's `predict.py`: raw input in, class and probabilities out.

The written program imports nothing of this project. It runs on PyTorch (`model.py` + `weights.safetensors`) or, where
torch is absent or `--onnx` is given, on ONNX Runtime (`model.onnx`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Any

from engine.data.spec import DataSpec
from engine.export.predict_readers import READERS

#: longest line of the written program, where names allow it
_WIDTH = 100


def plain(text: str, limit: int = 120) -> str:
    """A name from a person as one harmless line: for docstrings, comments and Markdown headings of generated files.

    Control and direction characters, quotes and backslashes are dropped, white space becomes one space.
    """
    kept = "".join(
        " " if c.isspace() else c
        for c in unicodedata.normalize("NFC", text)
        if c.isspace() or (unicodedata.category(c)[0] != "C" and c not in "\\\"'`")
    )
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def predict_source(data: DataSpec, *, title: str, preprocessing: Mapping[str, Any] | None = None) -> str:
    """The program's text for a data set.

    Args:
        data: kind, shape, classes and preprocessing; names are written as ASCII literals.
        title: what the first line says; any text, made harmless here.
        preprocessing: what `data.registry.preprocessing` gives; without it text and signals are read from arrays alone.
    """
    given = dict(preprocessing or {})
    example, usage = _usage(data, given)
    values = {
        "CONSTANTS": _constants(data, given),
        "IMPORTS": "".join(f"import {name}\n" for name in _imports(data)),
        "TITLE": plain(title) or "a network",
        "USAGE": usage,
        "EXAMPLE": example,
        "PILLOW": ", Pillow for images" if data.kind == "image" else "",
        "INVERT": _INVERT if data.kind == "image" else "",
        "STDIN": ' and str(path) != "-"' if data.kind == "text" else "",
        "ORCLIP": ", or a clip in a row" if given.get("rate") else "",
        "CLASSES": _names(data.class_names),
        "SHAPE": repr(tuple(data.input_shape)),
    }
    # in one pass, so that a title or a name is never taken for a place to fill in
    template = TEMPLATE.replace("@READ@", READERS[data.kind].strip("\n"))
    return re.sub(r"@([A-Z]+)@", lambda place: values[place[1]], template)


def example_file(data: DataSpec, preprocessing: Mapping[str, Any] | None) -> str:
    """A raw file as a user may have it: "image.png", "texts.txt", "clip.wav", "rows.csv" or "sample.npy"."""
    return _usage(data, dict(preprocessing or {}))[0]


def _usage(data: DataSpec, given: Mapping[str, Any]) -> tuple[str, str]:
    """(example file, what files there may be)."""
    raw = f"raw values, 0 to {data.scale:g}" if data.scale != 1 else "raw values"
    if data.kind == "image":
        return "image.png", f"an image (PNG, JPEG, ...) or .npy with {raw}"
    if data.kind == "text":
        known = ".npy with word numbers"
        return ("texts.txt", f"a text a line (- is standard input), or {known}") if given.get("words") else (
            "sample.npy", known)  # fmt: skip
    if data.kind == "signal" and given.get("rate"):
        return "clip.wav", f"8 or 16 bits, best at {given['rate']} samples a second, or .npy"
    if data.kind == "table" and data.columns:
        return "rows.csv", "a header with the names of the columns, a sample a line, or .npy"
    return "sample.npy", ".npy with raw values"


def _imports(data: DataSpec) -> list[str]:
    own = {"text": ("re", "unicodedata"), "signal": ("wave",), "table": ("csv",)}.get(data.kind, ())
    return sorted(("argparse", "importlib.util", "json", "sys", *own))


def _constants(data: DataSpec, given: Mapping[str, Any]) -> str:
    """Assignments that the readers need."""
    if data.kind == "text":
        return f"VOCABULARY = {data.vocabulary}\n"
    channel = "column" if data.kind == "table" else "channel"
    lines = [
        f"SCALE = {float(data.scale)!r}  # raw values are divided by this first ...",
        f"MEAN = {_numbers(data.mean)}  # ... then standardized per {channel}",
        f"STD = {_numbers(data.std)}",
    ]
    if data.kind == "signal":
        rate, length, stride = (int(given.get(key, 0)) for key in ("rate", "length", "stride"))
        lines += [
            f"RATE = {rate}  # samples a second",
            f"LENGTH = {length}  # samples of a clip that are read ...",
            f"STRIDE = {stride}  # ... and so many become one, their mean",
        ]
    if data.kind == "table":
        rows = [f"    ({ascii(c.name)}, {_tuple(c.categories)})," for c in data.columns]
        lines += [
            "# name of each column, and its categories by code; none = numbers",
            "COLUMNS = (\n" + "\n".join(rows) + "\n)" if rows else "COLUMNS = ()",
            f"MISSING = {_tuple(tuple(given.get('missing', ('', '?'))))}",
        ]
    return "\n".join(lines) + "\n"


def _numbers(values: tuple[float, ...]) -> str:
    return repr(tuple(float(v) for v in values))


def _tuple(names: tuple[str, ...]) -> str:
    """Names as a literal in ASCII, on lines of their own where they are many."""
    line = "(" + ", ".join(ascii(name) for name in names) + ("," if len(names) == 1 else "") + ")"
    return line if len(line) <= _WIDTH - 20 else _names(names)


def _names(names: tuple[str, ...]) -> str:
    lines: list[str] = []
    row = "   "
    for name in names:
        literal = f" {ascii(name)},"
        if len(row) + len(literal) > _WIDTH:
            lines.append(row)
            row = "   "
        row += literal
    return "(\n" + "\n".join([*lines, row]) + "\n)"


_INVERT = '    parser.add_argument("--invert", action="store_true", help="swap black and white of images first")\n'

TEMPLATE = '''#!/usr/bin/env python3
"""Predicts classes with @TITLE@.

    python predict.py @EXAMPLE@ [MORE ...]     @USAGE@
    python predict.py --onnx @EXAMPLE@         with ONNX Runtime instead of PyTorch
    python predict.py --json @EXAMPLE@         one JSON object a line

Needs numpy@PILLOW@, and either torch + safetensors or onnxruntime (requirements.txt).
"""

@IMPORTS@from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CLASSES = @CLASSES@
SHAPE = @SHAPE@  # one sample, without batch
@CONSTANTS@

def warn(text):
    """Says something on standard error."""
    sys.stderr.write(f"warning: {text}\\n")


@READ@


def torch_network():
    """model.py with weights.safetensors, as a function from inputs to logits."""
    import torch
    from safetensors.torch import load_file

    spec = importlib.util.spec_from_file_location("model", HERE / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network()
    network.load_state_dict(load_file(HERE / "weights.safetensors"), strict=True)
    network.eval()

    def run(x):
        with torch.inference_mode():
            return network(torch.from_numpy(x)).numpy()

    return run


def onnx_network():
    """model.onnx, as a function from inputs to logits."""
    import onnxruntime

    session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
    return lambda x: session.run(["logits"], {"input": x})[0]


def choose(onnx):
    """The runtime asked for, or the one that is installed."""
    if not onnx and importlib.util.find_spec("torch") and importlib.util.find_spec("safetensors"):
        return torch_network()
    if importlib.util.find_spec("onnxruntime"):
        return onnx_network()
    raise SystemExit("install torch and safetensors, or onnxruntime: pip install -r requirements.txt")


def softmax(logits):
    """Probabilities, (batch, classes)."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def main():
    """Reads the command line, prints one line per sample."""
    parser = argparse.ArgumentParser(description="Predicts the class of raw inputs.")
    parser.add_argument("inputs", nargs="+", metavar="FILE", type=Path)
    parser.add_argument("--onnx", action="store_true", help="use ONNX Runtime")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--top", type=int, default=3, help="how many classes to show")
@INVERT@    args = parser.parse_args()
    run = choose(args.onnx)
    for path in args.inputs:
        if not path.is_file()@STDIN@:
            raise SystemExit(f"{path}: no such file")
        x = preprocess(read(path, args))
        logits = np.concatenate([run(x[i : i + 256]) for i in range(0, len(x), 256)])
        for i, row in enumerate(softmax(logits)):
            name = f"{path}[{i}]" if len(x) > 1 else str(path)
            best = [int(k) for k in np.argsort(-row, kind="stable")]
            if args.json:
                line = {"input": name, "class": best[0], "name": CLASSES[best[0]]}
                print(json.dumps({**line, "probabilities": [float(p) for p in row]}))
            else:
                shown = "   ".join(f"{CLASSES[k]} {100 * row[k]:.1f} %" for k in best[: max(1, args.top)])
                print(f"{name}: {CLASSES[best[0]]}   ({shown})")


if __name__ == "__main__":
    main()
'''
