"""Options of methods that weigh the latency of a worker's device."""

from __future__ import annotations

from pydantic import Field

from engine.supernets._gradient import GradientOptions


class HardwareOptions(GradientOptions):
    """How operations are measured, and when the architecture parameters begin to learn."""

    latency_batch: int = Field(
        1, ge=1, le=65536, description="Samples of a pass when operations are measured on the worker's device."
    )
    warm_up: int | None = Field(
        None, ge=0, le=10_000,
        description="Epochs in which only the weights learn, so that they get ahead; empty = a ninth of all.",
    )  # fmt: skip
