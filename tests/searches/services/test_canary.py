"""Workers that see another storage than the database's refuse work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

from nasweb.prepare import prepare
from searches import tasks
from searches.models import Job
from searches.services.advance import advance_search
from searches.services.canary import NAME, canary_problem, canary_write
from tests.factories import search_make


@pytest.fixture
def storage(settings: Any, tmp_path: Path) -> Path:
    settings.MEDIA_ROOT = tmp_path / "storage"
    return tmp_path / "storage"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_job_is_left_alone_until_the_storage_is_there(storage: Path, tmp_path: Path) -> None:
    search = search_make()
    advance_search(search_id=search.pk)
    job = Job.objects.filter(search=search).earliest("id")
    assert "no readable" in canary_problem()
    tasks.run_job.run(job.pk, 0)
    job.refresh_from_db()
    assert (job.state, job.claim) == ("waiting", 0)
    canary_write()
    assert canary_problem() == ""
    storage.rename(tmp_path / "away")  # a mount that goes while the worker runs
    assert str(storage) in canary_problem()
    (tmp_path / "away").rename(storage)
    tasks.run_job.run(job.pk, 0)
    job.refresh_from_db()
    assert (job.state, job.claim) == ("done", 1)


@pytest.mark.django_db(transaction=True)
def test_the_storage_of_another_database_is_refused_by_workers_and_marked_by_a_start(storage: Path) -> None:
    storage.mkdir()
    (storage / NAME).write_text("storage of the database of 1999-12-31T23:59:59+00:00\n")
    assert "another database" in canary_problem()
    prepare(web=False)
    assert canary_problem() == ""
    before = default_storage.get_modified_time(NAME)
    prepare(web=False)
    assert default_storage.get_modified_time(NAME) == before


def test_a_worker_without_the_storage_does_not_start(stack_folder: Path) -> None:
    env = os.environ | {"NASWEB_DATA_DIR": str(stack_folder / "d")}
    subprocess.run([sys.executable, "manage.py", "prepare"], env=env, check=True, capture_output=True, timeout=60)
    (stack_folder / "d" / "storage" / NAME).unlink()
    worker = subprocess.run(
        [sys.executable, "manage.py", "worker"], env=env, capture_output=True, text=True, timeout=60
    )
    assert worker.returncode != 0 and "NASWEB_DATA_DIR" in worker.stderr
