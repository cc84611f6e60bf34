"""A process that knows the log alone proposes what was proposed, whatever the order of its sets and dicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.driving import TWO, config, pairs, wild

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
SPACES = [{"name": "nasbench201", "cells": 1}, {"name": "layers"}]


@pytest.mark.parametrize("objectives", [1, 2])
def test_a_fresh_process_proposes_what_was_proposed(objectives):
    runs, sent = [], []
    for n, (strategy, schedule) in enumerate((a, b) for a in pairs("strategy") for b in pairs("schedule")):
        settings = config(
            strategy=strategy,
            schedule=schedule,
            space=SPACES[(n + objectives) % 2],
            **({"objectives": TWO} if objectives == 2 else {}),
        )
        recorded = wild(settings, seed=n)
        assert recorded.most_running == 4
        runs.append([[repr(a) for a in group] for group in recorded.actions])
        sent.append(json.dumps({"config": settings.to_json(), "log": [json.loads(text) for text in recorded.log]}))
    here = os.environ.get("PYTHONHASHSEED", "random")
    done = subprocess.run(
        [sys.executable, "-c", REPLAY], input="\n".join(sent), capture_output=True, text=True, timeout=120,
        cwd=Path(__file__).parents[3], env=os.environ | {"PYTHONHASHSEED": "12345" if here != "12345" else "54321"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert [json.loads(line) for line in done.stdout.splitlines()] == runs
