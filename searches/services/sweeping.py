"""What the reaper sweeps up now and then: copies that a crash cut off, old log lines, files that nothing names."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from django.conf import settings
from django.core.files.storage import default_storage
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from searches.models import Artifact, LogLine, Search, Snapshot
from searches.services.extending import COPYING
from searches.services.lifecycle import search_delete

log = logging.getLogger(__name__)
#: a copy takes a minute at most; one that is older was cut off by a crash
COPY_FOR = timedelta(hours=1)
#: lines of the log kept per search, and of those among them that say why something went wrong
LINES_KEPT = 20_000
LASTING_KEPT = 2_000
LASTING = ("traceback", "crash")
#: folders of the storage that hold artifacts or blobs of snapshots, and nothing else
FOLDERS = ("checkpoints", str(Artifact.Kind.WEIGHTS), str(Artifact.Kind.BUNDLE), "snapshots")
#: a file may lie there unnamed for at least so long: it is uploaded before the row that names it is written
UNNAMED_FOR_S = 3_600.0
#: the storage is walked through no more often than this, and some files at a time: leases must not wait for it
WALK_EVERY_S = 3_600.0
FILES_AT_ONCE = 2_000
_CHUNK = 500


def copies_sweep() -> int:
    """Deletes continued searches whose copying was cut off; nobody has seen them. Returns how many."""
    old = Search.objects.filter(
        state=Search.State.DRAFT, submit_token__startswith=COPYING, created_at__lt=Now() - COPY_FOR
    )
    number = 0
    for search in old[:20]:
        search_delete(search=search, by="the reaper")
        number += 1
    return number


def lines_sweep() -> int:
    """Deletes the oldest lines of long logs; tracebacks and crashes stay longer. Returns how many."""
    number = 0
    # every line has its event: a search with fewer events cannot have more lines
    for search_id in Search.objects.filter(seq__gt=LINES_KEPT).values_list("id", flat=True):
        lines = LogLine.objects.filter(search_id=search_id)
        number += _older_delete(lines, LINES_KEPT, ~Q(what__in=LASTING))
        number += _older_delete(lines.filter(what__in=LASTING), LASTING_KEPT, Q())
    return number


def _older_delete(lines: QuerySet[LogLine], kept: int, which: Q) -> int:
    """Deletes of `lines` those that are older than the newest `kept` and fulfil `which`."""
    newest = list(lines.order_by("-id").values_list("id", flat=True)[kept - 1 : kept])
    number = 0
    while newest:
        ids = list(lines.filter(which, id__lt=newest[0]).order_by("id").values_list("id", flat=True)[:1_000])
        if not ids:
            break
        LogLine.objects.filter(pk__in=ids).delete()
        number += len(ids)
    return number


class _Walk:
    """Where the walk through the storage stands."""

    def __init__(self) -> None:
        self.files: Iterator[str] | None = None
        self.began = -math.inf


_walk = _Walk()


def files_sweep(*, now: bool = False) -> int:
    """Deletes some of the files that a worker uploaded before it died, so that nothing names them. Returns how many.

    Args:
        now: begin a new walk, although the last one is not an hour ago.
    """
    if _walk.files is None or now:
        if not now and time.monotonic() - _walk.began < WALK_EVERY_S:
            return 0
        _walk.began = time.monotonic()
        _walk.files = (name for folder in FOLDERS for name in _files_below(folder))
    names = list(islice(_walk.files, FILES_AT_ONCE))
    if len(names) < FILES_AT_ONCE:
        _walk.files = None
    number = 0
    for start in range(0, len(names), _CHUNK):
        number += _unnamed_delete(names[start : start + _CHUNK])
    return number


def _files_below(folder: str) -> Iterator[str]:
    try:
        folders, files = default_storage.listdir(folder)
    except FileNotFoundError:  # nothing was stored there yet
        return
    for name in files:
        yield f"{folder}/{name}"
    for name in folders:
        yield from _files_below(f"{folder}/{name}")


def _unnamed_delete(names: list[str]) -> int:
    before = timezone.now() - timedelta(seconds=max(UNNAMED_FOR_S, 2 * settings.LEASE_S))
    old = [name for name in _unnamed(names) if _stored_before(name, before)]
    gone = _unnamed(old)  # once more: looking at files takes its time
    for name in gone:
        default_storage.delete(name)
    if gone:
        log.info("%d files in the storage belonged to nothing and were deleted, e.g. %s.", len(gone), gone[0])
    return len(gone)


def _unnamed(names: list[str]) -> list[str]:
    if not names:
        return []
    named = set(Artifact.objects.filter(name__in=names).values_list("name", flat=True))
    named |= set(Snapshot.objects.filter(blob__in=names).values_list("blob", flat=True))
    return [name for name in names if name not in named]


def _stored_before(name: str, moment: datetime) -> bool:
    try:
        return default_storage.get_modified_time(name) < moment
    except FileNotFoundError:
        return False
