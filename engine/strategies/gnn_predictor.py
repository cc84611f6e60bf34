"""Guided by a graph network with a Bayesian linear layer (Shi et al. 2020, BONAS; Wen et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.strategies._guided import Guided, GuidedOptions, Rule

if TYPE_CHECKING:
    from engine.predictors.base import Predictor


class Options(GuidedOptions):
    """The network, and how the search goes on from it."""

    acquisition: Rule = Field(
        "ucb",
        description="What makes a candidate worth trying: upper confidence bound as published (ucb), expected "
        "improvement (ei), independent Thompson sampling (its), probability of improvement (pi).",
    )
    width: int = Field(32, ge=4, le=256, description="Numbers a node of the graph carries.")
    layers: int = Field(3, ge=1, le=10, description="Rounds of messages between nodes.")


class GnnPredictor(Guided):
    """A network passes messages along the graph of an architecture; a Bayesian regression on its embedding predicts.

    Symbols (Shi et al. 2020, Algorithm 1): the embedding phi, the upper confidence bound as acquisition, candidates by
    evolution from the best.

    **Deviations**: one proposal at a time, learned at once, in place of batches of 100 trained together with shared
    weights. See `predictors.gnn` for the network, `_guided.Guided` for the rest.
    """

    name = "gnn_predictor"
    summary = "Predictor-guided: a graph network reads operations and wiring"
    reference = "Shi et al. 2020, BONAS; Wen et al. 2020, Neural Predictor for Neural Architecture Search"
    group = "model"
    guide = (
        "For spaces whose wiring is what is searched, such as cells and graphs, with fifty trials and more. "
        "For chains of layers `bananas` is as good and several times faster."
    )
    Options = Options

    def predictor(self) -> Predictor:
        """The graph network."""
        from engine.predictors.gnn import Gnn

        return self._make(Gnn, width=self.options.width, layers=self.options.layers)
