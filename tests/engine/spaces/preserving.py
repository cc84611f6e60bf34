"""Tries the morphisms of an architecture on a parent whose running statistics and weights are anything but fresh."""

from __future__ import annotations

import numpy as np
import torch

from engine.architecture import Architecture
from engine.data.arrays import example
from engine.network.build import build
from engine.network.inherit import inherit
from engine.network.morphism import Morphism
from engine.spaces.base import SearchSpace


def used(space: SearchSpace, arch: Architecture, seed: int) -> torch.nn.Module:
    """A network as after training: every weight moved, every running statistic far from 0 and 1."""
    network = build(space.plan(arch), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_var"):
                tensor.copy_(0.3 + 2 * torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point():
                tensor.add_(0.1 * torch.randn(tensor.shape, generator=generator))
    return network.eval()


def differences(space: SearchSpace, arch: Architecture, seed: int = 0) -> list[tuple[Morphism, float]]:
    """(morphism, largest difference of the outputs relative to their size) for every morphism."""
    parent = used(space, arch, seed)
    x = torch.from_numpy(example(space._bound(), 8, np.random.default_rng(seed)))
    out = []
    with torch.no_grad():
        expected = parent(x)
        scale = max(1.0, float(expected.abs().max()))
        for m in space.morphisms(arch):
            child = inherit(parent.state_dict(), space.plan(m.child), m.weights, seed=seed + 1).eval()
            out.append((m, float((child(x) - expected).abs().max()) / scale))
    return out
