"""One ONNX file of a network, dynamic in its batch."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


def export_onnx(
    network: nn.Module,
    input_shape: tuple[int, ...],
    path: Path,
    input_type: str = "float32",
    example: NDArray[Any] | None = None,
) -> None:
    """Writes `path` (input "input", output "logits", any batch size), one file, under its name only when whole.

    Uses the graph exporter (`dynamo=True`): the older one is deprecated.

    Args:
        network: in eval mode, on the CPU, float32.
        input_shape: one sample without batch.
        path: where to write.
        input_type: see `NetworkPlan.input_type`.
        example: a few valid inputs (n, *input_shape) for the exporter to run the network on; None = zeros, for tokens
            ones.
    """
    import torch

    if example is not None:
        x = torch.from_numpy(example)
    else:
        x = torch.ones(4, *input_shape, dtype=torch.int64) if input_type == "int64" else torch.zeros(4, *input_shape)
    part = path.with_name("part-" + path.name)
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network,
                (x,),
                part,
                dynamo=True,
                input_names=["input"],
                output_names=["logits"],
                dynamic_shapes=({0: "batch"},),
                external_data=False,
                verbose=False,
            )
    finally:
        quiet.setLevel(level)
    part.replace(path)
