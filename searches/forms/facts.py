"""What is known of a search space before anything is trained: its size, and the costs of sampled networks."""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from engine import catalog
from engine.architecture import Architecture
from engine.data.spec import DataSpec
from engine.errors import EngineError, InvalidConfig
from engine.objectives import EXACT_COSTS
from engine.spaces.base import space_of

SAMPLES = 256
SECONDS = 1.5  # a space whose costs are slow to count is described by fewer networks
STEPS = 60  # of the walk towards the smallest network
KEPT = 64

_cache: OrderedDict[str, SpaceFacts] = OrderedDict()
_lock = threading.Lock()


@dataclass(frozen=True)
class SpaceFacts:
    """A space bound to its data, in numbers.

    Attributes:
        size: number of architectures; `exact_size`: whether that is the number itself and no bound.
        n_decisions: decisions that can occur; `active`: fewest and most that act in one sampled network.
        n_sampled: networks the costs come from.
        costs: metric to sampled values, sorted.
        smallest: metric to the smallest value found, by sampling and then one change at a time.
        outline: the picture of the space.
    """

    size: int
    n_decisions: int
    active: tuple[int, int]
    n_sampled: int
    costs: dict[str, tuple[float, ...]]
    smallest: dict[str, float]
    outline: dict[str, Any]
    exact_size: bool = True

    def quantile(self, metric: str, share: float) -> float:
        """A quantile of the sampled costs."""
        values = self.costs[metric]
        return values[min(len(values) - 1, int(share * len(values)))]


def make_space(name: str, options: dict[str, Any], data: DataSpec) -> Any:
    """A space from the names and values of the form.

    Raises:
        InvalidConfig: unknown space, bad options, or a space that does not serve the data; with paths below "space".
    """
    cls = catalog.get("space", name)
    if reason := cls.fits(data):
        raise InvalidConfig([(("space", "name"), f"this space does not serve {data.name}: {reason}")])
    try:
        return space_of(cls, cls.Options.model_validate(options), data)
    except ValidationError as e:
        raise InvalidConfig([(("space", *x["loc"]), str(x["msg"])) for x in e.errors()]) from e
    except (EngineError, ValueError) as e:
        raise InvalidConfig([(("space",), str(e))]) from e


def space_facts(name: str, options: dict[str, Any], data: DataSpec) -> SpaceFacts:
    """Facts of a space, remembered for the last few forms.

    Raises:
        InvalidConfig: see `make_space`; also a space in which no network can be built.
    """
    shape = [
        data.name,
        data.kind,
        list(data.input_shape),
        data.n_classes,
        data.vocabulary,
        data.cardinalities if data.kind == "table" else None,
    ]
    key = json.dumps([name, options, shape], sort_keys=True, default=str)
    with _lock:
        if key in _cache:
            _cache.move_to_end(key)
            return _cache[key]
    facts = _describe(make_space(name, options, data))
    with _lock:
        _cache[key] = facts
        while len(_cache) > KEPT:
            _cache.popitem(last=False)
    return facts


def _describe(space: Any) -> SpaceFacts:
    rng = np.random.default_rng(0)
    found: list[tuple[Architecture, dict[str, float]]] = []
    active: list[int] = []
    end = time.monotonic() + SECONDS
    problem: Exception | None = None
    for _ in range(SAMPLES):
        try:
            architecture = space.sample(rng)
            found.append((architecture, space.costs(architecture).as_metrics()))
            active.append(len(architecture.items))
        except EngineError as e:
            problem = e
        if time.monotonic() > end and (found or problem):
            break
    if not found:
        raise InvalidConfig([(("space",), f"none of the sampled networks can be built: {problem}")])
    costs = {m: tuple(sorted(float(c[m]) for _, c in found)) for m in EXACT_COSTS}
    return SpaceFacts(
        size=space.size(),
        n_decisions=len(space.all_decisions()),
        active=(min(active), max(active)),
        n_sampled=len(found),
        costs=costs,
        smallest={m: _smallest(space, found, m) for m in EXACT_COSTS},
        outline=space.outline(),
        exact_size=space.exact_size,
    )


def _smallest(space: Any, found: list[tuple[Architecture, dict[str, float]]], metric: str) -> float:
    """Walks downhill from the smallest sampled network, one change at a time, until nothing is smaller."""
    at, low = min(((a, c[metric]) for a, c in found), key=lambda pair: pair[1])
    end = time.monotonic() + SECONDS / len(EXACT_COSTS)
    for _ in range(STEPS):
        best = None
        for other in space.each_neighbour(at):
            if time.monotonic() > end:
                return float(low)
            try:
                value = space.costs(other).as_metrics()[metric]
            except EngineError:
                continue
            if value < low:
                best, low = other, value
        if best is None:
            break
        at = best
    return float(low)
