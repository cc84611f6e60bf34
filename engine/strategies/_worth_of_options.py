"""What each option of a space is worth by the results so far: a Bayesian linear model over one-hot options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from engine.architecture import Architecture
from engine.encodings import Places
from engine.objectives import ranking
from engine.spaces._decision import Decision

Matrix = NDArray[np.float64]
#: noise variances that are tried, of targets with variance 1; the most likely one is taken
NOISE = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Worth:
    """Posterior of the effects w of options on the loss (smaller is better): normal.

    Attributes:
        decisions: of the space, in order.
        mean, covariance: of w, (p,) and (p, p), in the order of `Places.one_hot`.
    """

    decisions: tuple[Decision, ...]
    mean: Matrix
    covariance: Matrix

    def better(self) -> list[Matrix]:
        """Per decision, (options,): P(w_o < w_b), b the option with the best mean; 1 for b itself."""
        out, at = [], 0
        for decision in self.decisions:
            here = np.arange(at, at + len(decision.options))
            at += len(here)
            best = here[int(np.argmin(self.mean[here]))]
            c = self.covariance
            spread = np.sqrt(np.maximum(c[here, here] + c[best, best] - 2 * c[here, best], 1e-12))
            chance = ndtr((self.mean[best] - self.mean[here]) / spread)
            chance[best - here[0]] = 1.0
            out.append(np.asarray(chance))
        return out


def worth(places: Places, architectures: Sequence[Architecture], losses: Matrix) -> Worth:
    """Fits the model.

    y = X w + noise with w ~ N(0, I / decisions): X one-hot (a decision that does not act has no 1), y the normal score
    of a trial's place by non-domination and crowding, so that networks that failed to learn do not set the scale. The
    noise is the most likely of `NOISE` (Bishop 2006, section 3.5).

    Args:
        places: of the space.
        architectures: n of them.
        losses: (n, m).
    """
    n, p = len(architectures), places.n_tokens
    order = np.empty(n)
    order[ranking(losses)] = np.arange(n)
    y = ndtri((order + 0.5) / n)
    x = np.array([places.one_hot(a) for a in architectures]).reshape(n, p)
    tau = 1.0 / max(1, len(places.decisions))
    gram = tau * x @ x.T

    def evidence(noise: float) -> float:
        lower = np.linalg.cholesky(gram + noise * np.eye(n))
        half = np.linalg.solve(lower, y)
        return float(-0.5 * half @ half - np.log(np.diag(lower)).sum())

    noise = max(NOISE, key=evidence)
    gain = tau * np.linalg.solve(gram + noise * np.eye(n), x).T  # (p, n)
    return Worth(tuple(places.decisions), gain @ y, tau * (np.eye(p) - gain @ x))
