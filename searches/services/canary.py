"""A small file by which a worker sees that its storage is the one that belongs to the database.

A worker with a storage of its own (a mount that is missing, another `NASWEB_DATA_DIR`) would find no checkpoint, train
everything again and leave bundles that nobody can download. It refuses work instead.
"""

from __future__ import annotations

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder

NAME = "canary.txt"
_known = ""


def _expected() -> str:
    """What the file says: the moment at which this database got its first table, which no two databases share."""
    global _known
    if not _known:
        first = MigrationRecorder(connection).migration_qs.order_by("id").first()
        if first is not None:
            _known = f"storage of the database of {first.applied.isoformat()}\n"
    return _known


def canary_write() -> None:
    """Marks the storage as this database's, where that has not been done; called before a stack starts."""
    if canary_problem():
        default_storage.delete(NAME)
        default_storage.save(NAME, ContentFile(_expected().encode()))


def canary_problem() -> str:
    """Why the storage that this process sees is not the database's, and what to do; empty where it is."""
    try:
        with default_storage.open(NAME, "rb") as file:
            found = file.read(200).decode(errors="replace")
    except OSError as e:
        found, why = "", f"it has no readable {NAME} ({type(e).__name__})"
    else:
        why = f"its {NAME} belongs to another database"
    if found and found == _expected():
        return ""
    where = getattr(default_storage, "location", "")
    return (
        f"The storage{f' {where}' if where else ''} is not the one this database's other processes use: {why}. "
        "Mount the same storage on all machines and name its folder by NASWEB_DATA_DIR (it holds `storage/`); where it "
        "is the right one, start the stack once, which writes the file."
    )
