"""AdamW or SGD over flat parameters, and a cosine schedule over the maximum fidelity."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from engine.config import Recipe
from engine.training.flat import FlatParameters

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class Optimizer:
    """AdamW or SGD with momentum (Loshchilov & Hutter 2019, Algorithms 2 and 1), fused over two flat tensors.

    SGD's decay is decoupled as AdamW's is, so that one recipe means the same under both.
    """

    def __init__(self, flat: FlatParameters, recipe: Recipe) -> None:
        self.flat = flat
        self.clip = recipe.clip
        tensors: list[dict[str, Any]] = []
        for value, gradient, decay in zip(flat.values, flat.gradients, (recipe.weight_decay, 0.0), strict=True):
            value.requires_grad_(True)
            value.grad = gradient
            if value.numel():
                tensors.append({"params": [value], "weight_decay": decay})
        rate = recipe.learning_rate
        self.decoupled = recipe.optimizer == "sgd"
        self.inner: torch.optim.Optimizer
        if self.decoupled:
            self.decays = [float(t.pop("weight_decay")) for t in tensors]
            self.inner = torch.optim.SGD(tensors, lr=rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0,
                                         fused=True)  # fmt: skip
        else:
            self.inner = torch.optim.AdamW(tensors, lr=rate, betas=BETAS, eps=EPSILON, fused=True)

    def step(self, learning_rate: float) -> None:
        """Clips, then moves the parameters by their gradients."""
        if self.clip > 0:
            self.flat.clip(self.clip)
        for group in self.inner.param_groups:
            group["lr"] = learning_rate
        if self.decoupled:
            with torch.no_grad():
                for group, decay in zip(self.inner.param_groups, self.decays, strict=True):
                    if decay:
                        group["params"][0].mul_(1.0 - learning_rate * decay)
        self.inner.step()

    def tensors(self) -> dict[str, Tensor]:
        """State by name: `<group>.exp_avg`, `<group>.exp_avg_sq`, `<group>.step`; `<group>.momentum_buffer`."""
        out = {}
        for i, group in enumerate(self.inner.param_groups):
            for name, value in self.inner.state.get(group["params"][0], {}).items():
                if value is not None:  # SGD before its first step, or without momentum
                    out[f"{i}.{name}"] = value
        return out

    def groups(self) -> list[dict[str, float]]:
        """The groups' numbers, for the checkpoint's description."""
        decays = self.decays if self.decoupled else [float(g["weight_decay"]) for g in self.inner.param_groups]
        return [
            {"weight_decay": decay, "n": int(g["params"][0].numel())}
            for g, decay in zip(self.inner.param_groups, decays, strict=True)
        ]

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Takes back what `tensors` gave."""
        for i, group in enumerate(self.inner.param_groups):
            value = group["params"][0]
            mine = {k.split(".", 1)[1]: t for k, t in tensors.items() if k.split(".", 1)[0] == str(i)}
            self.inner.state[value] = {
                name: tensor.clone() if name == "step" else tensor.to(value.device).clone()
                for name, tensor in mine.items()
            }
            if value.device.type == "cuda" and "step" in mine:
                self.inner.state[value]["step"] = mine["step"].to(value.device).clone()


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Learning rate of step number `step` (from 0) of `steps` up to the maximum fidelity.

    Linear warm-up over the first `recipe.warmup` of the steps, then half a cosine down to zero
    (Loshchilov & Hutter 2017, eq. 5, one cycle).
    """
    warm = round(recipe.warmup * steps)
    if step < warm:
        return recipe.learning_rate * (step + 1) / warm
    return recipe.learning_rate * 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
