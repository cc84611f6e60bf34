"""Options that differentiable methods share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from engine.supernets.base import SupernetOptions


class GradientOptions(SupernetOptions):
    """Architecture parameters beside the shared weights, and what happens when they drift into skip connections."""

    alpha_rate: float = Field(3e-4, gt=0, le=10, description="Learning rate of the architecture parameters: Adam.")
    alpha_decay: float = Field(1e-3, ge=0, le=1, description="Weight decay of the architecture parameters.")
    start_alphas: bool = Field(
        False, description="Begin with the architecture parameters of the earlier supernet, too, where one is named."
    )
    on_collapse: Literal["warn", "stop"] = Field(
        "warn", description="When the search collapses into skip connections: say so, or also end the supernet there "
        "and hand over what was derived before.",
    )  # fmt: skip
    max_skips: int | None = Field(
        None, ge=0, le=1000, description="Skip connections that a derived normal cell may have (P-DARTS, DARTS+: 2); "
        "empty = any number.",
    )  # fmt: skip


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
