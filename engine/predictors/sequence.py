"""Recurrent networks that read the decisions one after another (Liu et al. 2018, PNAS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.encodings import Places
from engine.predictors._scaled import Scale, Vector, parts
from engine.predictors.base import Predictor

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace


class Options(BaseModel):
    """Networks, their size and training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: int = Field(5, ge=2, le=20, description="Networks of the ensemble.")
    embedding: int = Field(16, ge=2, le=256, description="Numbers a token is embedded in.")
    hidden: int = Field(32, ge=4, le=256, description="State of the LSTM.")
    steps: int = Field(80, ge=5, le=2000, description="Steps of training.")
    lr: float = Field(0.02, gt=0, le=1, description="First learning rate.")


class SequencePredictor(Predictor):
    """An ensemble of LSTMs over the token sequence (`encodings.Places.tokens`), each fitted to part of the data.

    Each member leaves out a fifth of the architectures, another one each (PNAS, section 4.2: five of them on 4/5 of the
    data each).

    Deviations: 32 hidden units and 16 numbers a token in place of 100 and 100; no sigmoid at the end, since losses have
    any scale.
    """

    name = "sequence"
    summary = "Recurrent networks that read the decisions one after another"
    reference = "Liu et al. 2018, Progressive Neural Architecture Search"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        super().__init__(options, space)
        self.places = Places(space)
        self._net: Any = None
        self._known: dict[str, list[int]] = {}

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Learns from scratch."""
        import torch

        from engine.predictors.nets.recurrent import RecurrentEnsemble
        from engine.predictors.nets.training import generator, one_thread, train

        o = self.options
        self.scale = Scale.of(losses)
        tokens = torch.from_numpy(self._tokens(architectures))
        goal = torch.from_numpy(self.scale.to(losses)).float()
        weight = torch.from_numpy(parts(o.members, len(losses), rng)).float()
        net = RecurrentEnsemble(
            o.members, self.places.n_tokens, embedding=o.embedding, hidden=o.hidden, draw=generator(rng)
        )
        with one_thread():
            train(net, lambda: ((net(tokens) - goal).square() * weight).sum(), steps=o.steps, lr=o.lr, decay=0.01)
        self._net = net

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean and standard deviation over the members."""
        import torch

        from engine.predictors.nets.training import one_thread

        with torch.no_grad(), one_thread():
            each = self._net(torch.from_numpy(self._tokens(architectures))).double().numpy()
        return self.scale.back(each.mean(axis=0), each.std(axis=0, ddof=1))

    def _tokens(self, architectures: Sequence[Architecture]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(n, longest), zeros behind shorter ones."""
        rows = [self.places.tokens(a) for a in architectures]
        out = np.zeros((len(rows), max(map(len, rows), default=0)), dtype=np.int64)
        for i, row in enumerate(rows):
            out[i, : len(row)] = row
        return out
