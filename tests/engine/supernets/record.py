"""Records the epochs of a real search for the tests of the collapse alarm.

    OMP_NUM_THREADS=1 python tests/engine/supernets/record.py NAME '{"name": "darts", ...}' [--by EPOCH]

writes recorded/NAME.json: the command, the configuration and one row an epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from engine import loop
from engine.config import SearchConfig

KEPT = ("epoch", "train_loss", "held_loss", "skips", "tables", "eigenvalue")
DATA = {"name": "fashion_mnist", "train": 2000, "validation": 500}
SPACE = {"name": "nasbench201", "cells": 1, "channels": 4}


def record(strategy: dict[str, Any], data: dict[str, Any], space: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of the supernet of a search."""
    config = SearchConfig.model_validate(
        {
            "name": "recorded", "seed": 1, "data": data, "space": space, "strategy": strategy,
            "budget": {"trials": 1, "epochs": 1}, "final": {"enabled": False},
        }
    )  # fmt: skip
    rows = []

    def emit(event: dict[str, Any]) -> None:
        if event.get("piece") and event["kind"] == "epoch":
            rows.append({k: _short(event[k]) for k in KEPT if k in event})

    loop.run(config, emit=emit, final=False)
    return rows


def _short(value: Any) -> Any:
    """Three digits are enough."""
    if isinstance(value, dict):
        return {k: _short(v) for k, v in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def main() -> None:
    """Records one search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("strategy", help="JSON")
    parser.add_argument("--data", default=json.dumps(DATA), help="JSON")
    parser.add_argument("--space", default=json.dumps(SPACE), help="JSON")
    parser.add_argument("--by", type=int, default=0, help="epoch by which an alarm must be raised; 0 = it is healthy")
    args = parser.parse_args()
    strategy, data, space = (json.loads(t) for t in (args.strategy, args.data, args.space))
    rows = record(strategy, data, space)
    command = f"python tests/engine/supernets/record.py {args.name} '{args.strategy}' --by {args.by}"
    out = {
        "command": f"{command} --data '{args.data}' --space '{args.space}'",
        "by": args.by,
        "rows": rows,
    }
    path = Path(__file__).parent / "recorded" / f"{args.name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(out, indent=None, separators=(",", ":")).replace('{"epoch"', '\n{"epoch"') + "\n")


if __name__ == "__main__":
    main()
