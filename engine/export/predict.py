"""The text of a bundle's `predict.py`: raw input in, class and probabilities out.

The written program imports nothing of this project. It runs on PyTorch (`model.py` + `weights.safetensors`) or, where
torch is absent or `--onnx` is given, on ONNX Runtime (`model.onnx`).
"""

from __future__ import annotations

import unicodedata

from engine.data.spec import DataSpec


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


def predict_source(data: DataSpec, *, title: str) -> str:
    """The program's text for a data set.

    Args:
        data: shape, classes and preprocessing; names are written as ASCII literals.
        title: what the first line says; any text, made harmless here.
    """
    image = len(data.input_shape) == 3
    values = {
        "TITLE": plain(title) or "a network",
        "WHAT": "an image (PNG, JPEG, ...) or " if image else "",
        "EXAMPLE": "image.png" if image else "sample.npy",
        "PILLOW": ", Pillow for images" if image else "",
        "RAW": f"raw values, 0 to {data.scale:g}" if data.scale != 1 else "raw values",
        "CLASSES": _names(data.class_names),
        "SHAPE": repr(tuple(data.input_shape)),
        "SCALE": repr(float(data.scale)),
        "MEAN": repr(tuple(float(v) for v in data.mean)),
        "STD": repr(tuple(float(v) for v in data.std)),
    }
    text = TEMPLATE
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _names(names: tuple[str, ...]) -> str:
    lines: list[str] = []
    row = "   "
    for name in names:
        literal = f" {ascii(name)},"
        if len(row) + len(literal) > 100:
            lines.append(row)
            row = "   "
        row += literal
    return "(\n" + "\n".join([*lines, row]) + "\n)"


TEMPLATE = '''#!/usr/bin/env python3
"""Predicts classes with @TITLE@.

    python predict.py @EXAMPLE@ [MORE ...]     @WHAT@.npy with @RAW@
    python predict.py --onnx @EXAMPLE@         with ONNX Runtime instead of PyTorch
    python predict.py --json @EXAMPLE@         one JSON object a line

Needs numpy@PILLOW@, and either torch + safetensors or onnxruntime (requirements.txt).
"""

import argparse
import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
CLASSES = @CLASSES@
SHAPE = @SHAPE@  # one sample, without batch
SCALE = @SCALE@  # raw values are divided by this first ...
MEAN = @MEAN@  # ... then standardized per channel
STD = @STD@


def warn(text):
    """Says something on standard error."""
    sys.stderr.write(f"warning: {text}\\n")


def read_image(path, invert=False):
    """Reads an image as raw values, shape (1, C, H, W): converted to grey or RGB, resized where needed."""
    from PIL import Image, ImageOps

    channels, height, width = SHAPE
    if channels not in (1, 3):
        raise SystemExit(f"{path}: this network reads {channels} channels; give a .npy file")
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16") or image.mode == "I":
            image = Image.fromarray((np.asarray(image, dtype=np.float64) / 257).clip(0, 255).astype(np.uint8))
        if "A" in image.getbands() or "transparency" in image.info:
            warn(f"{path}: transparency is dropped")
        image = image.convert("L" if channels == 1 else "RGB")
        if image.size != (width, height):
            warn(f"{path}: resized from {image.width}x{image.height} to {width}x{height}")
            image = image.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float32) / 255.0 * SCALE  # (H, W) or (H, W, C)
    if invert:
        pixels = SCALE - pixels
    return (pixels[None] if channels == 1 else pixels.transpose(2, 0, 1))[None]  # (1, C, H, W)


def read_array(path):
    """Reads raw values from a .npy file: one sample or a batch of them, channels first (or last for images)."""
    raw = np.load(path, allow_pickle=False)
    last = (*SHAPE[1:], SHAPE[0])
    if raw.shape == SHAPE[1:] and SHAPE[0] == 1:
        raw = raw[None]
    if raw.shape == SHAPE:
        raw = raw[None]
    elif len(SHAPE) == 3 and raw.shape == last:
        raw = raw.transpose(2, 0, 1)[None]
    elif len(SHAPE) == 3 and raw.shape[1:] == last:
        raw = raw.transpose(0, 3, 1, 2)
    if raw.shape[1:] != SHAPE:
        raise SystemExit(f"{path}: shape {raw.shape}; expected {SHAPE}, alone or in a batch")
    raw = raw.astype(np.float32)
    if not np.isfinite(raw).all():
        raise SystemExit(f"{path}: holds values that are not finite")
    if SCALE != 1 and raw.size and (raw.min() < 0 or raw.max() > SCALE):
        warn(f"{path}: values from {raw.min():g} to {raw.max():g}; raw values go from 0 to {SCALE:g}")
    return raw


def preprocess(raw):
    """Raw values (batch, *SHAPE) to what the network was trained on."""
    per_channel = (-1, *[1] * (len(SHAPE) - 1))
    mean = np.array(MEAN, dtype=np.float32).reshape(per_channel)
    std = np.array(STD, dtype=np.float32).reshape(per_channel)
    return (raw.astype(np.float32) / np.float32(SCALE) - mean) / std


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
    parser.add_argument("--invert", action="store_true", help="swap black and white of images first")
    args = parser.parse_args()
    run = choose(args.onnx)
    for path in args.inputs:
        if not path.is_file():
            raise SystemExit(f"{path}: no such file")
        if path.suffix == ".npy":
            raw = read_array(path)
        elif len(SHAPE) == 3:
            raw = read_image(path, args.invert)
        else:
            raise SystemExit(f"{path}: this network reads .npy files of shape {SHAPE}")
        for i, row in enumerate(softmax(run(preprocess(raw)))):
            name = f"{path}[{i}]" if len(raw) > 1 else str(path)
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
