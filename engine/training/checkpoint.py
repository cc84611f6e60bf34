"""Checkpoints: one safetensors file with a JSON description inside. Never a pickle."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.errors import EngineError

FORMAT = 1
NAME = "checkpoint.safetensors"


class CheckpointError(EngineError):
    """A checkpoint that is missing, damaged, or of another training; the message says which."""


def save(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Writes a checkpoint whole or not at all: beside its place, to the disk, then into its place.

    Args:
        path: where it is to be.
        tensors: by name; layout and sharing are lost (they are made anew on loading).
        about: JSON values, NaN not among them.

    Raises:
        OSError: the disk does not take it; what was at `path` before is untouched.
    """
    from safetensors.torch import save as to_bytes

    flat = {name: t.detach().to("cpu").clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    text = json.dumps({"format": FORMAT, **about}, allow_nan=False)
    content = to_bytes(flat, metadata={"nasweb": text})
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads `(tensors on the CPU, description)`.

    Raises:
        CheckpointError: missing, damaged or of an unknown format.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise CheckpointError(f"there is no checkpoint at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {})["nasweb"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError, KeyError, ValueError) as e:
        raise CheckpointError(f"{path} is no readable checkpoint: {e or type(e).__name__}") from e
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path} has format {about.get('format')}, this version reads {FORMAT}")
    return tensors, about


def expect(path: Path, what: str, found: Any, wanted: Any) -> None:
    """Raises a CheckpointError unless a described value is the wanted one."""
    if found != wanted:
        raise CheckpointError(f"{path} belongs to another training: {what} is {found!r}, not {wanted!r}")


def fill(path: Path, prefix: str, targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
    """Copies the tensors called `prefix + name` into `targets` in place.

    Raises:
        CheckpointError: names or shapes differ.
    """
    have = {name.removeprefix(prefix) for name in tensors if name.startswith(prefix)}
    if have != set(targets):
        odd = sorted(have.symmetric_difference(targets))[:5]
        raise CheckpointError(f"{path} does not fit the network: {prefix}{{{', '.join(odd)}}} on one side only")
    with torch.no_grad():
        for name, target in targets.items():
            source = tensors[prefix + name]
            if source.shape != target.shape or source.dtype != target.dtype:
                raise CheckpointError(
                    f"{path} does not fit the network: {prefix}{name} is {tuple(source.shape)} {source.dtype}, "
                    f"expected {tuple(target.shape)} {target.dtype}"
                )
            target.copy_(source)
