"""Learners of what was proposed against the collapse of DARTS; selection by removal has a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from engine.supernets.alarm import eigenvalue_risen
from engine.supernets.epochs import SKIPS
from engine.supernets.nets.darts import DartsLearner
from engine.supernets.nets.learner import At, Setup
from engine.supernets.nets.network import Gate

#: Zela et al. 2020, section 5: what their four runs differ in, factors of the first weight decay and dropped paths
DECAYS, DROP_PATHS = (1.0, 3.0, 9.0, 27.0), (0.0, 0.2, 0.4, 0.6)


class EarlyStoppedLearner(DartsLearner):
    """Ends where the dominant eigenvalue rises and hands over what was derived before (DARTS-ES)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.watches = True

    def stop_reason(self, rows: Sequence[Mapping[str, Any]]) -> str:
        """The paper's rule, then the collapse alarm where it is to stop the training."""
        if (risen := eigenvalue_risen(rows)) is not None:
            self.go_back(rows, risen["before"])
            return risen["why"]
        return super().stop_reason(rows)


class RegularizedLearner(DartsLearner):
    """Regularizes each run of a search more than the one before (R-DARTS)."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        place = (setup.run - 1) % len(DECAYS)
        if setup.options.regularization == "weight_decay":
            self.sgd.weight_decay = setup.options.weight_decay * DECAYS[place]
        else:
            self.drop_path = DROP_PATHS[place]


class AuxiliarySkipLearner(DartsLearner):
    """A second skip connection beside every mixture, which has no architecture parameter and fades (DARTS-)."""

    def beta(self, epoch: int) -> float:
        """Its weight in an epoch (from 0): linearly towards 0 at the end of the training."""
        return float(self.options.auxiliary) * (1 - epoch / max(1, self.setup.epochs))

    def gates(self, at: At) -> dict[str, Gate]:
        """The auxiliary skip is the mixture's own operation, so that both are one with the sum of their weights."""
        out = super().gates(at)
        for table in self.mixture.tables:
            positions, weights = out[table.name]
            if weights is not None:
                skips = [float(table.options[k] in SKIPS) for k in positions]
                out[table.name] = positions, weights + self.beta(at.epoch) * torch.tensor(skips).to(weights)
        return out
