"""Over the quota the checkpoints of the lowest-ranked resting trials go, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from searches.models import Artifact, Job, Search, Trial
from searches.services.reap import checkpoints_reap
from tests.factories import search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]
KB = 1024


@pytest.fixture
def search(settings: Any, tmp_path: Any) -> Search:
    """Trials 1 to 5 rest with 1 kB each (3 is the worst of the first rung, 4 and 5 are in the second); 6 runs."""
    settings.MEDIA_ROOT = tmp_path / "storage"
    made = search_make(start=False)
    Search.objects.filter(pk=made.pk).update(state=Search.State.RUNNING, disk_bytes=6 * KB)
    places = [(2, 0.7), (2, 0.8), (2, 0.1), (6, 0.2), (6, 0.9), (2, 0.05)]
    for number, (fidelity, accuracy) in enumerate(places, start=1):
        state = Trial.State.RUNNING if number == 6 else Trial.State.PAUSED
        trial = Trial.objects.create(
            search=made, number=number, name="n", key="", architecture={}, state=state, fidelity=fidelity,
            accuracy=accuracy,
        )  # fmt: skip
        if number == 6:
            Job.objects.create(search=made, trial=trial, kind="train", state="running")
        name = default_storage.save(f"checkpoints/{number}", ContentFile(b"x" * KB))
        Artifact.objects.create(search=made, trial=trial, kind="checkpoint", name=name, digest="", bytes=KB)
    return made


def left(search: Search) -> list[int]:
    rows = list(Artifact.objects.filter(search=search).order_by("trial__number").values_list("trial__number", "name"))
    assert all(default_storage.exists(name) for _, name in rows)
    assert len(default_storage.listdir("checkpoints")[1]) == len(rows)
    search.refresh_from_db()
    assert search.disk_bytes == KB * len(rows)
    return [number for number, _ in rows]


@pytest.mark.parametrize(
    ("kept_kb", "numbers"),
    [(6, [1, 2, 3, 4, 5, 6]), (5, [1, 2, 4, 5, 6]), (3.5, [4, 5, 6]), (2, [5, 6]), (0.5, [6])],
)
def test_the_lowest_ranked_go_first(search: Search, settings: Any, kept_kb: float, numbers: list[int]) -> None:
    settings.CHECKPOINT_QUOTA_MB = kept_kb / KB
    assert checkpoints_reap() == 6 - len(numbers)
    assert left(search) == numbers
    assert search.lines.filter(what="checkpoint").exists() == (len(numbers) < 6)
