"""What a fork server imports once, so that its children need not: proved in fresh interpreters."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import engine.everything
from engine.config import SearchConfig

before = set(sys.modules)
try:
    SearchConfig.parse({"name": "x", "strategy": "portfolio"})
except ModuleNotFoundError as e:
    sys.exit(f"said: {e}")
more = sorted(m for m in set(sys.modules) - before if m.startswith(("engine", "torch")))
sys.exit(f"loaded: {more}" if more else 0)
"""


def ended(**environment):
    env = {**os.environ, **environment}
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", CODE], cwd=root, env=env, capture_output=True, text=True, timeout=120)


def test_a_config_is_read_without_importing_anything_more():
    done = ended()
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_plug_in_that_is_not_there_is_said_where_it_is_needed():
    done = ended(NASWEB_PLUGINS="nowhere.to_be_found")
    assert "said: No module named 'nowhere'" in done.stderr, done.stderr[-2000:]
