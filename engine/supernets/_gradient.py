"""Options that differentiable methods share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from engine.supernets.base import SupernetOptions

#: no rate is scaled beyond this
HIGHEST = 0.05


class GradientOptions(SupernetOptions):
    """Architecture parameters beside the shared weights, and what happens when they drift into skip connections."""

    #: the paper's rate, and the steps of the architecture parameters it was chosen for: Liu et al. 2019's 50 epochs of
    #: half of CIFAR-10's 50,000 training images in batches of 64
    published: ClassVar[tuple[float, int]] = (3e-4, 19_500)

    alpha_rate: float | None = Field(
        None, gt=0, le=10, description="Learning rate of the architecture parameters (Adam); empty = the paper's, "
        "higher in proportion where there are fewer steps, so that they can move as far.",
    )  # fmt: skip
    alpha_decay: float = Field(1e-3, ge=0, le=1, description="Weight decay of the architecture parameters.")
    start_alphas: bool = Field(
        False, description="Begin with the architecture parameters of the earlier supernet, too, where one is named."
    )
    on_collapse: Literal["warn", "stop"] = Field(
        "warn", description="When the search collapses into skip connections: say so, or also end the supernet there "
        "and hand over what was derived before.",
    )  # fmt: skip
    max_skips: int | None = Field(
        None, ge=0, le=1000, description="Skip connections that a derived normal cell may have (P-DARTS: 2); empty "
        "= any number.",
    )  # fmt: skip

    def rate(self, steps: int) -> float:
        """Learning rate of the architecture parameters for so many steps of theirs.

        Adam moves a parameter by its rate at most in a step, whatever the gradient: with 600 steps of the published
        3e-4 a softmax over five options stays within a few hundredths of uniform, and what is derived is noise.
        """
        if self.alpha_rate is not None:
            return self.alpha_rate
        rate, chosen_for = self.published
        return max(rate, min(HIGHEST, rate * chosen_for / max(1, steps)))


class BilevelOptions(GradientOptions):
    """How far the gradient of the architecture parameters looks."""

    order: Literal["first", "second"] = Field(
        "first", description="Gradient through the weights as they are, or through their next step, which takes three "
        "to four times as long.",
    )  # fmt: skip
    hessian: Literal["finite", "exact"] = Field(
        "finite", description="Second order: the product with the Hessian as the paper's finite difference, or exact "
        "at about twice the memory.",
    )  # fmt: skip
