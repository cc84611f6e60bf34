"""The collapse alarm as the page says it, with what to do about it one press away."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from engine import catalog
from engine.supernets.alarm import collapse
from searches.models import Search, SupernetEpoch
from searches.selectors.overview import config_of
from searches.selectors.supernet import Run


@dataclass(frozen=True)
class Alarm:
    """A raised alarm.

    Attributes:
        epoch: in which it was raised; before: the last one before the drift, 0 = none.
        why, remedy: sentences.
    """

    epoch: int
    before: int
    why: str
    remedy: str


def alarm_of(run: Run) -> Alarm | None:
    """The alarm over all epochs of a supernet, None while it is silent. One query a new epoch."""
    return _alarm(run.job.pk, run.job.created_at, run.epoch)


@lru_cache(maxsize=64)
def _alarm(job: int, made: datetime, epoch: int) -> Alarm | None:
    """Epochs are written once, so that the job and the last one's number say which rows there are."""
    rows = list(SupernetEpoch.objects.filter(job=job, epoch__lte=epoch).order_by("epoch").values_list("row", flat=True))
    found = collapse(rows)
    if not found["alarmed"]:
        return None
    return Alarm(found["epoch"], found["before"], found["why"], found["remedy"])


def remedies(search: Search, alarm: Alarm) -> list[tuple[str, str]]:
    """(words, address) of forms that clone this search with what the remedy names: another method, or an option."""
    config = config_of(search)
    method = config.strategy.name
    every = catalog.plugins("supernet")
    out: list[tuple[str, str]] = []
    for name in re.findall(r"[a-z][a-z0-9_]+", alarm.remedy):
        if name in every and name != method:
            out.append((f"Clone with {catalog.in_words(name)}", _form(search, {"strategy": name})))
    if "max_skips" in every[method].Options.model_fields:
        given = {"strategy": method, "options": json.dumps({"max_skips": 2})}
        out.append(("Clone with at most 2 skips", _form(search, given)))
    return list(dict.fromkeys(out))


def _form(search: Search, given: dict[str, Any]) -> str:
    return f"{reverse('searches:new')}?{urlencode({'from': search.pk, **given})}"
