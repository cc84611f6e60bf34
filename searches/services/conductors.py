"""Conductors in the memory of the control worker, loaded from the log when they are not there.

A conductor is worth exactly as much as the log it has seen: it is kept under the number of the last entry decided upon,
and dropped as soon as the database says another number.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine import catalog
from engine.architecture import Architecture
from engine.conductor import Conductor, training_seed
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.experience import Experience
from engine.log import Entry, entry_from_json
from engine.strategies.base import Proposal
from searches.models import LogEntry, Search, Snapshot, Trial
from searches.services.experience import experience_load
from searches.services.snapshots import snapshot_arrays

log = logging.getLogger(__name__)
#: conductors kept at the same time
KEPT = 64
#: entries read from the database at once
CHUNK = 500


@dataclass
class Held:
    """A conductor and what was last written of it.

    Attributes:
        cursor: entries it has seen and whose actions are committed.
        snapshot: entry of its last snapshot.
        best, front: as last written to the search's row.
        views_at, views_cost_s: when the views were last written (monotonic), and what that took.
        views_cursor: the entry they belong to.
        unbuildable: how many refused architectures the log of the search speaks of.
    """

    conductor: Conductor
    config: SearchConfig
    cursor: int = 0
    snapshot: int = 0
    best: int | None = None
    front: list[int] = field(default_factory=list)
    views_at: float = -1e9
    views_cost_s: float = 0.0
    views_cursor: int = -1
    unbuildable: int = 0

    @property
    def views_due(self) -> bool:
        """Whether writing the views now keeps them below five per cent of the time."""
        return self.views_cursor != self.cursor and time.monotonic() - self.views_at > 20 * self.views_cost_s


class Shelf:
    """The conductors of this process; one thread at a time advances a search, and no thread waits for another.

    A strategy that thinks for long holds up its own search and nothing else: who finds a search busy leaves a wish
    behind, and the thread that is at it looks again when it is done.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[int, Held] = OrderedDict()
        self._wanted: set[int] = set()
        self._busy: set[int] = set()
        self._guard = threading.Lock()

    def want(self, search_id: int) -> None:
        """Somebody is to look at this search (again)."""
        with self._guard:
            self._wanted.add(search_id)

    def wanted(self, search_id: int) -> bool:
        """Whether somebody left a wish behind."""
        with self._guard:
            return search_id in self._wanted

    def take(self, search_id: int, *, wanted: bool = True) -> bool:
        """Begins with a search that is wanted and that nobody is at; `release` it afterwards."""
        with self._guard:
            if search_id in self._busy or (wanted and search_id not in self._wanted):
                return False
            if wanted:
                self._wanted.discard(search_id)
            self._busy.add(search_id)
            return True

    def release(self, search_id: int) -> None:
        """Done with it, for now."""
        with self._guard:
            self._busy.discard(search_id)

    def get(self, search_id: int, cursor: int) -> Held | None:
        """The conductor that has seen exactly `cursor` entries; any other is dropped."""
        with self._guard:
            held = self._held.get(search_id)
            if held is not None and held.cursor != cursor:
                del self._held[search_id]
                return None
            if held is not None:
                self._held.move_to_end(search_id)
            return held

    def put(self, search_id: int, held: Held) -> None:
        """Keeps it; the one used longest ago goes where there are too many."""
        with self._guard:
            self._held[search_id] = held
            self._held.move_to_end(search_id)
            while len(self._held) > KEPT:
                self._held.popitem(last=False)

    def drop(self, search_id: int) -> None:
        """Forgets it."""
        with self._guard:
            self._held.pop(search_id, None)

    def all(self) -> list[tuple[int, Held]]:
        """What is kept now."""
        with self._guard:
            return list(self._held.items())


shelf = Shelf()


def data_spec(config: SearchConfig) -> DataSpec:
    """The spec of a search's data: the evaluator's own (a table), or the registry's.

    Raises:
        EngineError: the data is not to be had; the message says what to do.
    """
    evaluator = catalog.get("evaluator", config.evaluator.name)
    own: DataSpec | None = evaluator.data_spec(config.options("evaluator"))
    if own is not None:
        return own
    from engine.data import registry

    return registry.spec(config.data.name, config.data.options())


def load(search: Search) -> Held:
    """Makes the conductor of a search from its last snapshot and the log's tail; nothing is proposed anew.

    Args:
        search: with config, data_spec, cursor, n_trials, best and front.

    Raises:
        EngineError: the config does not work (any more), or the log does not lead to the trials there are.
    """
    config = SearchConfig.parse(search.config)
    if not search.data_spec:
        spec = data_spec(config)
        search.data_spec = spec.model_dump(mode="json")
        Search.objects.filter(pk=search.pk).update(data_spec=search.data_spec)
    data = DataSpec.model_validate(search.data_spec)
    conductor, done = _from_snapshot(search, config, data, experience_load(config=config))
    for entry in _entries(search.pk, done, search.cursor):
        conductor.observe(entry)
        conductor.next_actions()
    if len(conductor.history) != search.n_trials:
        raise EngineError(
            f"the log leads to {len(conductor.history)} trials after {search.cursor} entries, but there are "
            f"{search.n_trials}; was the database changed by hand, or a plug-in by an upgrade?"
        )
    best = Trial.objects.filter(pk=search.best_id).values_list("number", flat=True).first()
    known = len(conductor.context.unbuildable)
    return Held(
        conductor, config, cursor=search.cursor, snapshot=done, best=best, front=list(search.front), unbuildable=known
    )


def _from_snapshot(
    search: Search, config: SearchConfig, data: DataSpec, experience: Sequence[Experience]
) -> tuple[Conductor, int]:
    """The newest snapshot that works, else an empty conductor; and how many entries it has seen."""
    for snapshot in Snapshot.objects.filter(search_id=search.pk, cursor__lte=search.cursor).order_by("-cursor"):
        conductor = Conductor.from_config(config, data, experience)
        try:
            state = json.loads(snapshot.state["text"])
            entries = list(_entries(search.pk, 0, snapshot.cursor))
            rows = Trial.objects.filter(search_id=search.pk, number__lte=len(state["trials"]))
            proposals = {
                number: _proposal(value, conductor) for number, value in rows.values_list("number", "proposal")
            }
            conductor.restore(state, entries, proposals, snapshot_arrays(snapshot))
        except (EngineError, KeyError, ValueError) as e:  # of another version, or damaged: the log has everything
            log.info("The snapshot of search %s %s does not work: %s", search.pk, snapshot, e)
            continue
        return conductor, snapshot.cursor
    return Conductor.from_config(config, data, experience), 0


def _proposal(value: dict[str, Any], conductor: Conductor) -> Proposal:
    """Reads a proposal back; PostgreSQL's jsonb has lost the order of its decisions, which `validate` restores."""
    proposal = Proposal.from_json(value)
    return replace(proposal, architecture=conductor.context.space.validate(proposal.architecture.choices))


def _entries(search_id: int, after: int, until: int) -> Any:
    rows = LogEntry.objects.filter(search_id=search_id, number__gt=after, number__lte=until).order_by("number")
    for payload in rows.values_list("payload", flat=True).iterator(chunk_size=CHUNK):
        yield entry_from_json(payload)


def entries_next(search_id: int, after: int, limit: int) -> list[tuple[int, Entry]]:
    """The next entries of a log, with their numbers."""
    rows = LogEntry.objects.filter(search_id=search_id, number__gt=after).order_by("number")[:limit]
    return [(number, entry_from_json(payload)) for number, payload in rows.values_list("number", "payload")]


def trial_values(held: Held, number: int, proposal: Proposal) -> dict[str, Any]:
    """Columns of a new trial that follow from its proposal."""
    space = held.conductor.context.space
    architecture: Architecture = proposal.architecture
    costs = held.conductor.context.costs(architecture)
    key = architecture.key if held.config.duplicates == "written" else space.canonical_key(architecture)
    return {
        "number": number,
        "name": space.short_name(architecture)[:80],
        "architecture": architecture.choices,
        "key": hashlib.sha256(key.encode()).hexdigest(),
        "n_params": _whole(costs.get("n_params")),
        "n_macs": _whole(costs.get("n_macs")),
        "activation_bytes": _whole(costs.get("activation_bytes")),
        "proposal": proposal.to_json(),
        "why": proposal.why[:400],
        "by": proposal.by[:80],
        "parents": list(proposal.parents),
        "seed": training_seed(held.config.seed, number, proposal.replicate),
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
