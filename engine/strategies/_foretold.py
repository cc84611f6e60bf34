"""What predictor-guided strategies show: predictions against what came, and what the acquisition was worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.objectives import Objective
from engine.strategies._views import lines, scatter, thinned, view

#: (trial, predicted mean, its standard deviation, measured, acquisition as told); the middle three as losses
Met = tuple[int, float, float, float, float]
#: what people call an acquisition, by its name in the options
WORDS: dict[str, str] = {"its": "Thompson draw", "ei": "EI", "ucb": "UCB", "pi": "PI", "mean": "score"}
#: the same in a phrase
MEANING = {
    "Thompson draw": "loss drawn from what was predicted, its sign turned: more is better",
    "EI": "expected improvement of the best",
    "UCB": "upper confidence bound: what was predicted, and a share of its spread",
    "PI": "probability of an improvement",
    "score": "predicted loss, its sign turned: more is better",
}


def foretold_views(rows: Sequence[Met], objective: Objective, called: str, meaning: str) -> dict[str, dict[str, Any]]:
    """Three tables: predictions, worth of the chosen ones, and, of three results on, how well both sides agree.

    Args:
        rows: of trials that have a result.
        objective: what was predicted; pages show what is called accuracy in percent.
        called, meaning: the acquisition, as a title and as a phrase.
    """
    if not rows:
        return {}
    sign = -1.0 if objective.direction == "maximize" else 1.0
    predicted, measured = f"predicted {objective.metric}", f"measured {objective.metric}"
    points = [[n, sign * mean, sd, sign * came] for n, mean, sd, came, _ in rows]
    out = {
        "predictions": view(
            "What was predicted, and what came", ["trial", predicted, "spread", measured], thinned(points),
            chart=scatter(predicted, measured, spread="spread", label="trial", diagonal=True),
            note="as predicted when it was proposed",
        ),
        "acquisition": view(
            "How much the chosen ones seemed worth", ["trial", called], thinned([[row[0], row[4]] for row in rows]),
            chart=lines("trial", called), note=meaning,
        ),
    }  # fmt: skip
    if len(rows) > 2:
        out["agreement"] = view(
            "How well predictions were right", ["what", "value"],
            [["rank correlation of predicted and measured", round(agreement(rows), 3)], ["predictions", len(rows)]],
        )  # fmt: skip
    return out


def agreement(rows: Sequence[Met]) -> float:
    """Spearman's rank correlation of predicted and came; 0 where one of them is constant."""
    from scipy.stats import rankdata

    a, b = rankdata([r[1] for r in rows]), rankdata([r[3] for r in rows])
    if len(rows) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
