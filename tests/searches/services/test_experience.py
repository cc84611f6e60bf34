"""Frozen results: written once by digest, read back by the search that names them, missed with a clear word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.storage import default_storage

import engine
from engine.conductor import Conductor
from engine.errors import DataError, InvalidConfig
from engine.experience import experience_of, read
from searches.models import Job, Search
from searches.runner import run_job
from searches.services.advance import advance_search
from searches.services.conductors import load
from searches.services.experience import experience_freeze
from searches.services.writing import Rejected
from tests.factories import config_make, search_make

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]


@pytest.fixture(autouse=True)
def storage(settings: Any, tmp_path: Path) -> None:
    settings.MEDIA_ROOT = tmp_path / "storage"


def ended(**fields: Any) -> Search:
    """A search that has run to its end here."""
    search = search_make(**{"final": {"enabled": False}, **fields})
    while True:
        advance_search(search_id=search.pk)
        waiting = list(Job.objects.filter(search=search, state=Job.State.WAITING))
        for job in waiting:
            run_job(job.pk, job.claim, worker="here")
        if not waiting:
            break
    search.refresh_from_db()
    assert search.state in Search.ENDED
    return search


def test_frozen_is_what_the_conductor_knows_and_written_once() -> None:
    search = ended()
    digest = experience_freeze(search=search)
    found = experience_of(load(search).conductor)
    assert found is not None and found.digest == digest and len(found.trials) == 6
    assert experience_freeze(search=search) == digest
    assert default_storage.listdir("experience")[1] == [f"{digest}.json"]
    assert read(Path(default_storage.path("experience")), [digest])[0] == found


def test_a_search_gets_what_it_names() -> None:
    source = ended(budget={"trials": 12, "epochs": 4})
    digest = experience_freeze(search=source)
    search = search_make(strategy="transfer", experience=[digest])
    advance_search(search_id=search.pk)
    context = load(Search.objects.get(pk=search.pk)).conductor.context
    assert [e.digest for e in context.experience] == [digest]
    source.delete()
    assert [e.digest for e in load(Search.objects.get(pk=search.pk)).conductor.context.experience] == [digest]


def test_missing_or_damaged_results_say_so() -> None:
    digest = experience_freeze(search=ended())
    search = search_make(strategy="transfer", experience=[digest])
    path = Path(default_storage.path(f"experience/{digest}.json"))
    path.write_text(path.read_text().replace("A search", "Another"))
    with pytest.raises(DataError, match="damaged"):
        load(search)
    path.unlink()
    with pytest.raises(DataError, match=f"missing in the storage .*{digest}"):
        load(search)
    with pytest.raises(DataError, match="missing"):
        read(path.parent, [digest])


def test_only_ended_searches_are_frozen() -> None:
    with pytest.raises(Rejected, match="has not ended"):
        experience_freeze(search=search_make())


def test_a_run_in_this_process_needs_what_its_config_names() -> None:
    config = config_make(final={"enabled": False})
    found = experience_of(engine.run(config).conductor)
    assert found is not None
    named = config_make(strategy="transfer", experience=[found.digest], final={"enabled": False})
    with pytest.raises(InvalidConfig, match="not at hand"):
        engine.run(named)
    conductor: Conductor = engine.run(named, experience=[found]).conductor
    assert conductor.context.experience == (found,)
    with pytest.raises(InvalidConfig, match="64 hexadecimal"):
        config_make(experience=["me"])
