"""A surrogate that has learned over many searches how to learn from few trials."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.architecture import Architecture
from engine.predictors._scaled import Scale
from engine.predictors._tasks import WIDTH, Task, synthetic_tasks, vectors
from engine.predictors.base import Predictor, Vector
from engine.spaces._once import once_per_space

if TYPE_CHECKING:
    from engine.spaces.base import SearchSpace

Matrix = NDArray[np.float64]
#: searches to learn from at least; made-up ones fill up
TASKS = 24
#: hidden units of each of two layers, and networks that learn from searches of their own
HIDDEN, MEMBERS = 32, 4
#: (variance of the last layer's weights around the adapted ones, of the noise): the more likely one is taken
LAST = tuple((v, s) for v in (0.01, 0.1, 1.0) for s in (0.03, 0.1, 0.3, 0.6))


class Options(BaseModel):
    """How it learns."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outer: int = Field(150, ge=1, le=10_000, description="Outer steps of meta-learning.")
    inner: int = Field(3, ge=1, le=50, description="Gradient steps on the trials of a search.")
    lr: float = Field(0.01, gt=0, le=1, description="Outer learning rate.")


class Learned:
    """theta and alpha of Meta-SGD.

    Attributes:
        theta, alpha: (members, weights) first weights and step sizes.
    """

    def __init__(self, theta: NDArray[np.float32], alpha: NDArray[np.float32]) -> None:
        self.theta, self.alpha = theta, alpha


WIDTHS = (WIDTH, HIDDEN, HIDDEN, 1)


@once_per_space()
def learned(space: SearchSpace, tasks: tuple[Task, ...], options: Options) -> Learned:
    """Meta-trains on these searches and as many made-up ones as make `TASKS`, at least as many as half of them."""
    from engine.predictors.nets.meta import meta_trained, to_array
    from engine.predictors.nets.training import one_thread

    every = [*tasks, *synthetic_tasks(space, max(TASKS - len(tasks), TASKS // 2))]
    with one_thread():
        theta, alpha = meta_trained(
            every, WIDTHS, members=MEMBERS, outer=options.outer, inner=options.inner, lr=options.lr,
            rng=np.random.default_rng(0),
        )  # fmt: skip
    return Learned(to_array(theta), to_array(alpha))


class MetaPredictor(Predictor):
    """Meta-SGD (Li et al. 2017), then Bayesian regression on what the adapted networks see last.

    `fit` takes a few gradient steps from the learned first weights with the learned step size of each weight. The last
    layer is then given the posterior of a linear model whose prior mean is the adapted layer (as in Perrone et al.
    2018, where a network shared by searches makes the features): with many trials it goes on learning where a few
    steps would not. Spread is that posterior's, and the disagreement of the members.
    """

    name = "meta"
    summary = "Dense networks that learned over many searches to learn from few trials"
    reference = "Li et al. 2017, Meta-SGD; Perrone et al. 2018, Scalable Hyperparameter Transfer Learning"
    Options = Options

    def __init__(self, options: BaseModel, space: SearchSpace, given: Learned | None = None) -> None:
        super().__init__(options, space)
        self.vectors = vectors(space)
        self.learned = given if given is not None else learned(space, (), self.options)
        self.scale = Scale(0.0, 1.0)

    def fit(self, architectures: Sequence[Architecture], losses: Vector, rng: np.random.Generator) -> None:
        """Adapts; nothing is left to chance."""
        import torch

        from engine.predictors.nets.meta import adapted, from_array, hidden
        from engine.predictors.nets.training import one_thread

        self.scale = Scale.of(losses)
        y = self.scale.to(losses)
        middle = float(y.mean())  # the searches learned from have mean 0
        self.scale = Scale(self.scale.centre + middle * self.scale.spread, self.scale.spread)
        y = y - middle
        rows = torch.from_numpy(self.vectors.read(architectures)).float()
        with one_thread():
            self._weights = adapted(
                from_array(self.learned.theta, WIDTHS), from_array(self.learned.alpha, WIDTHS), rows,
                torch.from_numpy(y).float(), self.options.inner,
            )  # fmt: skip
            features = hidden(self._weights, rows).double().numpy()
        last = torch.cat([self._weights[-2].squeeze(-1), self._weights[-1].squeeze(-1)], dim=1).double().numpy()
        self._last = [_posterior(_with_one(f), y, w) for f, w in zip(features, last, strict=True)]

    def predict(self, architectures: Sequence[Architecture]) -> tuple[Vector, Vector]:
        """Mean over the members; the variance of their posteriors and of their means."""
        import torch

        from engine.predictors.nets.meta import hidden
        from engine.predictors.nets.training import one_thread

        rows = torch.from_numpy(self.vectors.read(architectures)).float()
        with one_thread(), torch.no_grad():
            features = [_with_one(f) for f in hidden(self._weights, rows).double().numpy()]
        means = np.array([f @ w for f, (w, _) in zip(features, self._last, strict=True)])
        own = np.array([((f @ c) * f).sum(axis=1) for f, (_, c) in zip(features, self._last, strict=True)])
        sd = np.sqrt(np.maximum(own.mean(axis=0) + means.var(axis=0), 1e-8))
        return self.scale.back(means.mean(axis=0), sd)


def _with_one(features: Matrix) -> Matrix:
    return np.asarray(np.c_[features, np.ones(len(features))])


def _posterior(x: Matrix, y: Matrix, prior: Matrix) -> tuple[Matrix, Matrix]:
    """Mean and covariance of w in y = x w + noise with w ~ N(prior, v I), v and the noise by evidence (`LAST`)."""
    rest = y - x @ prior
    values, vectors_ = np.linalg.eigh(x.T @ x)
    turned = vectors_.T @ (x.T @ rest)
    n, p = x.shape
    left = max(float(rest @ rest), 0.0)

    def evidence(setting: tuple[float, float]) -> float:
        v, noise = setting
        shrunk = np.maximum(values, 0) * v + noise  # eigenvalues of (v X'X + noise I)
        fit = float((v * turned**2 / shrunk).sum())
        return float(-0.5 * ((left - fit) / noise + np.log(shrunk).sum() + (n - p) * np.log(noise)))

    v, noise = max(LAST, key=evidence)
    shrunk = np.maximum(values, 0) * v + noise
    mean = prior + vectors_ @ (v * turned / shrunk)
    return mean, (vectors_ * (v * noise / shrunk)) @ vectors_.T
