"""Mixtures whose options have a measured latency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine.architecture import Architecture
from engine.errors import DataError
from engine.supernets.latency import fixed_ms, rows_of
from engine.supernets.mixture import Mixture
from engine.supernets.nets.mixed import MixedLearner

#: share of the epochs in which the weights get ahead (Wu et al. 2019: 10 of 90)
WARM_UP = 1 / 9


class TimedLearner(MixedLearner):
    """Knows what its options take, and samples networks by their probabilities.

    Attributes:
        option_ms: (options,) by table; {} = nothing was measured.
        fixed_ms: of what stands outside of the slots.
    """

    def begin(self, mixture: Mixture, seed: int) -> None:
        """Latencies of what stands side by side, too."""
        super().begin(mixture, seed)
        measured = self.setup.latency_ms
        rows = rows_of(measured, mixture) if measured else {}
        self.option_ms = {name: torch.tensor(row, device=self.setup.device) for name, row in rows.items()}
        self.fixed_ms = fixed_ms(measured)

    def expected_ms(self, weights: Mapping[str, Tensor]) -> Tensor:
        """(): milliseconds of a network whose options have these weights: sum of weight times latency, and the rest.

        Raises:
            DataError: nothing was measured.
        """
        if not self.option_ms:
            raise DataError("latency is weighed, but none was measured; set latency_weight to 0, or measure first")
        parts = [(weights[name] * row.to(weights[name].dtype)).sum() for name, row in self.option_ms.items()]
        return torch.stack(parts).sum() + self.fixed_ms

    def frozen(self, epoch: int) -> bool:
        """While the weights get ahead."""
        warm_up = self.options.warm_up
        return epoch < (int(WARM_UP * self.setup.epochs) if warm_up is None else warm_up)

    def sampled(self, rng: np.random.Generator) -> Architecture:
        """A network with options drawn by their probabilities."""
        drawn = {}
        for name, row in self.strengths().items():
            p = np.array(list(row.values()))
            drawn[name] = {list(row)[int(rng.choice(len(p), p=p / p.sum()))]: 1.0}
        return self.space.derive(drawn)

    def paths(self, n: int, rng: np.random.Generator) -> list[Architecture]:
        """Networks with options drawn by their probabilities."""
        return [self.sampled(rng) for _ in range(n)]

    def views(self) -> dict[str, Any]:
        """The expected latency, too, where it was measured."""
        out = super().views()
        if self.option_ms:
            with torch.no_grad():
                out["latency_ms"] = float(self.expected_ms(self.probabilities()))
        return out
