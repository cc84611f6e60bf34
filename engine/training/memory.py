"""Peak memory of a stretch of work, on either device."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch


class PeakMemory:
    """Bytes that are taken at the peak of a stretch of work: what a trial needs, to see how many fit.

    On a GPU: what torch allocated. On Linux's CPU side: the high-water mark of this process, libraries and all; the
    mark is set back at the start (`/proc/self/clear_refs`). Elsewhere: the resident set at the end, a lower bound.
    The whole is measured and not what was added: the allocator keeps what an earlier stretch has freed, and a second
    network would seem to cost nothing.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """Bytes."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return int(torch.cuda.max_memory_allocated(self.device))
        return _high_water()


def _high_water() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)
