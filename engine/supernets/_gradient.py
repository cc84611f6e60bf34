"""Options that differentiable methods share."""

from __future__ import annotations

from pydantic import Field

from engine.supernets.base import SupernetOptions


class GradientOptions(SupernetOptions):
    """Architecture parameters beside the shared weights."""

    alpha_rate: float = Field(3e-4, gt=0, le=10, description="Learning rate of the architecture parameters: Adam.")
    alpha_decay: float = Field(1e-3, ge=0, le=1, description="Weight decay of the architecture parameters.")
