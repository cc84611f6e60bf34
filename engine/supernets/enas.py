"""ENAS (Pham et al. 2018): an LSTM controller and shared weights, trained in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from engine.supernets.base import SupernetMethod, SupernetOptions

if TYPE_CHECKING:
    from engine.supernets.nets.learner import Learner, Setup


class Options(SupernetOptions):
    """The controller, and how it learns."""

    controller_steps: int | None = Field(
        None, ge=1, le=100_000,
        description="Steps of the controller after each epoch of the weights; empty = as many as the weights had.",
    )  # fmt: skip
    samples: int = Field(1, ge=1, le=256, description="Networks of one step of the controller.")
    controller_rate: float | None = Field(
        None, gt=0, le=1, description="Learning rate of the controller: Adam; empty = larger the fewer its steps are."
    )
    hidden: int = Field(64, ge=4, le=512, description="Width of the controller: of its embeddings and of its LSTM.")
    squash: float | None = Field(
        2.5, gt=0, le=100, description="Bound of a logit (tanh), so that no option is ever ruled out; empty = none."
    )
    baseline: float = Field(
        0.95, ge=0, lt=1, description="Memory of the moving average that rewards are compared with."
    )
    entropy: float = Field(
        1e-4, ge=0, le=10, description="Weight of the entropy bonus, which keeps the controller open."
    )
    derive: int = Field(
        20, ge=1, le=1000, description="Networks that the controller writes at the end, to be ranked by reward."
    )


class Enas(SupernetMethod):
    """The controller writes networks decision by decision; what they score with shared weights teaches it.

    Section 2.2, symbols: omega = the shared weights, theta = the controller's, pi(m; theta) = its policy, R(m, omega) =
    reward, b = moving average (`baseline`). In turn: an epoch in which each batch trains omega on one network of pi
    (equation 1 with M = 1), theta fixed; then `controller_steps` steps of theta, omega fixed, by REINFORCE with R - b,
    R = accuracy on one minibatch of held data. Section 2.3: `derive` networks are drawn at the end and ranked by their
    reward on one minibatch; those first are trained alone. The controller is that of the strategy `reinforce`: it
    follows the process of decisions, so that macro spaces (2.3), cells (2.4) and recurrent cells (2.1) are alike to it.

    Deviations: rewards come from half of the training split, since the validation split stays untouched; its batches
    are augmented like the others. The published 2,000 controller steps an epoch are for 45,000 images; empty means one
    a step of the weights, and the published rate of 0.00035 rises as there are fewer. The average begins with the
    first reward, not with zero, and forgets faster (published: 0.99), for the same reason. The entropy is a bonus with
    a gradient of its own, not a part of the reward. Logits have no temperature. Macro spaces get no penalty for many
    skip connections. SGD has no Nesterov step and one cosine, no restarts. The paper has no limits on exact costs; here
    they hold for all that is trained, measured and derived: what the controller writes beyond them is changed, a random
    decision at a time and never away from the limits, until it is within. What the controller *learns* from stays as it
    wrote it, since REINFORCE is about its own choices: a network beyond a limit is not run there and gets
    limit / cost - 1, below every accuracy, so that it comes to write networks within. Where none within the limits is
    found, the supernet fails before its first step and names the nearest.
    """

    name = "enas"
    summary = "A controller writes networks and learns from what they score with shared weights, in turn with these."
    reference = "Pham, Guan, Zoph, Le & Dean 2018, Efficient Neural Architecture Search via Parameter Sharing"
    guide = (
        "Good for spaces whose decisions hang on each other, such as whole networks of blocks and recurrent cells. "
        "Take SPOS where a ranking of many subnets is wanted, and a gradient method where options stand side by side."
    )
    Options: ClassVar[type[BaseModel]] = Options

    @classmethod
    def learner(cls, setup: Setup) -> Learner:
        """Networks of a controller."""
        from engine.supernets.nets.enas import EnasLearner

        return EnasLearner(setup)
