"""A process that knows the log alone proposes what was proposed, whatever the order of its sets and dicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.engine.driving import TWO, config, pairs, wild
from tests.engine.strategies.supported import home, objectives_of, quick

REPLAY = """
import json, sys
from engine.config import SearchConfig
from engine.log import entry_from_json
from tests.engine.driving import replayed

for line in sys.stdin:
    given = json.loads(line)
    actions = replayed(SearchConfig.parse(given["config"]), [entry_from_json(e) for e in given["log"]])
    print(json.dumps([[repr(a) for a in group] for group in actions]))
"""


def test_a_fresh_process_proposes_what_was_proposed():
    """Every strategy at home, schedules and numbers of objectives in turn."""
    runs, sent = [], []
    for n, strategy in enumerate(pairs("strategy")):
        numbers = objectives_of(strategy)
        objectives = numbers[n // len(pairs("schedule")) % len(numbers)]
        settings = config(
            strategy=quick(strategy),
            schedule=pairs("schedule")[n % len(pairs("schedule"))],
            space=home(strategy, objectives),
            budget={"trials": 15},
            **({"objectives": TWO} if objectives == 2 else {}),
        )
        recorded = wild(settings, seed=n)
        runs.append([[repr(a) for a in group] for group in recorded.actions])
        sent.append(json.dumps({"config": settings.to_json(), "log": [json.loads(text) for text in recorded.log]}))
    here = os.environ.get("PYTHONHASHSEED", "random")
    done = subprocess.run(
        [sys.executable, "-c", REPLAY], input="\n".join(sent), capture_output=True, text=True, timeout=300,
        cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONHASHSEED": "12345" if here != "12345" else "54321"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert [json.loads(line) for line in done.stdout.splitlines()] == runs
