"""Networks of trials in miniature, for tables: made once per space and architecture, kept in the process."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from threading import Lock
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Q

from engine.architecture import Architecture
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.network.miniature import miniature
from engine.network.picture import picture
from engine.spaces.base import make_space
from searches.models import Search, Trial
from searches.selectors.overview import config_of
from searches.selectors.searches import searches_of

log = logging.getLogger(__name__)

#: at most so many in one answer
MOST = 60
#: and so many in memory, about 2 kB each
KEPT = 4096

_kept: OrderedDict[tuple[str, str], dict[str, Any] | None] = OrderedDict()
_lock = Lock()


def numbers(text: str) -> list[int] | None:
    """ "1,2,3" -> [1, 2, 3], each once; None for anything else, for nothing, and for more than `MOST`."""
    parts = text.split(",", MOST)
    if len(parts) > MOST or not all(p.isascii() and p.isdigit() and len(p) < 10 for p in parts):
        return None
    return list(dict.fromkeys(map(int, parts)))


def pairs(text: str) -> list[tuple[int, int]] | None:
    """ "7.24,8.3" -> [(7, 24), (8, 3)], each once; None as `numbers`."""
    out: dict[tuple[int, int], None] = {}
    parts = text.split(",", MOST)
    for part in parts:
        search, _, number = part.partition(".")
        if not (part.isascii() and search.isdigit() and number.isdigit() and len(search) < 19 and len(number) < 10):
            return None
        out[int(search), int(number)] = None
    return None if len(parts) > MOST else list(out)


def minis_of_search(search: Search, wanted: Iterable[int]) -> dict[str, dict[str, Any] | None]:
    """Miniatures by number; None where no network can be made of a trial's choices. One query."""
    trials = search.trials.filter(number__in=list(wanted)).values_list("number", "architecture")
    return {str(number): made for number, made in _made(search, trials).items()}


def minis_of_trials(
    user: AbstractBaseUser | AnonymousUser, wanted: Iterable[tuple[int, int]]
) -> dict[str, dict[str, Any] | None]:
    """Miniatures by "search.number", of a person's own searches; the others are left out. Two queries."""
    by: dict[int, set[int]] = {}
    for search, number in wanted:
        by.setdefault(search, set()).add(number)
    searches = {s.pk: s for s in searches_of(user).filter(pk__in=by)}
    asked = Q(pk__in=[])
    for pk in searches:
        asked |= Q(search=pk, number__in=by[pk])
    found: dict[int, list[tuple[int, Any]]] = {}
    for pk, number, choices in Trial.objects.filter(asked).values_list("search_id", "number", "architecture"):
        found.setdefault(pk, []).append((number, choices))
    return {
        f"{pk}.{number}": made for pk, trials in found.items() for number, made in _made(searches[pk], trials).items()
    }


def _made(search: Search, trials: Iterable[tuple[int, Mapping[str, Any]]]) -> dict[int, dict[str, Any] | None]:
    about = json.dumps([search.config.get("space"), search.data_spec], sort_keys=True)
    where = hashlib.sha256(about.encode()).hexdigest()
    space = None
    out: dict[int, dict[str, Any] | None] = {}
    for number, choices in trials:
        key = (where, Architecture.of("", choices).key)
        with _lock:
            if key in _kept:
                _kept.move_to_end(key)
                out[number] = _kept[key]
                continue
        try:
            if space is None:
                space = make_space(config_of(search), DataSpec.model_validate(search.data_spec))
            made = miniature(picture(space.plan(space.validate(choices))))
        except (EngineError, ValueError) as e:
            log.info("no miniature of trial %s of search %s: %s", number, search.pk, e)
            made = None
        with _lock:
            _kept[key] = out[number] = made
            while len(_kept) > KEPT:
                _kept.popitem(last=False)
    return out
