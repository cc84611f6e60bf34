"""How one network is trained, and what of that can be searched together with the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Optimizer = Literal["adamw", "sgd"]
Augmentation = Literal["none", "shift", "shift+flip", "shift+cutout", "shift+flip+cutout"]
#: begins the names of decisions about the recipe
RECIPE_PREFIX = "recipe_"


class Strict(BaseModel):
    """Base of all parts of a search: unknown fields are errors, NaN and infinities too."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Recipe(Strict):
    """How one network is trained. Defaults are good for small images on a CPU or GPU."""

    batch_size: int = Field(64, ge=1, le=65536, description="Samples per step.")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Peak of the cosine schedule.")
    weight_decay: float = Field(0.05, ge=0, le=1, description="Decoupled: subtracted beside the gradient's step.")
    optimizer: Optimizer = Field("adamw", description="adamw, or sgd with Nesterov momentum.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of sgd.")
    warmup: float = Field(0.1, ge=0, le=0.5, description="Share of the steps spent warming up linearly.")
    label_smoothing: float = Field(0.1, ge=0, lt=1, description="Mass spread over the other classes.")
    ema: float = Field(
        0.98, ge=0, lt=1, description="Decay of the weights' moving average per step (it ramps up from 0); 0 = off."
    )
    clip: float = Field(5.0, ge=0, description="Largest gradient norm; 0 = no clipping.")
    shift: int = Field(
        1, ge=0, le=32, description="Random shift, of images by up to so many pixels, of signals in time."
    )
    flip: bool = Field(False, description="Mirror images at random. Wrong for digits and letters.")
    cutout: int = Field(0, ge=0, le=64, description="Side of a square erased at random; 0 = off.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto = the faster one, by a five-step probe on the worker."
    )
    threads: int = Field(1, ge=1, le=256, description="CPU threads per trial; 1 makes results repeatable.")
    timeout_s: float = Field(
        3600, gt=0, le=30 * 86400, description="A trial that trains longer than this is ended as hung."
    )

    def chosen(self, choices: Mapping[str, Any], shape: tuple[int, ...]) -> Recipe:
        """The recipe with what an architecture decided about its training (`RECIPE_PREFIX` before the names).

        Args:
            choices: an architecture's; others are left alone.
            shape: of one sample: shift and cutout are an eighth and a half of an image's side (32 and 64 at most);
                a signal is shifted by an eighth of its length (32 at most).
        """
        found = {k.removeprefix(RECIPE_PREFIX): v for k, v in choices.items() if k.startswith(RECIPE_PREFIX)}
        if not found:
            return self
        augmentation = found.pop("augmentation", None)
        if augmentation is not None:
            side = min(shape[1:], default=1)  # text and tables have no sides, and nothing is done to them
            words = str(augmentation).split("+")
            found["shift"] = min(32, max(1, side // 8)) if "shift" in words else 0
            found["flip"] = "flip" in words
            found["cutout"] = min(64, side // 2) if "cutout" in words else 0
        return self.model_validate({**self.model_dump(), **found})
