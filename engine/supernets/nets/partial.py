"""PC-DARTS: partial channels and normalized edges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.errors import CannotBuild
from engine.spaces._shares import Strengths
from engine.spaces.base import SearchSpace
from engine.supernets.epochs import rounded
from engine.supernets.mixture import Mixture
from engine.supernets.nets.learner import Setup
from engine.supernets.nets.mixed import ALPHA_STD, MixedLearner
from engine.supernets.nets.network import Gate
from engine.training.inference import autocast


def partial_mixture(space: SearchSpace, most: int) -> Mixture:
    """The mixture whose options see the smallest part of the channels that is at least 1 / `most` and divides them.

    Raises:
        CannotBuild: the space makes no mixture at all.
    """
    for partial in range(most, 1, -1):
        try:
            return space.mixture(partial=partial, norm_pools=True)
        except CannotBuild:
            continue
    return space.mixture(norm_pools=True)


class PartialLearner(MixedLearner):
    """Alphas over partial channels, and a beta per edge.

    Attributes:
        joined: tables of the edges into one node, by group; only where there are several.
    """

    def __init__(self, setup: Setup) -> None:
        self.joined: dict[str, tuple[str, ...]] = {}
        super().__init__(setup)

    def make_mixture(self) -> Mixture:
        """Partial channels, as far as the space's can be divided."""
        return partial_mixture(self.space, self.options.partial)

    def fresh_alphas(self, generator: torch.Generator) -> dict[str, Tensor]:
        """The betas, (edges,) by group under `edges.`, beside the alphas."""
        out = super().fresh_alphas(generator)
        self.joined = {g: tables for g, tables in self.mixture.joined().items() if len(tables) > 1}
        for group, tables in self.joined.items():
            out[f"edges.{group}"] = self.leaf(ALPHA_STD * torch.randn(len(tables), generator=generator))
        return out

    def edges(self) -> dict[str, Tensor]:
        """() by table: its share among the edges into its node (Xu et al. 2020, edge normalization)."""
        out: dict[str, Tensor] = {}
        for group, tables in self.joined.items():
            out |= dict(zip(tables, torch.softmax(self.alphas[f"edges.{group}"], dim=0).unbind(), strict=True))
        return out

    def forward(self, x: Tensor, gates: Mapping[str, Gate]) -> Tensor:
        """Logits of the mixture, each edge times its share."""
        with autocast(self.setup.device, self.setup.setting):
            return self.network(x, gates, self.edges())

    def frozen(self, epoch: int) -> bool:
        """At the start; at most until the last epoch."""
        return epoch < round(float(self.options.frozen) * self.setup.epochs)

    def votes(self) -> Strengths:
        """Probability of the option times share of the edge."""
        with torch.no_grad():
            share = {name: float(s) for name, s in self.edges().items()}
        return {
            name: {o: p * share.get(name, 1.0) for o, p in row.items()} for name, row in self.strengths().items()
        }  # fmt: skip

    def views(self) -> dict[str, Any]:
        """Shares of the edges, too."""
        with torch.no_grad():
            share = self.edges()
            rows = {g: {name: float(share[name]) for name in tables} for g, tables in self.joined.items()}
        return super().views() | {"edges": rounded(rows)}
