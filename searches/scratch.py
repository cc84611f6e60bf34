"""Scratch folders of jobs: one per claim, gone with it, and swept up after workers that were killed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from django.conf import settings

_swept = threading.Event()


def _root() -> Path:
    return Path(settings.DATA_DIR) / "work"


@contextmanager
def scratch(job_id: int, claim: int) -> Iterator[Path]:
    """An empty folder for one claim of a job; deleted afterwards."""
    if not _swept.is_set():
        _swept.set()
        sweep()
    folder = _root() / f"{socket.gethostname()}.{os.getpid()}.{job_id}.{claim}"
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> int:
    """Deletes what killed workers of this machine have left. Returns how many folders."""
    number = 0
    here = socket.gethostname()
    for folder in _root().glob(f"{here}.*.*.*"):
        pid = folder.name.removeprefix(f"{here}.").split(".")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
            number += 1
    return number


def device_lock() -> Path:
    """Lock of the device that this worker's children compute on: theirs together, or of one that measures it."""
    visible = re.sub(r"[^0-9A-Za-z-]+", "-", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    return _root() / "locks" / f"{socket.gethostname()}.{visible or 'device'}.lock"


def settings_folder(search_id: int) -> Path:
    """Where trials that start together on this machine find the precision and layout that the first one chose."""
    return _root() / "settings" / str(search_id)


def settings_forget(search_id: int) -> None:
    """Deletes that folder, with its search."""
    shutil.rmtree(settings_folder(search_id), ignore_errors=True)
