"""What this machine has: cores, GPUs and their names. Nothing here imports torch."""

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path

_GPU_LINE = re.compile(r"^GPU (\d+): (.+?) \(UUID: (.+?)\)")


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpus() -> list[tuple[str, str]]:
    """The usable GPUs: what to write into CUDA_VISIBLE_DEVICES, and the model's name.

    Honours a CUDA_VISIBLE_DEVICES that is already set; empty where there is no `nvidia-smi`.
    """
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = [match.groups() for match in map(_GPU_LINE.match, listing.splitlines()) if match]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return [(index, name) for index, name, _uuid in found]
    names = {index: name for index, name, _uuid in found} | {uuid: name for _index, name, uuid in found}
    return [(part, names[part]) for part in map(str.strip, chosen.split(",")) if part in names]


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_mb() -> int:
    """Memory of the machine in MiB."""
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20)


def versions() -> dict[str, str]:
    """Versions of what decides a result: Python and the packages that compute."""
    found = {"python": platform.python_version()}
    for package in ("torch", "torchvision", "numpy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
