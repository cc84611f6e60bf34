"""Snapshots of a conductor: taken now and then, so that a restarted process need not replay the whole log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from engine.errors import EngineError
from engine.evaluation.base import Report
from engine.history import TrialState
from engine.log import Edit, Entry, Finish, Refuse, Result, Stop

if TYPE_CHECKING:
    from engine.conductor import Conductor
    from engine.strategies.base import Arrays, Proposal

VERSION = 1
_LETTER: dict[TrialState, str] = {
    "running": "r",
    "paused": "w",
    "completed": "c",
    "pruned": "p",
    "failed": "f",
    "cancelled": "x",
}
_STATE = {letter: state for state, letter in _LETTER.items()}


def cancelled(fidelity: int) -> Report:
    """The report a trial gets when a person cancels it."""
    return Report.failed("cancelled", "cancelled by a person", fidelity=fidelity)


def take(c: Conductor) -> dict[str, Any]:
    """JSON of everything in a conductor that proposals and log do not say; about 30 bytes a trial."""
    return {
        "version": VERSION,
        "n_entries": c.n_entries,
        "trials": "".join(_LETTER[e.state] for e in c.history),
        # canonical keys are dear to compute and cheap to keep; as written they follow from the proposals
        "identities": [e.identity for e in c.history] if c.context.duplicates == "canonical" else None,
        "running": [[n, fidelity] for n, fidelity in c._running.items()],
        "pieces": sorted(c._pieces),
        "paused_trials": list(c._paused_trials),
        "started": c._started,
        "paused": c._paused,
        "dirty": c._dirty,
        "budget": c._budget,
        "exhausted": c._exhausted,
        "wait": c._wait,
        "ending": _finish_json(c._ending),
        "finish": _finish_json(c.finish),
        "stops": [asdict(s) for s in c._stops],
        **c._by_hand.state(),
        "since_better": c._since_better,
        "failed": c._failed,
        "succeeded": c._succeeded,
        "last_failure": c._last_failure,
        "ignored": c._ignored,
        "strategy": c.strategy.state(),
        "arrays": sorted(c.strategy.arrays()),
        "schedule": c.schedule.state(),
    }


def put_back(
    c: Conductor,
    state: Mapping[str, Any],
    entries: Sequence[Entry],
    proposals: Mapping[int, Proposal],
    arrays: Arrays,
) -> None:
    """See `Conductor.restore`."""
    if state.get("version") != VERSION:
        raise EngineError(
            f"a snapshot of version {state.get('version')!r}, not {VERSION}; replay the whole log instead"
        )
    if len(entries) != state["n_entries"] or c.n_entries:
        raise EngineError(f"a snapshot after {state['n_entries']} entries cannot be put on {len(entries)} of them")
    letters: str = state["trials"]
    if missing := [n for n in range(1, len(letters) + 1) if n not in proposals]:
        raise EngineError(f"no proposal for trial {missing[0]} of {len(letters)}")
    identities = state["identities"]
    for n, letter in enumerate(letters, start=1):
        entry = c.history.add(proposals[n], c.context.costs)
        entry.identity = identities[n - 1] if identities else c.context.identity(entry.architecture)
        c.context.register(n, entry.identity)
        entry.state = _STATE[letter]
    c._ignored = list(state["ignored"])
    ignored = set(c._ignored)
    for at, told in enumerate(entries, start=1):
        if at in ignored:
            continue
        if isinstance(told, Result):
            c.history.record(told.trial, told.fidelity, told.report)
        elif isinstance(told, Edit) and told.kind == "cancel_trial":
            number = int(told.payload["trial"])
            c.history.record(number, c.history[number].fidelity, cancelled(0))
    c.n_entries = len(entries)
    c._running = {int(n): int(fidelity) for n, fidelity in state["running"]}
    c._pieces = {int(n) for n in state.get("pieces", ())}
    c._paused_trials = dict.fromkeys(int(n) for n in state["paused_trials"])
    c._started, c._paused, c._dirty = state["started"], state["paused"], state["dirty"]
    c._budget, c._exhausted, c._wait = state["budget"], state["exhausted"], state["wait"]
    c._ending, c.finish = _finish(state["ending"]), _finish(state["finish"])
    c._stops = [Stop(**s) for s in state["stops"]]
    # states of before people could propose have neither
    c._by_hand.refused = [Refuse(**r) for r in state.get("refuses", ())]
    c._by_hand.waiting = [(int(entry), _proposal(c, value)) for entry, value in state.get("proposed", ())]
    c._since_better, c._failed, c._succeeded = state["since_better"], state["failed"], state["succeeded"]
    c._last_failure = state["last_failure"]
    c.strategy.relive([told for at, told in enumerate(entries, start=1) if at not in ignored])
    c.strategy.load(state["strategy"])
    c.strategy.budgeted(c._budget)
    if sorted(arrays) != state.get("arrays", []):
        raise EngineError(f"a snapshot with the arrays {state.get('arrays', [])} came with {sorted(arrays)}")
    c.strategy.load_arrays(arrays)
    c.schedule.load(state["schedule"])


def _proposal(c: Conductor, value: Mapping[str, Any]) -> Proposal:
    """Reads a proposal back; a database may have lost the order of its decisions, which `validate` restores."""
    from engine.strategies.base import Proposal

    proposal = Proposal.from_json(value)
    return replace(proposal, architecture=c.context.space.validate(proposal.architecture.choices))


def _finish_json(finish: Finish | None) -> dict[str, Any] | None:
    return None if finish is None else {**asdict(finish), "winners": list(finish.winners)}


def _finish(value: Mapping[str, Any] | None) -> Finish | None:
    return None if value is None else Finish(**{**value, "winners": tuple(value["winners"])})
