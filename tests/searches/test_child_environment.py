"""What the processes that run people's networks can read."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECRET = "kJ8-2hS0dPq_vX7mZr4TtLw9YbNcEf3GuAi6oHs1RxVlQ5DzMpBk"

CODE = """
import json, sys, time
from multiprocessing import forkserver
from pathlib import Path
import django
django.setup()
from searches import childwatch

childwatch.warm_up()
server = forkserver._forkserver._forkserver_pid
process, conn = childwatch.start_child({})
texts = [Path(f"/proc/{pid}/environ").read_bytes() for pid in (server, process.pid)]
process.kill()
import os
print(json.dumps({"here": os.environ["NASWEB_SECRET_KEY"], "there": [sys.argv[1].encode() in t for t in texts],
                  "something": [b"PATH=" in t for t in texts]}))
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc")
def test_the_fork_server_and_its_children_hold_no_secret(tmp_path):
    names = {"NASWEB_SECRET_KEY": SECRET, "NASWEB_REDIS_URL": f"redis://:{SECRET}@127.0.0.1:1/0"}
    env = {**os.environ, **names, "DJANGO_SETTINGS_MODULE": "nasweb.settings", "NASWEB_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", CODE, SECRET], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["here"] == SECRET  # this side still has it
    assert found["something"] == [True, True]  # and those environments were really read
    assert found["there"] == [False, False]
