"""What the reaper sweeps up: old log lines, and files that no row names."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from searches.models import Artifact, LogLine, Search
from searches.services import finals, reap, sweeping
from searches.services.writing import writing
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
HOUR = 3_600.0


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> Path:
    """Files of the storage go to a folder of the test."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    return Path(settings.MEDIA_ROOT)


def written(search: Search, *whats: str) -> None:
    with writing(search.pk) as write:
        for i, what in enumerate(whats):
            write.line(what, f"{what} {i}")


def lines(search: Search) -> list[str]:
    return list(LogLine.objects.filter(search=search).order_by("id").values_list("message", flat=True))


def test_old_lines_go_and_why_something_broke_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "LINES_KEPT", 10)
    monkeypatch.setattr(sweeping, "LASTING_KEPT", 3)
    long, short = search_make(start=False), search_make(start=False)
    written(long, *["crash"] * 3, "traceback", *["epoch"] * 25)
    written(short, *["epoch"] * 10)
    assert sweeping.lines_sweep() == 16
    assert lines(long) == ["crash 1", "crash 2", "traceback 3", *(f"epoch {i}" for i in range(19, 29))]
    assert lines(short) == [f"epoch {i}" for i in range(10)]
    assert sweeping.lines_sweep() == 0
    written(long, "epoch")
    assert sweeping.lines_sweep() == 1 and len(lines(long)) == 13


def stored(name: str, *, hours: float) -> str:
    """A file that was stored so many hours ago."""
    assert default_storage.save(name, ContentFile(b"abc")) == name
    then = time.time() - hours * HOUR
    os.utime(default_storage.path(name), (then, then))
    return name


def test_old_files_that_nothing_names_go(settings: Any) -> None:
    search = search_make(start=False)
    assert sweeping.files_sweep(now=True) == 0, "nothing was ever stored"
    named = stored("checkpoints/1/7-1-named.safetensors", hours=50)
    shared = stored("bundle/ab/abc.zip", hours=50)
    for name, kind in ((named, "checkpoint"), (shared, "bundle")):
        Artifact.objects.create(search=search, kind=kind, name=name, digest="d", bytes=3)
    fresh = stored("checkpoints/1/7-2-fresh.safetensors", hours=0.9)
    elsewhere = stored("datasets/ab/mine.npz", hours=50)
    orphans = [
        stored("checkpoints/1/7-1-orphan.safetensors", hours=1.1),
        stored("weights/cd/cde.safetensors", hours=30),
        stored("bundle/cd/cde.zip", hours=30),
    ]
    assert sweeping.files_sweep() == 0, "the last walk is no hour ago"
    settings.LEASE_S = 3_000
    assert sweeping.files_sweep(now=True) == 2, "uploads may take two leases"
    settings.LEASE_S = 60
    assert sweeping.files_sweep(now=True) == 1
    assert not any(default_storage.exists(name) for name in orphans)
    assert all(default_storage.exists(name) for name in (named, shared, fresh, elsewhere))


def test_the_walk_goes_on_where_it_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeping, "FILES_AT_ONCE", 2)
    names = [stored(f"checkpoints/{i}/a.safetensors", hours=2) for i in range(5)]
    assert [sweeping.files_sweep(now=True), *(sweeping.files_sweep() for _ in range(3))] == [2, 2, 1, 0]
    assert not any(default_storage.exists(name) for name in names)


def test_a_file_left_by_a_crash_is_young_again_when_it_is_taken_up(tmp_path: Path) -> None:
    """The content of a full training is the same the second time: its file must not be swept up under its row."""
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"abc")
    first = finals._store("weights", file)
    os.utime(default_storage.path(first.name), (1, 1))
    assert finals._store("weights", file) == first
    assert sweeping.files_sweep(now=True) == 0 and default_storage.exists(first.name)


def test_the_reaper_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    orphan = stored("checkpoints/1/a.safetensors", hours=2)
    monkeypatch.setattr(reap, "_last_chores", -1e9)
    monkeypatch.setattr(sweeping, "_walk", sweeping._Walk())
    assert reap.reap()
    assert not default_storage.exists(orphan)
