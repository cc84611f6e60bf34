"""Guided by recurrent networks that read the decision sequence (Liu et al. 2018; Luo et al. 2018)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from engine.strategies._guided import Guided, GuidedOptions

if TYPE_CHECKING:
    from engine.predictors.base import Predictor


class Options(GuidedOptions):
    """The networks, and how the search goes on from them."""

    members: int = Field(5, ge=2, le=20, description="Networks of the ensemble.")
    hidden: int = Field(32, ge=4, le=256, description="State of each LSTM.")


class SequencePredictor(Guided):
    """LSTMs read the decisions of an architecture one after another and predict what it would give.

    Nothing but the order of decisions and the option at each is known to them, so it serves every space alike.

    **Deviations**: PNAS's predictor (section 4.2) without its growing space (that is `pnas`), and NAO's (section 3)
    without a decoder: candidates are mutants of the best and random networks, not decoded from a gradient step in the
    embedding. See `predictors.sequence` for sizes, `_guided.Guided` for the rest.
    """

    name = "sequence_predictor"
    summary = "Predictor-guided: recurrent networks read the decisions one after another"
    reference = (
        "Liu et al. 2018, Progressive Neural Architecture Search; Luo et al. 2018, Neural Architecture Optimization"
    )
    group = "model"
    guide = (
        "For long sequences of decisions whose order means something, with a hundred trials and more. "
        "Where features or graphs say more about a network, `bananas` and `gnn_predictor` learn sooner."
    )
    Options = Options

    def predictor(self) -> Predictor:
        """The ensemble of LSTMs."""
        from engine.predictors.sequence import SequencePredictor as Recurrent

        return self._make(Recurrent, members=self.options.members, hidden=self.options.hidden)
