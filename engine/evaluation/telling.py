"""What a training says in the log of its trial."""

from __future__ import annotations

from typing import Any

from engine.evaluation.base import Emit, Work


def told(emit: Emit, work: Work, n: int) -> Emit:
    """Passes events on, and says some epochs in the log: about ten of a whole training, and the last.

    Args:
        emit: of the work.
        work: a training.
        n: samples of the validation split.
    """
    every = max(1, work.max_fidelity // 10)

    def tell(event: dict[str, Any]) -> None:
        emit(event)
        if event["kind"] != "epoch" or (event["epoch"] % every and event["epoch"] != work.fidelity):
            return
        wrong = n - round(event["accuracy"] * n)
        message = (
            f"{event['epoch']:>3} of {work.max_fidelity}   loss {event['train_loss']:.3f}   "
            f"validation {100 * event['accuracy']:.1f} %   {wrong:,} wrong   "
            f"{event['samples_per_s']:,.0f} samples/s"
        )
        emit({"kind": "log", "what": "epoch", "message": message})

    return tell
