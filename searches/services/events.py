"""Events: what browsers learn, in numbers without gaps, with absolute values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from searches.models import Search, Trial
from searches.services.writing import COUNTED, writing

#: fields of a trial that its event carries: read these and no more
TRIAL_FIELDS = (
    "id", "search_id", "number", "name", "state", "reason", "accuracy", "n_wrong", "n_samples", "fidelity", "epochs",
    "target_epochs", "n_params", "n_macs", "worker", "why", "duration_s", "on_front", "final_state", "failure_kind",
    "started_at", "source", "final_reason",
)  # fmt: skip
_SENT = (
    "number", "name", "state", "reason", "accuracy", "n_wrong", "n_samples", "fidelity", "epochs", "target_epochs",
    "n_params", "n_macs", "worker", "why", "duration_s", "on_front", "final_state", "failure_kind",
)  # fmt: skip


def event_append(*, search_id: int, kind: str, data: Mapping[str, Any]) -> None:
    """Appends one event, inside the caller's transaction where there is one; published on commit."""
    with writing(search_id) as write:
        write.event(kind, data)


def trial_data(trial: Trial) -> dict[str, Any]:
    """Data of a "trial" event."""
    return {name: getattr(trial, name) for name in _SENT}


def search_data(search: Search) -> dict[str, Any]:
    """Data of a "search" event."""
    best = search.best if search.best_id else None
    return {
        "state": search.state,
        "reason": search.reason,
        "counts": {"trials": search.n_trials, **{name: getattr(search, f"n_{name}") for name in COUNTED}},
        "best": best
        and {
            "number": best.number,
            "name": best.name,
            "accuracy": best.accuracy,
            "n_wrong": best.n_wrong,
            "n_samples": best.n_samples,
        },
        "ran_s": search.ran_s,
        "running_since": search.running_since,
        "front": search.front,
        "waiting": search.waiting,
        "winners": search.winners,
    }
