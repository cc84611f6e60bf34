"""What each option of a mixture takes on this device: medians over repeats, after a warm-up."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.errors import Interrupted
from engine.evaluation.base import Emit, ShouldStop
from engine.network.build import build
from engine.network.plan import Node
from engine.spaces.base import SearchSpace
from engine.supernets.latency import latency_of, predicted_ms
from engine.supernets.mixture import Slot
from engine.supernets.nets.bank import Bank
from engine.training.device import Setting
from engine.training.inference import autocast

#: runs before anything counts; rounds at most, and while there is time at least
WARM_UP, ROUNDS, LEAST = 3, 30, 5
#: a reading on a GPU takes so long at least: something shorter is queued several times for it. On the CPU it is one
#: run: repeated at once it would find its weights and code in the cache, as nothing does within a network
READING_S, MOST_RUNS = 1e-3, 50
#: all of it, about
SECONDS = 60.0
#: whole networks that the sums are checked on
NETWORKS = 3


@dataclass
class _Piece:
    """Something that is timed once for all places where it stands.

    Attributes:
        run: runs it once; on a GPU it only has to be queued.
        runs: of one reading.
        took: readings, in ms a run.
    """

    run: Callable[[], Any]
    runs: int = 1
    took: list[float] = field(default_factory=list)

    def read(self, device: torch.device) -> float:
        """Seconds of one reading of `runs` runs."""
        _finish(device)
        began = time.perf_counter()
        for _ in range(self.runs):
            self.run()
        _finish(device)
        return time.perf_counter() - began

    @property
    def ms(self) -> tuple[float, float]:
        """(median, distance of the quartiles)."""
        low, median, high = np.percentile(self.took, [25, 50, 75])
        return float(median), float(high - low)


def measure(
    space: SearchSpace, device: torch.device, setting: Setting, should_stop: ShouldStop, *,
    batch: int = 1, seconds: float = SECONDS, seed: int = 0, emit: Emit | None = None,
) -> list[dict[str, Any]]:  # fmt: skip
    """Milliseconds of every option of every table, summed over the slots that share it.

    Operations run as in a forward pass of evaluation (norms by their running statistics), each by itself, on inputs of
    its place's shape. What is equal in operation, arguments and shape is timed once, round after round with everything
    else between, so that a slow moment of the machine falls on a round and not on an operation, and caches are as cold
    as within a network. Under bfloat16 the conversion of the weights is left out, which a pass does once.

    A recurrent cell that is a mixture inside (`mixture.Inside`) is measured whole, among what stands outside of slots,
    and each of its options takes 0 ms: latency prefers none of them. One by one they could not be told from noise. On a
    CPU core eight nodes of 64 channels, all of them tanh, relu or sigmoid, take the same to 5 % at batch 1 and to 10 %
    at batch 128, all of them identity an eighth less: the choice of one node moves the cell by a hundredth or two, less
    than the quartiles of a reading lie apart.

    Args:
        space: whose mixture is measured.
        device, setting: where and how; the caller sets threads.
        should_stop: asked between two readings.
        batch: samples of a pass.
        seconds: all of it takes at most about so long: rounds are fewer where they are slow, but one at least.
        seed: of the networks that the sums are checked on.
        emit: told the rounds.

    Returns:
        {"table", "option", "ms", "spread_ms"} an option: the median, and the distance of the quartiles; both are sums
        over the slots. The table "" with the option "" is all that stands outside of slots. Then `NETWORKS` networks
        of the space, {"table": "", "option": "network 1", "ms", "spread_ms", "sum_ms", "ratio", "choices"}: measured
        as a whole, what the sum of its parts says, and that sum as a share of what was measured.

    Raises:
        Interrupted: `should_stop` gave a reason.
    """
    ends = time.perf_counter() + seconds
    bank = Bank(seed=0, device=device, layout=setting.memory_format).eval()
    mixture = space.mixture()
    shapes = {"input": mixture.input_shape} | {p.id: p.shape for p in mixture.parts}
    pieces: dict[Hashable, _Piece] = {}
    uses: dict[tuple[str, str], Counter[Hashable]] = {}
    generator = torch.Generator().manual_seed(0)

    def sample(name: str) -> Tensor:
        if name == "input" and mixture.input_type == "int64":
            return torch.zeros(batch, *shapes[name], dtype=torch.int64, device=device)
        out = torch.randn(batch, *shapes[name], generator=generator).to(device, setting.dtype)
        return out.contiguous(memory_format=setting.memory_format) if out.ndim == 4 else out

    def use(key: tuple[str, str], nodes: Sequence[Node], sources: Sequence[str]) -> None:
        counted = uses.setdefault(key, Counter())
        if not nodes:  # zeros, which nobody computes
            return
        same = _signature(nodes, sources, [shapes[s] for s in sources])
        counted[same] += 1
        if same not in pieces:
            pieces[same] = _Piece(_Chain(bank, nodes, sources, [sample(s) for s in sources]))

    for part in mixture.parts:
        if isinstance(part, Slot):
            for option, nodes in part.alternatives.items():
                use((part.table, str(option)), nodes, [part.input])
        else:
            use(("", ""), [part], list(dict.fromkeys(part.inputs)))
    for t in mixture.tables:  # of a recurrent cell, which was measured whole
        for o in t.options:
            uses.setdefault((t.name, str(o)), Counter())
    rng = np.random.default_rng(seed)
    networks = [  # derived, not sampled: the mixture may hold a part of the space only
        space.derive({t.name: {o: float(rng.random()) for o in t.options} for t in mixture.tables})
        for _ in range(NETWORKS)
    ]
    x = sample("input")
    for i, a in enumerate(networks):
        whole = build(space.planned(a), seed=0).to(device).to(memory_format=setting.memory_format).eval()
        pieces[i] = _Piece(partial(whole, x))
    with torch.no_grad(), autocast(device, setting):
        _time(list(pieces.values()), device, should_stop, ends, emit)

    rows: list[dict[str, Any]] = []
    for (table, option), counted in uses.items():
        each = [(n, *pieces[same].ms) for same, n in counted.items()]
        ms, spread = sum(n * m for n, m, _ in each), sum(n * s for n, _, s in each)
        rows.append({"table": table, "option": option, "ms": float(ms), "spread_ms": float(spread)})
    latency = latency_of(rows)
    for i, a in enumerate(networks):
        ms, spread = pieces[i].ms
        total = predicted_ms(latency, space.chosen(a))
        rows.append({"table": "", "option": f"network {i + 1}", "ms": ms, "spread_ms": spread, "sum_ms": total,
                     "ratio": total / ms, "choices": dict(a.choices)})  # fmt: skip
    return rows


def _time(
    pieces: Sequence[_Piece], device: torch.device, should_stop: ShouldStop, ends: float, emit: Emit | None
) -> None:
    """Fills in the readings of all pieces."""

    def a_round() -> list[float]:
        out = []
        for piece in pieces:
            if reason := should_stop():
                raise Interrupted(reason)
            out.append(piece.read(device))
        return out

    for _ in range(WARM_UP):
        began = time.perf_counter()
        last = a_round()
        if time.perf_counter() + 2 * (time.perf_counter() - began) > ends:  # slow: a round that counts must fit
            break
    if device.type != "cpu":
        for piece, took in zip(pieces, last, strict=True):
            piece.runs = min(MOST_RUNS, max(1, math.ceil(READING_S / max(took, 1e-9))))
    rounds, done, took_s = ROUNDS, 0, 0.0
    while done < rounds:
        began = time.perf_counter()
        for piece, took in zip(pieces, a_round(), strict=True):
            piece.took.append(1000 * took / piece.runs)
        done, took_s = done + 1, time.perf_counter() - began
        if time.perf_counter() + took_s > ends:
            break
        if emit is not None:
            emit({"kind": "batch", "epoch": 0, "epochs": 0, "batch": done, "batches": rounds})


class _Chain:
    """A few nodes over the weights of a bank, with their inputs."""

    def __init__(self, bank: Bank, nodes: Sequence[Node], sources: Sequence[str], inputs: Sequence[Tensor]) -> None:
        self._inputs = dict(zip(sources, inputs, strict=True))
        self._steps = [(bank.block(n.id, n), n.inputs, n.id) for n in nodes]

    def __call__(self) -> Tensor:
        values = dict(self._inputs)
        for block, sources, id in self._steps:
            values[id] = block(*[values[s] for s in sources])
        return values[id]


def _signature(nodes: Sequence[Node], sources: Sequence[str], shapes: Sequence[tuple[int, ...]]) -> Hashable:
    """Equal for chains that compute the same thing on inputs of the same shapes."""
    places = {s: i for i, s in enumerate([*sources, *(n.id for n in nodes)])}
    steps = tuple((n.op, json.dumps(dict(n.args), sort_keys=True), *(places[s] for s in n.inputs)) for n in nodes)
    return tuple(shapes), steps


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
