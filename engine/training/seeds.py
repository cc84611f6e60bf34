"""One seed, many independent streams: what is drawn for one purpose never shifts what is drawn for another."""

from __future__ import annotations

import zlib

import numpy as np


def training_seed(seed: int, trial: int, replicate: int = 0) -> int:
    """Seed of a trial's training, below 2**31: the same wherever and whenever it runs."""
    return int(np.random.SeedSequence([seed, 0x7261, trial, replicate]).generate_state(1)[0]) >> 1


def stream(seed: int, replicate: int, purpose: str, *index: int) -> int:
    """A 63-bit seed for one purpose ("weights", "order", ...), and optionally one epoch.

    Because an epoch's draws come from a stream of their own, resuming inside it needs no state of the streams before.
    """
    key = [seed, replicate, zlib.crc32(purpose.encode()), *index]
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))
