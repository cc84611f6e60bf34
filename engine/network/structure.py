"""The shape of a network in a few numbers that do not depend on how it is written: what a surrogate sees first.

How deep the ways from input to output are says more of how a network trains than which of its edges does what: on
NAS-Bench-201 the shortest way (a skip from input to output makes it zero) goes with accuracy at 0.6 within the better
half.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log10

from engine.network.live import live_nodes
from engine.network.operations import OPERATIONS
from engine.network.plan import NetworkPlan

#: kinds of operations that are a layer: they mix what they read by weights
LAYERS = frozenset({"conv", "sep", "dense", "attention", "recurrent"})
#: names of what `structure` gives, in order
STRUCTURE = ("depth_min", "depth_mean", "log10_paths", "pools")
#: of a graph without a way from input to output: as if it had a tenth of one, since what learns nothing of its input
#: must not look like what hands it on as it is
NO_WAY = {"depth_min": 0.0, "depth_mean": 0.0, "log10_paths": -1.0, "pools": 0.0}


@dataclass(frozen=True)
class Step:
    """One operation of a graph in topological order.

    Attributes:
        inputs: places of the steps it reads; -1 is the input.
        layer: whether it counts as depth.
        pool: whether it is a pooling.
    """

    inputs: tuple[int, ...]
    layer: bool = False
    pool: bool = False


def structure_of(steps: Sequence[Step]) -> dict[str, float]:
    """Numbers of a graph whose last step is the output; every step must be live.

    `depth_min` and `depth_mean`: layers on the shortest way from input to output and on the mean one (each way counts
    once); `log10_paths`: number of ways; `pools`: poolings. The longest way says little beyond the mean.
    """
    # per step: fewest, ways, sum of depths over all ways; ways are floats: deep networks have 1e30 of them
    known: dict[int, tuple[int, float, float]] = {-1: (0, 1.0, 0.0)}
    pools = 0
    for i, step in enumerate(steps):
        read = [known[j] for j in step.inputs]
        own = int(step.layer)
        ways = sum(r[1] for r in read)
        known[i] = (min(r[0] for r in read) + own, ways, sum(r[2] for r in read) + own * ways)
        pools += step.pool
    low, ways, total = known[len(steps) - 1]
    return dict(zip(STRUCTURE, (float(low), total / ways, log10(ways), float(pools)), strict=True))


def structure(plan: NetworkPlan) -> dict[str, float]:
    """`structure_of` the live operations of a plan; `NO_WAY` where none leads from input to output."""
    nodes = [n for n in live_nodes(plan) if n.id not in plan.auxiliary]
    if not nodes:
        return dict(NO_WAY)
    place: dict[str, int] = {"input": -1}
    steps: list[Step] = []
    for node in nodes:
        kind = OPERATIONS[node.op].kind
        inputs = _known(place, node.inputs)
        place[node.id] = len(steps)
        steps.append(Step(inputs, kind in LAYERS, kind == "pool"))
    return structure_of(steps)


def _known(place: dict[str, int], inputs: Iterable[str]) -> tuple[int, ...]:
    """Places of those inputs that are live."""
    return tuple(place[i] for i in inputs if i in place)
