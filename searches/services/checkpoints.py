"""Checkpoints in the storage: uploaded by one claim under a name of its own, official only by the fenced write."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from django.core.files import File
from django.core.files.storage import default_storage

from searches.models import Job


@dataclass(frozen=True)
class StoredCheckpoint:
    """One uploaded checkpoint: name in the storage, SHA-256, size."""

    name: str
    digest: str
    bytes: int


def checkpoint_store(job: Job, claim: int, path: Path) -> StoredCheckpoint:
    """Uploads a checkpoint. The child may replace the file meanwhile: what was opened first is what is stored."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
        file.seek(0)
        # claim and digest: a worker that has lost its claim can never overwrite or delete the official one
        wanted = f"checkpoints/{job.search_id}/{job.pk}-{claim}-{digest[:32]}{path.suffix}"
        name = default_storage.save(wanted, File(file))
    return StoredCheckpoint(name, digest, size)


def checkpoint_fetch(name: str, target: Path) -> Path | None:
    """Copies a checkpoint to a local path; None if the storage does not have it any more."""
    part = target.with_suffix(".part")
    try:
        with default_storage.open(name, "rb") as source, part.open("wb") as sink:
            shutil.copyfileobj(source, sink)
    except FileNotFoundError:
        return None
    os.replace(part, target)  # noqa: PTH105 - the pair of calls is the point
    return target
