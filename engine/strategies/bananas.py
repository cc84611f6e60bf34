"""BANANAS: an ensemble of small networks predicts, Thompson draws choose (White, Neiswanger and Savani 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from engine.predictors.encoders import Encoding
from engine.strategies._guided import Guided, GuidedOptions

if TYPE_CHECKING:
    from engine.predictors.base import Predictor


class Options(GuidedOptions):
    """What predicts, from what, and how the search goes on from it."""

    predictor: Literal["ensemble", "trees"] = Field(
        "ensemble", description="An ensemble of networks as published, or boosted trees."
    )
    encoding: Encoding = Field(
        "features",
        description="What the predictor sees: paths through the cells as published, live features, one-hot or ordinal "
        "decisions.",
    )
    longest: int | None = Field(None, ge=1, le=100, description="Longest path that counts; empty = any.")
    members: int = Field(5, ge=2, le=20, description="Members of the ensemble.")


class Bananas(Guided):
    """An ensemble is fitted to all results; of many mutants of the best it proposes the one with the best draw.

    Symbols (Algorithm 1): t_0 = `initial`, M = `members`, c = `candidates`, the acquisition function = `acquisition`
    (independent Thompson sampling by default, section 5).

    **Deviations**: the ensemble sees live features (`SearchSpace.features`), which know what does not act and how large
    a network is; the published path encoding is an option, and says nothing in spaces of one long chain. Half of the
    candidates are mutants, half are random. The ensemble is fitted after each result at first, not after ten. See
    `predictors.ensemble` for its size and loss, `_guided.Guided` for several objectives and what is under way.
    """

    name = "bananas"
    summary = "Predictor-guided: an ensemble of small networks, and Thompson draws among mutants of the best"
    reference = "White et al. 2021, BANANAS: Bayesian Optimization with Neural Architectures for NAS"
    group = "model"
    guide = (
        "Learns quickly which features matter and stays good up to many hundreds of trials. "
        "Below fifty trials a Gaussian process is ahead of it."
    )
    Options = Options

    def predictor(self) -> Predictor:
        """The ensemble, or trees."""
        from engine.predictors.ensemble import Ensemble
        from engine.predictors.trees import Trees

        o = self.options
        seen = {"encoding": o.encoding, "longest": o.longest, "members": o.members}
        return self._make(Ensemble, **seen) if o.predictor == "ensemble" else self._make(Trees, **seen)
