"""An ensemble of small feed-forward networks (White et al. 2021, BANANAS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.predictors._scaled import Scale, Vector, parts
from engine.predictors.base import Predictor
from engine.predictors.encoders import Encoder, Encoding

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace


class Options(BaseModel):
    """Networks, their size and training, and what they see."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: Encoding = Field("features", description="What the networks see of an architecture.")
    longest: int | None = Field(None, ge=1, le=100, description="Longest path that counts; empty = any.")
    members: int = Field(5, ge=2, le=20, description="Networks of the ensemble.")
    width: int = Field(64, ge=4, le=512, description="Units of a hidden layer.")
    depth: int = Field(2, ge=1, le=20, description="Hidden layers.")
    steps: int = Field(100, ge=5, le=2000, description="Steps of training.")
    lr: float = Field(0.01, gt=0, le=1, description="First learning rate.")


class Ensemble(Predictor):
    """Mean and spread of networks that differ in their first weights and in what they leave out.

    Symbols: M = `members`.

    Deviations: two layers of 64 units in place of ten of 20 (as good on small sets, and quicker); the mean squared
    error of scaled losses (`_scaled.Scale`) in place of the percentage error to a lower bound, which one would have to
    know; full batches. Each member leaves out its share of the data, as PNAS's do: first weights alone give a spread
    half as large as the errors call for, and Thompson draws that keep to what they know.
    """

    name = "ensemble"
    summary = "Small feed-forward networks, whose disagreement is the spread"
    reference = "White et al. 2021, BANANAS: Bayesian Optimization with Neural Architectures for NAS"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        super().__init__(options, space)
        self.encoder = Encoder(space, self.options.encoding, self.options.longest)
        self._net: Any = None

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Learns from scratch."""
        import torch

        from engine.predictors.nets.dense import DenseEnsemble
        from engine.predictors.nets.training import generator, one_thread, train

        o = self.options
        self.scale = Scale.of(losses)
        rows = torch.from_numpy(self.encoder.fit(architectures).rows(architectures)).float()
        goal = torch.from_numpy(self.scale.to(losses)).float()
        weight = torch.from_numpy(parts(o.members, len(losses), rng)).float()
        net = DenseEnsemble(o.members, rows.shape[1], width=o.width, depth=o.depth, draw=generator(rng))
        with one_thread():
            train(net, lambda: ((net(rows) - goal).square() * weight).sum(), steps=o.steps, lr=o.lr, decay=0.01)
        self._net = net

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean and standard deviation over the members."""
        import torch

        from engine.predictors.nets.training import one_thread

        with torch.no_grad(), one_thread():
            each = self._net(torch.from_numpy(self.encoder.rows(architectures)).float()).double().numpy()
        return self.scale.back(each.mean(axis=0), each.std(axis=0, ddof=1))
