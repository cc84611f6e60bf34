"""What people do in the arena: start a race, stop it, delete it; keep a table to race on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from searches.models import Race, RaceTable
from searches.services.enqueue import race_enqueue
from searches.services.writing import Rejected

LONGEST_NAME = 200
#: races and tables one person may keep, and races one person may have under way
MOST_RACES = 500
MOST_TABLES = 100
MOST_LIVE = 10


def race_create(
    *, owner: Any, name: str, problem: Mapping[str, Any], entrants: Sequence[str], budget: int, seeds: int,
    table: RaceTable | None = None, submit_token: str = "",
) -> Race:  # fmt: skip
    """Stores a race, checked by the caller, and starts it. A token that was used finds the race it made.

    Raises:
        Rejected: a limit is reached.
    """
    if submit_token and (made := Race.objects.filter(owner=owner, submit_token=submit_token).first()) is not None:
        return made
    with transaction.atomic():
        if Race.objects.filter(owner=owner).count() >= MOST_RACES:
            raise Rejected(f"You keep {MOST_RACES:,} races already: delete some first.")
        if Race.objects.filter(owner=owner, state__in=Race.LIVE).count() >= MOST_LIVE:
            raise Rejected(f"{MOST_LIVE} of your races are under way: wait for one to end, or stop one.")
        try:
            with transaction.atomic():
                race = Race.objects.create(
                    owner=owner, name=name.strip()[:LONGEST_NAME], table=table, problem=dict(problem),
                    entrants=list(entrants), budget=budget, seeds=seeds, submit_token=submit_token or None,
                )  # fmt: skip
        except IntegrityError:  # two presses of the button at once
            return Race.objects.get(owner=owner, submit_token=submit_token)
    transaction.on_commit(lambda: race_enqueue(race.pk, race.claim))
    return race


def race_stop(*, race: Race) -> None:
    """Ends it; what has been run stays.

    Raises:
        Rejected: it has ended.
    """
    if not Race.objects.filter(pk=race.pk, state__in=Race.LIVE).update(state=Race.State.STOPPED, ended_at=Now()):
        raise Rejected("This race has ended already.")


def race_delete(*, race: Race) -> None:
    """Deletes it with its runs; one under way ends."""
    Race.objects.filter(pk=race.pk).delete()


def table_create(*, owner: Any, name: str, content: bytes, fields: Mapping[str, Any]) -> RaceTable:
    """Keeps a table, checked by the caller.

    Args:
        content: the file.
        fields: "space", "data", "key", "numbers", "n_rows" of the model.

    Raises:
        Rejected: a limit is reached.
    """
    if RaceTable.objects.filter(owner=owner).count() >= MOST_TABLES:
        raise Rejected(f"You keep {MOST_TABLES} tables already: delete some first.")
    digest = hashlib.sha256(content).hexdigest()
    file = f"tables/{digest}.csv" + (".gz" if content[:2] == b"\x1f\x8b" else "")
    if not default_storage.exists(file):
        default_storage.save(file, ContentFile(content))
    return RaceTable.objects.create(
        owner=owner, name=name.strip()[:LONGEST_NAME], file=file, digest=digest, bytes=len(content), **fields
    )


def table_delete(*, table: RaceTable) -> None:
    """Deletes a table that no race speaks of, and its file where no other table has the same content.

    Raises:
        Rejected: races were run on it.
    """
    with transaction.atomic():
        if n := table.races.count():
            raise Rejected(f"{n} race{'s' * (n != 1)} on this table: delete {'them' if n != 1 else 'it'} first.")
        RaceTable.objects.filter(pk=table.pk).delete()
        last = not RaceTable.objects.filter(file=table.file).exists()
    if last:
        default_storage.delete(table.file)
