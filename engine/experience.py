"""Frozen experience: what an earlier search has measured, as a value with a digest. Strategies that learn get some."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from engine.architecture import Option
from engine.errors import DataError
from engine.objectives import Objective

if TYPE_CHECKING:
    from pathlib import Path

    from engine.conductor import Conductor
    from engine.config import SearchConfig
    from engine.history import History
    from engine.spaces.base import SearchSpace

#: trials kept of one search: all up to here, then the best half and an even choice of the rest
MOST_TRIALS = 2_000


@dataclass(frozen=True)
class Tried:
    """One architecture and what came of it.

    Attributes:
        choices: option by decision, as written.
        losses: one per objective of that search, smaller is better.
        costs: exact costs ("n_params", "n_macs", "activation_bytes") for that search's data.
    """

    choices: Mapping[str, Option]
    losses: tuple[float, ...]
    costs: Mapping[str, float]


@dataclass(frozen=True)
class Experience:
    """The results of one search at the level it was judged by.

    Attributes:
        name: what people called the search.
        space: name of its search space.
        options: of the space.
        data: summary of its `DataSpec`: "name", "kind", "input_shape", "n_classes", "sizes", "digest".
        objectives: what `Tried.losses` are made of.
        source, fidelity: the level of the results.
        trials: in order of start.
    """

    name: str
    space: str
    options: Mapping[str, Any]
    data: Mapping[str, Any]
    objectives: tuple[Objective, ...]
    source: str
    fidelity: int
    trials: tuple[Tried, ...]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content: what a config names it by."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """JSON form, read back by `from_json`."""
        out = {k: v for k, v in asdict(self).items() if k != "objectives"}
        out["objectives"] = [o.model_dump() for o in self.objectives]
        out["trials"] = [[dict(t.choices), list(t.losses), dict(t.costs)] for t in self.trials]
        return {**out, "options": dict(self.options), "data": dict(self.data)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Experience:
        """Reads what `to_json` wrote."""
        v = dict(value)
        v["objectives"] = tuple(Objective.model_validate(o) for o in v["objectives"])
        v["trials"] = tuple(Tried(c, tuple(losses), costs) for c, losses, costs in v["trials"])
        return cls(**v)


def experience_of(conductor: Conductor) -> Experience | None:
    """What a search has measured at the highest level it reached; None before there is a result."""
    return experience_from(conductor.config, conductor.context.space, conductor.history)


def experience_from(config: SearchConfig, space: SearchSpace, history: History) -> Experience | None:
    """`experience_of` a search of which nothing but its history is at hand.

    Args:
        config: the search.
        space: its space, bound to its data.
        history: its trials with their reports.
    """
    level = history.top
    if level is None:
        return None
    entries = [e for e in history if level in e.values and all(abs(x) < float("inf") for x in e.values[level])]
    if len(entries) > MOST_TRIALS:
        ranked = sorted(entries, key=lambda e: e.values[level])
        best, rest = ranked[: MOST_TRIALS // 2], ranked[MOST_TRIALS // 2 :]
        step = len(rest) / (MOST_TRIALS - len(best))
        kept = best + [rest[int(i * step)] for i in range(MOST_TRIALS - len(best))]
        entries = sorted(kept, key=lambda e: e.number)
    data = space.data
    assert data is not None
    return Experience(
        name=config.name,
        space=config.space.name,
        options=config.space.options(),
        data={
            "name": data.name, "kind": data.kind, "input_shape": list(data.input_shape), "n_classes": data.n_classes,
            "sizes": dict(data.sizes), "digest": data.digest,
        },
        objectives=tuple(history.objectives),
        source=level[0],
        fidelity=level[1],
        trials=tried(entries, level),
    )  # fmt: skip


def read(folder: Path, digests: Sequence[str]) -> list[Experience]:
    """Frozen results by their digests from a folder of `DIGEST.json`.

    Raises:
        DataError: one is missing or damaged; names the file.
    """
    out = []
    for digest in digests:
        path = folder / f"{digest}.json"
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as e:
            raise DataError(f"the results of an earlier search are missing: {path} ({e.strerror})") from e
        out.append(parsed(text, digest))
    return out


def parsed(text: str, digest: str) -> Experience:
    """Reads the JSON text of frozen results.

    Raises:
        DataError: it is not what the digest names.
    """
    try:
        found = Experience.from_json(json.loads(text))
    except (ValueError, KeyError, TypeError) as e:
        raise DataError(f"the results {digest[:12]}… of an earlier search cannot be read: {e}") from e
    if found.digest != digest:
        raise DataError(f"the results {digest[:12]}… of an earlier search are damaged: their digest is another one")
    return found


def tried(entries: Sequence[Any], level: tuple[str, int]) -> tuple[Tried, ...]:
    """Trials as experience."""
    return tuple(Tried(dict(e.architecture.choices), tuple(e.values[level]), dict(e.costs)) for e in entries)
