"""Selection by removal: of each edge the operation without which the supernet is worst (DARTS-PT)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.architecture import Option
from engine.spaces._shares import Strengths
from engine.supernets._selections import Selection, selections
from engine.supernets.mixture import Table
from engine.supernets.nets.darts import DartsLearner
from engine.supernets.nets.learner import At, Setup, cosine
from engine.supernets.nets.network import Gate
from engine.supernets.nets.scoring import by_batch, norms

#: what a dropped edge's votes are worth beside a kept one's
_DROPPED = 1e-6


class PerturbationLearner(DartsLearner):
    """DARTS for `epochs`, then one decision every `tune` epochs until nothing is left to decide.

    A decision is made at the end of an epoch, between two checkpoints of which the second has it.

    Attributes:
        decided: operation by table.
        dropped: tables whose edge was taken out because others into its node matter more.
        settled: groups of edges that were decided.
    """

    def __init__(self, setup: Setup) -> None:
        self.decided: dict[str, Option] = {}
        self.dropped: list[str] = []
        self.settled: list[str] = []
        self.note = ""
        super().__init__(setup)

    # -- what is decided ----------------------------------------------------------------------
    def probabilities(self) -> dict[str, Tensor]:
        """1 for what was decided."""
        out = super().probabilities()
        for table in self.mixture.tables:
            if table.name in self.decided:
                p = torch.zeros_like(out[table.name])
                p[table.options.index(self.decided[table.name])] = 1
                out[table.name] = p
        return out

    def gates(self, at: At) -> dict[str, Gate]:
        """One operation where it was decided, none where the edge was dropped."""
        out = super().gates(at)
        for table in self.mixture.tables:
            if table.name in self.dropped:
                out[table.name] = (), None
            elif table.name in self.decided:
                out[table.name] = (table.options.index(self.decided[table.name]),), None
        return out

    def votes(self) -> Strengths:
        """Dropped edges come last."""
        return {
            name: {o: v * _DROPPED for o, v in row.items()} if name in self.dropped else row
            for name, row in super().votes().items()
        }

    def pending(self) -> list[Selection]:
        """What is left to decide: operations, edge by edge in an order drawn once; then edges, node by node."""
        order = selections(self.space, self.mixture, np.random.default_rng([self.setup.seed, 0x97]))
        return [s for s in order if s.name not in (self.settled if s.among else self.decided)]

    # -- deciding -----------------------------------------------------------------------------
    def rate(self, step: int, steps: int) -> float:
        """DARTS's cosine, then a tenth of where it began (as published)."""
        each = steps // self.setup.epochs
        o = self.options
        if step < (searching := o.epochs * each):
            return cosine(step, searching, o.learning_rate, o.learning_rate_end)
        return float(o.learning_rate) / 10

    def frozen(self, epoch: int) -> bool:
        """Nothing to learn for the alphas once every operation is decided."""
        return super().frozen(epoch) or all(s.among for s in self.pending())

    def end_epoch(self, epoch: int) -> None:
        """Decides, where it is time; at the end of the last epoch all that is left."""
        super().end_epoch(epoch)
        self.note = ""
        over, tune = epoch + 1 - self.options.epochs, self.options.tune
        pending = self.pending()
        if epoch + 1 >= self.setup.epochs or (over >= 0 and tune == 0):
            due = pending
        else:
            due = pending[:1] if over >= 0 and over % tune == 0 else []
        self.note = "; ".join([self.decide(s, epoch) for s in due])

    def decide(self, selection: Selection, epoch: int) -> str:
        """Measures all removals and decides. Returns what it was, a phrase for people."""
        gates = self.gates(At(epoch, 0, 0.0, turn=1))
        if selection.among:
            without = {t: self.accuracy({**gates, t: ((), None)}) for t in selection.among}
            worst = sorted(selection.among, key=lambda t: without[t])  # stable: of equals the earlier one
            self.dropped += worst[selection.keeps :]
            self.settled.append(selection.name)
            return f"{selection.name}: kept {', '.join(worst[: selection.keeps])}"
        table = self.mixture.by_name[selection.name]
        costs = {
            o: self.accuracy({**gates, table.name: removed(table, gates[table.name], o)}) for o in selection.options
        }
        chosen = min(selection.options, key=lambda o: costs[o])
        whole = self.accuracy(gates)
        self.decided[table.name] = chosen
        return f"{table.name}: {chosen}, without it {100 * (costs[chosen] - whole):+.1f} points"

    @torch.no_grad()
    def accuracy(self, gates: Mapping[str, Gate]) -> float:
        """Of the supernet with these gates on the held half, normalized by the batch."""
        assert self.held_out is not None
        right = seen = 0
        with by_batch(norms([self.bank])):
            for x, y in self.held_out(self.options.samples):
                right += int((self.forward(x, gates).argmax(1) == y).sum())
                seen += len(y)
        return right / max(1, seen)

    def views(self) -> dict[str, Any]:
        """What was decided, too."""
        out = super().views()
        return {**out, "note": self.note} if self.note else out

    # -- kept ---------------------------------------------------------------------------------
    def about(self) -> dict[str, Any]:
        """What was decided, too."""
        return super().about() | {"decided": self.decided, "dropped": self.dropped, "settled": self.settled}

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Takes over what was decided, too."""
        super().restore(tensors, about)
        self.decided, self.dropped, self.settled = (
            dict(about["decided"]),
            list(about["dropped"]),
            list(about["settled"]),
        )


def removed(table: Table, gate: Gate, option: Option) -> Gate:
    """A gate without one option; the others keep their weights, as published: they are not scaled up again."""
    positions, weights = gate
    left = [i for i, k in enumerate(positions) if table.options[k] != option]
    return [positions[i] for i in left], None if weights is None else weights[left]
