"""DARTS- (Chu et al. 2021): an auxiliary skip connection beside every mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._gradient import BilevelOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class DartsMinusOptions(BilevelOptions):
    """The auxiliary skip connection."""

    auxiliary: float = Field(
        1.0, ge=0, le=100, description="Weight of the auxiliary skip connections at the start; it falls linearly to 0."
    )


class DartsMinus(SupernetMethod):
    """DARTS in which skip connections need no architecture parameter to help the training along.

    Section 3.2: a skip connection stabilizes the training of a supernet whether or not it belongs into the network, and
    its alpha grows for that. An auxiliary skip of weight beta, in parallel to the mixture, takes that part over:
    beta x + sum over o of softmax(alpha)_o o(x) (equation 3); beta falls from 1 to 0 linearly over the training.

    **Deviations.** The auxiliary skip of an edge is that edge's own skip operation, with its weights where it has any
    (edges of stride 2), while the published code has a second one there. Edges that offer no skip connection have no
    auxiliary one either.
    """

    name = "darts_minus"
    summary = "DARTS with an auxiliary skip connection beside each mixture, which fades during the search."
    reference = "Chu et al. 2021, DARTS-: Robustly Stepping out of Performance Collapse Without Indicators"
    guide = (
        "Good as a first remedy against collapse: it costs nothing beyond DARTS and has nothing to watch. "
        "Take selection by removal (DARTS-PT) where skip connections still lead when its weight has gone."
    )
    group = "gradient"
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = DartsMinusOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """DARTS with fading auxiliary skips."""
        from engine.supernets.nets.remedies import AuxiliarySkipLearner

        return AuxiliarySkipLearner(setup)
