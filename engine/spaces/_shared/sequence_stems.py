"""How data becomes a sequence of vectors (width, steps): words, patches of an image, a signal made shorter."""

from __future__ import annotations

from engine.data.spec import DataSpec
from engine.network.assemble import Assembler


def strides(length: int, most: int) -> tuple[int, ...]:
    """Strides of the convolutions that bring a signal to at most `most` steps: by four, at the end by two."""
    out = []
    while length > most:
        out.append(4 if length > 2 * most else 2)
        length //= out[-1]
    return tuple(out)


def word_stem(net: Assembler, data: DataSpec, width: int) -> str:
    """Token embedding (V, width)."""
    return net.add("embedding", "embedding", "input", group="stem", num_embeddings=data.vocabulary, embedding_dim=width)


def patch_stem(net: Assembler, patch: int, width: int) -> str:
    """Square patches as steps, row by row (Dosovitskiy et al. 2021); zeros around, so that no pixel is left out."""
    _, *sides = net.shape("input")
    # symmetric: half of what the side that fits worst lacks
    padding = max((-side % patch + 1) // 2 for side in sides)
    x = net.add(
        "patches", "conv2d", "input", group="stem",
        out_channels=width, kernel_size=patch, stride=patch, padding=padding,
    )  # fmt: skip
    return net.add("sequence", "to_sequence", x, group="stem")


def signal_stem(net: Assembler, width: int, most: int, norm: str, activation: str) -> str:
    """Convolutions of stride 4 or 2 until at most `most` steps are left; a short signal keeps its length."""
    x = "input"
    shorter = strides(net.shape("input")[1], most)
    for i, stride in enumerate(shorter or (1,), start=1):
        kernel, padding = (2 * stride, stride // 2) if stride > 1 else (3, 1)
        x = net.add(
            f"stem{i}_conv", "conv1d", x, group="stem",
            out_channels=width, kernel_size=kernel, stride=stride, padding=padding,
        )  # fmt: skip
        x = net.add(f"stem{i}_norm", norm, x, group="stem")
        x = net.add(f"stem{i}_{activation}", activation, x, group="stem")
    return x
