"""Augmentation drawn per sample and applied to whole batches.

All draws of an epoch are made at its start from a generator of that epoch, on the device: resuming inside an epoch
makes the same draws again. Images and signals are kept padded, so that shifting is a choice of window and needs no copy
of its own. Signals are shifted along time; text and tables are left as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.config import Recipe


@dataclass(frozen=True)
class Draws:
    """The draws of one epoch, one per sample in the epoch's order.

    Attributes:
        order: (n,) which sample comes when.
        dy, dx: (n,) window of the shift, 0..2*shift, or None; signals have dx alone.
        mirrored: (n,) bool, or None.
        cy, cx: (n,) centre of the erased square, or None.
    """

    order: Tensor
    dy: Tensor | None = None
    dx: Tensor | None = None
    mirrored: Tensor | None = None
    cy: Tensor | None = None
    cx: Tensor | None = None


def draw(n: int, shape: tuple[int, ...], recipe: Recipe, seed: int, device: torch.device) -> Draws:
    """The draws of one epoch for `n` samples of `shape` without batch.

    Images (C, H, W) take all three augmentations, signals (C, L) the shift, text and tables none.
    """
    generator = torch.Generator(device).manual_seed(seed)

    def below(high: int) -> Tensor:
        return torch.randint(high, (n,), generator=generator, device=device)

    order = torch.randperm(n, generator=generator, device=device)
    if len(shape) == 2 and recipe.shift:
        return Draws(order, dx=below(2 * recipe.shift + 1))
    if len(shape) != 3:
        return Draws(order)
    out: dict[str, Tensor] = {}
    if recipe.shift:
        out |= {"dy": below(2 * recipe.shift + 1), "dx": below(2 * recipe.shift + 1)}
    if recipe.flip:
        out["mirrored"] = below(2).bool()
    if recipe.cutout:
        out |= {"cy": below(shape[1]), "cx": below(shape[2])}
    return Draws(order, **out)


class Augmentation:
    """Training samples of one data set, ready to be cut into augmented batches.

    Args:
        x: (n, *shape) normalized, on the device, in the type the network reads.
        recipe: shift, flip, cutout.
        blank: normalized value of a raw zero, per channel: what is shifted in, and what is erased to.
        layout: memory format of the batches.
    """

    def __init__(self, x: Tensor, recipe: Recipe, blank: Tensor, layout: torch.memory_format) -> None:
        self.shape = tuple(x.shape[1:])
        self.layout = layout if x.ndim == 4 else torch.contiguous_format
        self.recipe = recipe
        self.x = x
        self.windows: Tensor | None = None
        if x.ndim == 3 and recipe.shift:
            p, (n, c, length) = recipe.shift, x.shape
            self.x = blank.to(x).view(1, -1, 1).expand(n, c, length + 2 * p).contiguous()
            self.x[:, :, p : p + length] = x
            self.windows = self.x.unfold(2, length, 1)  # (n, C, 2p+1, L), a view
        if x.ndim != 4:
            return
        self.blank = blank.to(x).view(1, -1, 1, 1)
        if recipe.shift:
            p = recipe.shift
            n, c, h, w = x.shape
            padded = self.blank.expand(n, c, h + 2 * p, w + 2 * p).contiguous()
            padded[:, :, p : p + h, p : p + w] = x
            self.x = padded
            self.windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # (n, C, 2p+1, 2p+1, H, W), a view

    def batch(self, draws: Draws, start: int, stop: int) -> Tensor:
        """Samples `start` to `stop` of the epoch's order: (b, *shape)."""
        rows = draws.order[start:stop]
        if self.windows is not None and draws.dx is not None:
            if draws.dy is None:
                out = self.windows[rows, :, draws.dx[start:stop]]  # (b, C, L)
            else:
                out = self.windows[rows, :, draws.dy[start:stop], draws.dx[start:stop]]  # (b, C, H, W)
        else:
            out = self.x[rows]
        if draws.mirrored is not None:
            out = torch.where(draws.mirrored[start:stop].view(-1, 1, 1, 1), out.flip(3), out)
        if draws.cy is not None and draws.cx is not None:
            out = torch.where(self._square(draws.cy[start:stop], draws.cx[start:stop]), self.blank, out)
        return out.contiguous(memory_format=self.layout)

    def plain(self, which: int | Tensor) -> Tensor:
        """The first so many samples, or those of these rows, as they are: (n, *shape)."""
        out = self.x[:which] if isinstance(which, int) else self.x[which]
        if self.windows is not None:
            p = self.recipe.shift
            for axis, side in enumerate(self.shape[1:], start=2):
                out = out.narrow(axis, p, side)
        return out.contiguous(memory_format=self.layout)

    def _square(self, cy: Tensor, cx: Tensor) -> Tensor:
        """Mask (b, 1, H, W) of a square of side `cutout` around each centre, cut off at the border."""
        low, high = self.recipe.cutout // 2, (self.recipe.cutout + 1) // 2
        y = torch.arange(self.shape[1], device=cy.device).view(1, -1)
        x = torch.arange(self.shape[2], device=cx.device).view(1, -1)
        rows = (y >= cy.view(-1, 1) - low) & (y < cy.view(-1, 1) + high)
        columns = (x >= cx.view(-1, 1) - low) & (x < cx.view(-1, 1) + high)
        return (rows[:, :, None] & columns[:, None, :])[:, None]
