"""What is kept of each epoch of a supernet: the row that training emits, pages draw and the alarm reads. No torch.

A row has, besides "epoch" (from 1), "train_loss", "accuracy", "samples_per_s", "learning_rate" and "duration_s"
(seconds from the end of the epoch before to its own, so with what is saved and measured; interruptions not counted):

- "tables": {table: {option: probability}}, where a method has architecture parameters or a controller;
- "derived": choices of the architecture it would hand over now, [] of some methods;
- "skips": share of skip connections in it, where there are any in the space;
- "eigenvalue": dominant eigenvalue of the held-out loss's Hessian in the architecture parameters, where it is watched;
- "held_loss": mean loss of the batches that the architecture parameters are trained on;
- "reward": mean accuracy of the networks that a controller learned from, on batches of the held half; of those within
  the limits (ENAS);
- "within": share of these networks that were within the limits, where the search has any (ENAS);
- "entropy": of its choices, as a share of that of equal chances (ENAS);
- "subnet_loss": mean loss of the smaller subnets on what the largest network answers (Once-for-All);
- "temperature": of relaxed samples in this epoch (GDAS, FBNet);
- "latency_ms": expected milliseconds of a network under these probabilities, where operations were measured;
- "edges": {group: {table: weight}}: normalized weights of the edges into one node (PC-DARTS);
- "note": one phrase, where something happened (options pruned, a stage begun, stopped early).

"accuracy" is the supernet's, with the statistics of the batch: of the whole where the options were trained side by
side, else the mean over a few subnets. It is comparable with itself over the epochs and with nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: operations that hand their input on, as the spaces call them
SKIPS = ("skip_connect", "skip", "identity")


def skip_share(choices: Mapping[str, Any], decisions: Mapping[str, tuple[Any, ...]]) -> float | None:
    """Share of skip connections among the decisions that offer one; None where none does.

    Args:
        choices: of an architecture.
        decisions: options by decision.
    """
    offering = [n for n, options in decisions.items() if n in choices and any(o in SKIPS for o in options)]
    if not offering:
        return None
    return sum(choices[n] in SKIPS for n in offering) / len(offering)


def rounded(probabilities: Mapping[str, Mapping[Any, float]]) -> dict[str, dict[str, float]]:
    """Tables of a row, to four digits."""
    return {name: {str(o): round(float(p), 4) for o, p in row.items()} for name, row in probabilities.items()}
