"""Peak memory of a stretch of work, on either device."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import torch


class PeakMemory:
    """Bytes a stretch of work added at its peak.

    On a GPU: what torch allocated. On Linux's CPU side: how far the high-water mark of this process rose above where
    it stood at the start; the mark is set back first (`/proc/self/clear_refs`). Elsewhere: growth of the resident set
    between start and end, a lower bound.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        if device.type == "cuda":
            torch.cuda.synchronize(device)
            torch.cuda.reset_peak_memory_stats(device)
            self.start = torch.cuda.memory_allocated(device)
        else:
            with contextlib.suppress(OSError):
                Path("/proc/self/clear_refs").write_text("5")
            self.start = psutil.Process().memory_info().rss

    def added(self) -> int:
        """Bytes, at least 0."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            return int(torch.cuda.max_memory_allocated(self.device)) - self.start
        return max(0, _high_water() - self.start)


def _high_water() -> int:
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return int(psutil.Process().memory_info().rss)
