"""GDAS (Dong & Yang 2019): one operation per edge, drawn by the Gumbel-max trick, with a gradient all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets._gradient import GradientOptions
from engine.supernets.base import SupernetMethod

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class GdasOptions(GradientOptions):
    """Temperature of the relaxed sample."""

    temperature: float = Field(
        10.0, gt=0, le=1000, description="Temperature (the paper's tau) of the relaxed sample in the first epoch."
    )
    temperature_end: float = Field(
        0.1, gt=0, le=1000, description="Temperature in the last epoch; it is annealed linearly in between."
    )


class Gdas(SupernetMethod):
    """Trains one drawn network a step and learns which to draw from the gradient that its own gates receive.

    For an edge with logits A over its options, the draw of equation 3 is written as a Gumbel-Max (equation 5):
    o = -log(-log(u)), u uniform; the soft sample h~ = softmax((log softmax(A) + o) / tau) and the hard one
    h = one_hot(argmax h~). Forward, the edge gives h_k times the drawn option's output and nothing else is computed;
    backward, h is replaced by h~. All cells of a kind share A and the sample. Weights and A are trained in turn on the
    two halves, each pass with a sample of its own; tau falls linearly, in the published scripts from 10 to 0.1. The
    strongest option of each edge is derived.

    Gradient of options that were not drawn. In the paper only the drawn option's path is followed back ("we only
    back-propagate the gradient generated at the argmax"): dL/dA comes from dL/dh_k alone, and reaches the other
    options' logits through the softmax that divides h~_k among them. The published code adds the other gates, whose
    forward value is 0, to the sum of feature maps as plain numbers; each so receives the sum of the edge's output
    gradient, as though its operation gave ones everywhere. Here it is the paper's: only the drawn gate has a gradient.

    **Deviations.** 50 epochs in batches of 64 by default, as for the other methods here, where the published
    configuration has 250 in batches of 256, Nesterov's momentum and a decay of 5e-4. Weights that were not drawn keep
    their momentum and do not decay, where the published code's SGD goes on moving them. Reduction cells are what the
    space has, searched or fixed.
    """

    name = "gdas"
    summary = "Draws one operation per edge, computes only that, and learns the odds by a relaxed gradient."
    reference = "Dong & Yang 2019, Searching for a Robust Neural Architecture in Four GPU Hours"
    group = "gradient"
    guide = (
        "Good where all operations side by side would not fit into memory: it takes that of one network. "
        "Take DrNAS or PC-DARTS where memory is no concern, since a gradient from one sample is noisy."
    )
    mixes: ClassVar[bool] = True
    Options: ClassVar[type[BaseModel]] = GdasOptions

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """One drawn option an edge."""
        from engine.supernets.nets.gumbel import GumbelLearner

        return GumbelLearner(setup)
