"""Snapshots of conductors: a row with their JSON, and beside it one blob for what a strategy keeps in arrays.

A blob is written before the commit that makes it count and is named by its digest in the row; a file that nothing
names (a lost race, a crash in between) does no harm and is swept up. A snapshot whose blob is missing or damaged does
not work, like one of another version: an older one, and last of all the whole log, leads to the same conductor.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db.models import QuerySet
from safetensors import SafetensorError
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from engine.conductor import Conductor
from engine.errors import EngineError
from engine.strategies.base import Arrays
from searches.models import Snapshot
from searches.services.writing import Write

log = logging.getLogger(__name__)
#: snapshots of a search that are kept
KEPT = 2


class BlobUnusable(EngineError):
    """The arrays of a snapshot are missing or damaged; the message says which."""


@dataclass(frozen=True)
class Taken:
    """A snapshot that is not committed yet.

    Attributes:
        cursor: entries of the log it has seen.
        state: for the row.
        blob: name of its arrays in the storage; "" = it has none.
        digest: SHA-256 of the blob.
    """

    cursor: int
    state: dict[str, Any]
    blob: str = ""
    digest: str = ""


def snapshot_take(*, search_id: int, cursor: int, conductor: Conductor) -> Taken | None:
    """Writes the arrays to the storage; call it outside of a transaction, then `snapshot_add` or `snapshot_drop`.

    None where the storage does not take them: the search goes on, and a restart reads more of its log.
    """
    # as text: jsonb would not keep the order of keys
    state = {"text": json.dumps(conductor.state())}
    arrays = conductor.arrays()
    if not arrays:
        return Taken(cursor, state)
    # numpy's own scalars, which a strategy may hold, are no arrays
    content = to_bytes({name: np.asarray(array, order="C") for name, array in arrays.items()})
    digest = hashlib.sha256(content).hexdigest()
    wanted = f"snapshots/{search_id}/{cursor}-{digest[:32]}.safetensors"
    try:
        # two processes at the same decision get two names: the one that loses the race deletes its own
        name = default_storage.save(wanted, ContentFile(content))
    except OSError as e:
        log.warning("Search %s: no snapshot after entry %s, the storage did not take it: %s", search_id, cursor, e)
        return None
    return Taken(cursor, state, name, digest)


def snapshot_add(write: Write, taken: Taken) -> None:
    """Makes it count; older ones go, but for the one before it."""
    search_id = write.search.pk
    Snapshot.objects.create(
        search_id=search_id, cursor=taken.cursor, state=taken.state, blob=taken.blob, digest=taken.digest
    )
    newest = Snapshot.objects.filter(search_id=search_id).order_by("-cursor").values_list("id", flat=True)[:KEPT]
    snapshots_delete(write, Snapshot.objects.filter(search_id=search_id).exclude(pk__in=list(newest)))


def snapshot_drop(taken: Taken | None) -> None:
    """It is not committed: its blob goes."""
    if taken is not None and taken.blob:
        default_storage.delete(taken.blob)


def snapshots_delete(write: Write, rows: QuerySet[Snapshot]) -> None:
    """Deletes snapshots, and their blobs after the commit."""
    found = list(rows.values_list("id", "blob"))
    Snapshot.objects.filter(pk__in=[pk for pk, _ in found]).delete()
    for _, name in found:
        if name:
            write.after(lambda name=name: default_storage.delete(name))


def snapshot_arrays(snapshot: Snapshot) -> Arrays:
    """Reads the arrays of a snapshot.

    Raises:
        BlobUnusable: the storage does not have them, or has something else.
    """
    if not snapshot.blob:
        return {}
    try:
        with default_storage.open(snapshot.blob, "rb") as file:
            content = file.read()
    except OSError as e:
        raise BlobUnusable(f"the arrays of the snapshot {snapshot} cannot be read: {e}") from e
    if (found := hashlib.sha256(content).hexdigest()) != snapshot.digest:
        raise BlobUnusable(
            f"the arrays of the snapshot {snapshot} are damaged: {found[:12]} instead of {snapshot.digest[:12]}"
        )
    try:
        arrays: Mapping[str, Any] = from_bytes(content)
    except SafetensorError as e:
        raise BlobUnusable(f"the arrays of the snapshot {snapshot} are unreadable: {e}") from e
    return arrays
