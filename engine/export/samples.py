"""Raw samples as files, as someone who uses a bundle has them: what `predict.py` is checked on."""

from __future__ import annotations

import csv
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.spec import DataSpec
from engine.data.tables import MISSING
from engine.data.text import FIRST_WORD, PADDING, encode, tokens


def write_raw(raw: NDArray[Any], data: DataSpec, preprocessing: Mapping[str, Any] | None, path: Path) -> list[Path]:
    """Writes one raw sample in every form that `predict.py` reads: `.npy`, and what suits its kind.

    Args:
        raw: (*input_shape), not normalized.
        data: what it is a sample of.
        preprocessing: what `data.registry.preprocessing` gives.
        path: without a suffix.

    Returns:
        The files.
    """
    out = [path.with_suffix(".npy")]
    np.save(out[0], raw)
    about = dict(preprocessing or {})
    if is_picture(data):
        out.append(path.with_suffix(".png"))
        save_png(raw, data, out[-1])
    elif data.kind == "text" and about.get("words"):
        text = as_text(raw, about["words"])
        # a word may fall apart when it is read again, which would be another sample
        if np.array_equal(encode([tokens(text)], about["words"], len(raw))[0], raw):
            out.append(path.with_suffix(".txt"))
            out[-1].write_text(text + "\n", encoding="utf-8")
    elif data.kind == "signal" and about.get("rate") and raw.shape[0] == 1 and raw.dtype == np.int16:
        out.append(path.with_suffix(".wav"))
        save_wav(raw[0], about["rate"], about["stride"], out[-1])
    elif data.kind == "table" and data.columns:
        out.append(path.with_suffix(".csv"))
        save_csv(raw, data, out[-1])
    return out


def is_picture(data: DataSpec) -> bool:
    """Whether a sample can be written as a grey or colour picture."""
    return data.kind == "image" and data.input_shape[0] in (1, 3)


def save_png(raw: NDArray[Any], data: DataSpec, path: Path) -> None:
    """Writes one raw sample (C, H, W) as an 8-bit picture."""
    from PIL import Image

    pixels = np.rint(raw.astype(np.float64) / data.scale * 255).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(path)


def as_text(raw: NDArray[Any], words: Sequence[str]) -> str:
    """Word numbers (L,) as words; what training did not know becomes a sign that is no word of it."""
    unknown = next(sign for sign in map(chr, range(0x2580, 0x2700)) if sign not in words)
    return " ".join(words[n - FIRST_WORD] if n >= FIRST_WORD else unknown for n in raw.tolist() if n != PADDING)


def save_wav(raw: NDArray[np.int16], rate: int, stride: int, path: Path) -> None:
    """Writes one raw signal (L,) as a clip of 16 bits, every value `stride` times: their mean is the value."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(raw, stride).astype("<i2").tobytes())


def save_csv(raw: NDArray[Any], data: DataSpec, path: Path) -> None:
    """Writes one raw row (F,) under the names of its columns; a missing category is a blank."""
    row = []
    for value, column in zip(raw.tolist(), data.columns, strict=True):
        name = column.categories[int(value)] if column.categories else repr(value)
        row.append("" if name == MISSING else name)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([[column.name for column in data.columns], row])
