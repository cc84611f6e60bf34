"""The whole path: examples/digits.yaml from pressing Enter to the verified bundle, then again with its worker killed.

Each run starts in a fresh data directory with `manage.py search run examples/digits.yaml --json`, so its time holds the
start of the stack, the search, the winner's full training, export and checks. The second run kills the trial worker
(kill -9) once a third of the trials have ended, and has no time to meet; counts are then recomputed from the rows.

    python -m benchmarks digits [-- --seeds 3 --no-kill --keep]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "digits.yaml"
TARGETS = {"wall_s": 100.0, "accuracy": 0.985, "test_accuracy": 0.98}
STATES = ("waiting", "running", "paused", "completed", "pruned", "failed", "cancelled")


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Runs it; one row a run."""
    parser = argparse.ArgumentParser(prog="benchmarks digits", description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="timed runs, each with its own seed (0, 1, ...)")
    parser.add_argument("--no-kill", action="store_true", help="leave out the run whose worker is killed")
    parser.add_argument("--keep", action="store_true", help="keep the data directories")
    parser.add_argument("--file", type=Path, default=EXAMPLE)
    args = parser.parse_args(argv)
    plans = [(seed, False) for seed in range(args.seeds)] + ([] if args.no_kill else [(0, True)])
    rows = []
    heads = f"{'wall s':>8}{'cpu s':>8}{'trials':>8}{'valid %':>9}{'test %':>8}{'checks':>8}"
    print(f"{'run':<16}{'state':<11}{heads}  lost")
    for seed, kill in plans:
        row = once(args.file.resolve(), seed, kill=kill, keep=args.keep)
        rows.append(row)
        name = f"seed {seed}{', killed' if kill else ''}"
        print(
            f"{name:<16}{row['state']:<11}{row['wall_s']:>8.1f}{row['cpu_s']:>8.1f}{row['trials']:>8}"
            f"{100 * row['accuracy']:>9.2f}{100 * row['test_accuracy']:>8.2f}{row['checks']:>8}  "
            f"{'; '.join(row['lost']) or 'nothing'}",
            flush=True,
        )
    goal = f"within {TARGETS['wall_s']:g} s, valid >= {100 * TARGETS['accuracy']:g} %"
    print(f"goal: completed {goal}, test >= {100 * TARGETS['test_accuracy']:g} %, 6/6 checks, nothing lost")
    print(f"{os.cpu_count()} cores, load at the end {os.getloadavg()[0]:.1f}")
    return rows


def once(file: Path, seed: int, *, kill: bool, keep: bool) -> dict[str, Any]:
    """One run in a data directory of its own."""
    folder = Path(tempfile.mkdtemp(prefix="nwb-"))
    env = {**os.environ, "NASWEB_DATA_DIR": str(folder)}
    if kill:  # so that nobody waits a minute for the lease of the dead
        env |= {"NASWEB_LEASE_S": "15", "NASWEB_HEARTBEAT_S": "3", "NASWEB_REAP_S": "2"}
    meter = CpuMeter(folder)
    began = time.monotonic()
    with (folder / "err.txt").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "search", "run", str(file), "--json", "--seed", str(seed)],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        killed = kill and kill_worker(folder, process)
        out, _ = process.communicate()
    exited_s = time.monotonic() - began
    try:
        found = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"no JSON at the end of the output; {folder}/err.txt says why") from None
    row = {
        "seed": seed,
        "killed": killed,
        "exit": process.returncode,
        # the line stands there when the search is over; what follows is stopping the parts
        "wall_s": found["duration_s"],
        "exited_s": round(exited_s, 1),
        "cpu_s": round(meter.stop(), 1),
        "state": found["state"],
        "trials": sum(found["trials"].values()),
        "accuracy": found["best"]["metrics"]["accuracy"] or 0.0,
        "test_accuracy": found["best"]["metrics"].get("test_accuracy", 0.0),
        **audit(folder / "db.sqlite3", found),
    }
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return row


class CpuMeter:
    """CPU time of all processes on a data directory, read several times a second while they live.

    Processes are killed, reparented and forked from a fork server here, so that nobody's rusage holds all of it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._over = folder, threading.Event()
        self._mine: dict[int, bool] = {}
        self._seen: dict[tuple[int, str], float] = {}
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        tick = os.sysconf("SC_CLK_TCK")
        while not self._over.wait(0.25):
            for entry in Path("/proc").iterdir():
                if not entry.name.isdigit() or self._mine.get(int(entry.name)) is False:
                    continue
                with contextlib.suppress(OSError, IndexError):
                    mine = self._mine.setdefault(int(entry.name), _belongs(entry, self._folder))
                    if mine:
                        fields = (entry / "stat").read_text().rpartition(")")[2].split()
                        self._seen[int(entry.name), fields[19]] = (int(fields[11]) + int(fields[12])) / tick

    def stop(self) -> float:
        """Seconds in all."""
        self._over.set()
        self._thread.join()
        return sum(self._seen.values())


def kill_worker(folder: Path, process: subprocess.Popen[str]) -> bool:
    """Kills the trial worker once a third of the trials have ended; False if the run ended before."""
    while process.poll() is None:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(_open(folder / "db.sqlite3")) as db:
            n, ended = db.execute(
                "select n_trials, n_completed + n_pruned + n_failed from searches_search where state = 'running'"
            ).fetchone() or (0, 0)
            paused = db.execute("select count(*) from searches_point").fetchone()[0]
            if n >= 8 and (ended >= 4 or paused >= 30) and (pid := _worker(folder)):
                os.kill(pid, signal.SIGKILL)
                return True
        time.sleep(0.2)
    return False


def _worker(folder: Path) -> int | None:
    """The process id of the trial worker on a data directory."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().split(b"\0")
                is_worker = b"worker" in command and b"manage.py" in command
                if is_worker and _belongs(entry, folder):
                    return int(entry.name)
    return None


def _belongs(process: Path, folder: Path) -> bool:
    return f"NASWEB_DATA_DIR={folder}".encode() in (process / "environ").read_bytes().split(b"\0")


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)


def audit(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """What the rows say, recomputed: counters, epochs, claims, checks."""
    lost: list[str] = []
    with contextlib.closing(_open(path)) as db:
        counts = dict(db.execute("select state, count(*) from searches_trial group by state"))
        for state in STATES:
            if counts.get(state, 0) != found["trials"].get(state, 0):
                lost.append(f"{counts.get(state, 0)} {state}, counted {found['trials'].get(state, 0)}")
        numbers = [n for (n,) in db.execute("select number from searches_trial order by number")]
        if numbers != list(range(1, len(numbers) + 1)):
            lost.append("trial numbers have gaps")
        for number, epochs, points, last in db.execute(
            "select t.number, t.epochs, count(p.id), max(p.epoch) from searches_trial t left join searches_point p"
            " on p.trial_id = t.id and not p.final where t.state in ('completed', 'pruned') group by t.id"
        ):
            if not (epochs == points == last):
                lost.append(f"trial {number}: {epochs} epochs, {points} points, last {last}")
        is_open = "state in ('waiting', 'running', 'held')"
        if n := db.execute(f"select count(*) from searches_job where {is_open}").fetchone()[0]:
            lost.append(f"{n} jobs still open")
        claims = dict(db.execute("select outcome, count(*) from searches_claim group by outcome"))
        checks = db.execute("select bundle_checks from searches_trial where final_state = 'done'").fetchone()
    listed = json.loads(checks[0]) if checks else []
    return {
        "lost": lost,
        "claims": claims,
        "checks": f"{sum(c['ok'] for c in listed)}/{len(listed)}",
    }


if __name__ == "__main__":
    main(sys.argv[1:])
