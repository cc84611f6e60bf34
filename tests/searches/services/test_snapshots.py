"""Snapshots with arrays: stored beside the row, read back whole, done without where damaged, and cleared away."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from engine import catalog
from engine.conductor import Conductor
from searches.models import Job, Search, Snapshot, Trial
from searches.runner import run_job
from searches.services import snapshots, sweeping
from searches.services.advance import advance_search
from searches.services.conductors import load, shelf
from searches.services.lifecycle import search_cancel, search_delete
from tests.factories import search_make, user_make
from tests.plugins import Weighing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Iterator[None]:
    """The tests' own plug-ins, a storage of their own, and a snapshot every five entries."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    settings.SNAPSHOT_EVERY = 5
    monkeypatch.setenv("NASWEB_PLUGINS", "tests.plugins")
    catalog.plugins.cache_clear()
    yield
    catalog.plugins.cache_clear()


def make(**fields: Any) -> Search:
    return search_make(strategy="weighing", **{"budget": {"trials": 30, "epochs": 2}, **fields})


def work(search: Search, jobs: int = 10_000) -> Search:
    """Decides and works in turn, until so many jobs are done or nothing is left."""
    while True:
        advance_search(search_id=search.pk)
        waiting = list(Job.objects.filter(search=search, state=Job.State.WAITING))
        for job in waiting[:jobs]:
            run_job(job.pk, job.claim, worker="here")
        jobs -= len(waiting)
        if not waiting or jobs <= 0:
            break
    advance_search(search_id=search.pk)
    search.refresh_from_db()
    return search


def blobs(search: Search) -> list[str]:
    """Names in the storage."""
    folder = f"snapshots/{search.pk}"
    found = default_storage.listdir(folder)[1] if default_storage.exists(folder) else []
    return sorted(f"{folder}/{name}" for name in found)


def named(search: Search) -> list[str]:
    return sorted(Snapshot.objects.filter(search=search).exclude(blob="").values_list("blob", flat=True))


def again(search: Search) -> tuple[Conductor, int]:
    """The conductor of a fresh process, and how many results it was told again."""
    shelf.drop(search.pk)
    before = Weighing.heard
    held = load(Search.objects.get(pk=search.pk))
    return held.conductor, Weighing.heard - before


def tried(search: Search) -> list[str]:
    return list(Trial.objects.filter(search=search).order_by("number").values_list("key", flat=True))


def test_the_arrays_are_those_of_the_newest_snapshot_bit_for_bit() -> None:
    search = work(make(), 17)
    kept = next(held for pk, held in shelf.all() if pk == search.pk).conductor
    loaded, told = again(search)
    assert told < 6, "only the tail of the log is told again"
    assert {k: a.tobytes() for k, a in loaded.arrays().items()} == {k: a.tobytes() for k, a in kept.arrays().items()}
    assert loaded.state() == kept.state()
    newest = Snapshot.objects.filter(search=search).first()
    assert newest is not None and newest.digest[:32] in newest.blob and f"/{newest.cursor}-" in newest.blob


def test_two_are_kept_with_their_files_and_none_after_the_end() -> None:
    search = work(make(), 25)
    assert len(blobs(search)) == 2 and blobs(search) == named(search)
    work(search)
    assert search.state == "completed" and blobs(search) == [] and not Snapshot.objects.filter(search=search).exists()


def gone(name: str) -> None:
    default_storage.delete(name)


def cut(name: str) -> None:
    path = Path(default_storage.path(name))
    path.write_bytes(path.read_bytes()[:-9])


def flipped(name: str) -> None:
    path = Path(default_storage.path(name))
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


def nonsense(name: str) -> None:
    Path(default_storage.path(name)).write_bytes(b"no tensors")


@pytest.mark.parametrize("damage", [gone, cut, flipped, nonsense])
def test_without_its_arrays_an_older_snapshot_serves_then_the_whole_log(damage: Callable[[str], None]) -> None:
    search, twin = make(), make()
    work(search, 21)
    newest, older = Snapshot.objects.filter(search=search)
    _, tail = again(search)
    damage(newest.blob)
    _, more = again(search)
    assert more == tail + newest.cursor - older.cursor
    damage(older.blob)
    _, everything = again(search)
    assert everything == 21
    shelf.drop(search.pk)
    assert tried(work(search)) == tried(work(twin)), "and the search goes on as if nothing had happened"


def test_a_lost_race_takes_its_file_along() -> None:
    """Another process decides between this one's thinking and its commit."""
    search = work(make(), 3)
    before = blobs(search)
    add = snapshots.snapshot_take

    def slow(**fields: Any) -> Any:
        taken = add(**fields)
        Search.objects.filter(pk=search.pk).update(cursor=fields["cursor"])
        return taken

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("searches.services.advance.snapshot_take", slow)
        work(search, 8)
    assert blobs(search) == named(search) and set(named(search)) >= set(before)


def test_a_full_storage_costs_the_snapshot_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def full(name: str, content: Any) -> str:
        calls.append(name)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(default_storage, "save", full)
    search = work(make())
    assert search.state == "completed" and search.n_completed == 30
    assert 2 <= len(calls) <= 31 // 5 + 1, "it is not asked again at each decision"


def test_files_go_with_a_search_that_is_cancelled_or_deleted() -> None:
    cancelled, deleted = work(make(), 12), work(make(), 12)
    assert blobs(cancelled) and blobs(deleted)
    search_cancel(search=cancelled, by=user_make())
    assert blobs(cancelled) == []
    search_delete(search=deleted, by=user_make())
    assert blobs(deleted) == []


def test_the_sweep_takes_what_no_snapshot_names() -> None:
    search = work(make(), 12)
    orphan = default_storage.save(f"snapshots/{search.pk}/5-dead.safetensors", ContentFile(b"abc"))
    kept = named(search)
    for name in blobs(search):
        os.utime(default_storage.path(name), (1, 1))
    assert sweeping.files_sweep(now=True) == 1
    assert blobs(search) == kept and not default_storage.exists(orphan)


def test_a_strategy_without_arrays_leaves_no_files() -> None:
    search = work(search_make(strategy="regularized_evolution", budget={"trials": 30, "epochs": 2}), 17)
    assert Snapshot.objects.filter(search=search).count() == 2 and blobs(search) == []
