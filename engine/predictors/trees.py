"""Boosted trees (White et al. 2021, How Powerful are Performance Predictors in NAS: strong at 20 to 200 points)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.predictors._scaled import Scale, Vector
from engine.predictors.base import Predictor
from engine.predictors.encoders import Encoder, Encoding

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace


class Options(BaseModel):
    """Trees, their size, and what they see."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    encoding: Encoding = Field("features", description="What the trees see of an architecture.")
    longest: int | None = Field(None, ge=1, le=100, description="Longest path that counts; empty = any.")
    members: int = Field(5, ge=2, le=20, description="Rows of boosted trees, each on another resample.")
    steps: int = Field(60, ge=5, le=2000, description="Steps of boosting: trees of each.")
    depth: int = Field(3, ge=1, le=10, description="Splits above a leaf.")
    lr: float = Field(0.1, gt=0, le=1, description="Share of each tree that counts.")


class Trees(Predictor):
    """Gradient boosting on bootstrap resamples; their disagreement is the spread.

    Deviations: the paper's boosted trees (LightGBM, XGBoost, NGBoost) are scikit-learn's here.
    """

    name = "trees"
    summary = "Boosted trees on resamples, whose disagreement is the spread"
    reference = "White et al. 2021, How Powerful are Performance Predictors in Neural Architecture Search?"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace) -> None:
        super().__init__(options, space)
        self.encoder = Encoder(space, self.options.encoding, self.options.longest)
        self._members: list[Any] = []

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Learns from scratch."""
        from sklearn.ensemble import GradientBoostingRegressor

        o = self.options
        self.scale = Scale.of(losses)
        rows, goal = self.encoder.fit(architectures).rows(architectures), self.scale.to(losses)
        if not rows.shape[1]:  # all alike
            rows = np.zeros((len(rows), 1))
        self._members = []
        for _ in range(o.members):
            drawn = rng.integers(len(rows), size=len(rows))
            member = GradientBoostingRegressor(
                n_estimators=o.steps, max_depth=o.depth, learning_rate=o.lr, max_features=0.5,
                subsample=0.8 if len(rows) > 4 else 1.0, random_state=int(rng.integers(2**31)),
            )  # fmt: skip
            self._members.append(member.fit(rows[drawn], goal[drawn]))

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean and standard deviation over the members."""
        rows = self.encoder.rows(architectures)
        if not rows.shape[1]:
            rows = np.zeros((len(rows), 1))
        each = np.array([member.predict(rows) for member in self._members])
        return self.scale.back(each.mean(axis=0), each.std(axis=0, ddof=1))
