"""The device a trial runs on, its model, and the settings that make a run repeatable."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict

Precision = Literal["float32", "bfloat16"]
Layout = Literal["contiguous", "channels_last"]


class Setting(BaseModel):
    """What is fixed per search and device model, because every one of them changes the last bits of a result."""

    model_config = ConfigDict(frozen=True)

    precision: Precision = "float32"
    layout: Layout = "contiguous"
    threads: int = 1

    @property
    def memory_format(self) -> torch.memory_format:
        """torch's name of the layout."""
        return torch.channels_last if self.layout == "channels_last" else torch.contiguous_format

    @property
    def dtype(self) -> torch.dtype:
        """What activations are computed in."""
        return torch.bfloat16 if self.precision == "bfloat16" else torch.float32


def choose_device() -> torch.device:
    """The first visible GPU (`CUDA_VISIBLE_DEVICES` decides which that is), else the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def device_model(device: torch.device) -> str:
    """The model's name: equal names give equal results for equal seeds and settings."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"


def empty_cache() -> None:
    """Gives what torch keeps of a GPU's memory back to others."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@contextmanager
def repeatable(device: torch.device, threads: int) -> Iterator[None]:
    """Thread count, deterministic kernels and torch's global generators, put back as they were afterwards.

    Dropout draws from the global generators; a caller that trains in its own process keeps its own state of them.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    devices = [device.index or 0] if device.type == "cuda" else []
    before = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    if before != threads:
        torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # filling fresh memory is a debugging aid that costs a pass over every activation
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    memory.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = False, True
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        memory.fill_uninitialized_memory = fill
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = benchmark, cudnn
        if before != threads:
            torch.set_num_threads(before)
