"""What ended searches have measured, frozen in the storage by digest, for searches that learn from them.

A search names digests in its config and never another search: what it learns from stays the same when that one is
extended, renamed or deleted.
"""

from __future__ import annotations

import json

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import DataError
from engine.experience import Experience, experience_from, parsed
from engine.history import History
from engine.log import Result, entry_from_json
from engine.spaces.base import make_space
from engine.strategies.base import Proposal
from searches.models import LogEntry, Search, Trial
from searches.services.writing import Rejected


def experience_freeze(*, search: Search) -> str:
    """Writes what an ended search has measured to the storage, once; returns its digest.

    Read from its trials and its log, so that its strategy is not needed (nor what that would load).

    Raises:
        Rejected: it has not ended, or has no result.
    """
    if search.state not in Search.ENDED or not search.data_spec:
        raise Rejected(f"“{search.name}” has not ended; only ended searches can be learned from.")
    found = _measured(search)
    if found is None:
        raise Rejected(f"“{search.name}” has no result to learn from.")
    name = _name(found.digest)
    if not default_storage.exists(name):
        default_storage.save(name, ContentFile(json.dumps(found.to_json()).encode()))
    return found.digest


def experience_load(*, config: SearchConfig) -> list[Experience]:
    """What a search learns from.

    Raises:
        DataError: it is missing in the storage, or damaged.
    """
    out = []
    for digest in config.experience:
        try:
            with default_storage.open(_name(digest)) as file:
                text = file.read().decode()
        except (OSError, UnicodeDecodeError) as e:
            raise DataError(
                f"the results {digest[:12]}… of an earlier search, which this one learns from, are missing in the "
                f"storage ({_name(digest)}); restore the file, or make the search anew without them"
            ) from e
        out.append(parsed(text, digest))
    return out


def _name(digest: str) -> str:
    return f"experience/{digest}.json"


def _measured(search: Search) -> Experience | None:
    config = SearchConfig.parse(search.config)
    space = make_space(config, DataSpec.model_validate(search.data_spec))
    history = History(config.objectives)
    rows = Trial.objects.filter(search_id=search.pk).order_by("number").values_list("proposal", flat=True)
    for value in rows.iterator():
        proposal = Proposal.from_json(value)
        architecture = space.validate(proposal.architecture.choices)  # jsonb has lost the order of decisions
        history.add(Proposal(architecture), lambda a: space.costs(a).as_metrics())
    entries = LogEntry.objects.filter(search_id=search.pk).order_by("number").values_list("payload", flat=True)
    for payload in entries.iterator(chunk_size=500):
        entry = entry_from_json(payload)
        if isinstance(entry, Result) and entry.trial in history:
            history.record(entry.trial, entry.fidelity, entry.report)
    return experience_from(config, space, history)
