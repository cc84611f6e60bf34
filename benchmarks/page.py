"""The search page with 10,000 trials x 10 epochs in real Chromium: time to the first useful chart, bytes, heap.

Run: `python -m benchmarks page`. A stack without workers serves a seeded database; Plotly's script is in the browser's
cache (one warm-up visit), as for anyone who has seen one page before. Figures are medians of five visits.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


#: notes when the first chart stands there, since the navigation began
DRAWN = """addEventListener("chart:drawn", (event) => {
  if (event.target.id === "best-chart") window.bestDrawn ??= performance.now();
});"""


def seed_there(data_dir: Path, *, trials: int, epochs: int) -> tuple[int, str]:
    """Migrates and seeds the data folder in this process; the search's id and a login link's path."""
    os.environ["NASWEB_DATA_DIR"] = str(data_dir)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from benchmarks._seed import seed_search
    from nasweb.accounts import ensure_local_user

    call_command("migrate", verbosity=0)
    search = seed_search(owner=ensure_local_user(), n_trials=trials, n_epochs=epochs, running=0, name="Ten thousand")
    connection.close()
    return search.pk, ""


def measure(url: str, login: str, visits: int, profile: Path) -> list[dict[str, float]]:
    """Visits the page; one row a visit."""
    from playwright.sync_api import sync_playwright

    rows = []
    with sync_playwright() as p:
        path = next((c for c in CHROMIUM if Path(c).exists()), None)
        # a profile on disk, as a person's browser has one: the cache keeps scripts and their compiled code
        browser = p.chromium.launch_persistent_context(
            profile, executable_path=path, args=FLAGS, viewport={"width": 1400, "height": 900}
        )
        page = browser.new_page()
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        got = {"bytes": 0.0}
        session.on("Network.loadingFinished", lambda e: got.update(bytes=got["bytes"] + e["encodedDataLength"]))
        page.add_init_script(DRAWN)
        page.goto(login)

        def visit() -> float:
            """Goes there; seconds from the navigation to the drawn chart, by the browser's own clock."""
            page.goto(url, wait_until="commit")
            until = time.monotonic() + 120
            while not (drawn := page.evaluate("window.bestDrawn || 0")):
                if time.monotonic() > until:
                    raise TimeoutError("the first chart was not drawn within two minutes")
                time.sleep(0.02)
            if not page.evaluate("document.querySelectorAll('#best-chart .main-svg .point').length > 100"):
                raise AssertionError("the chart has no points")
            return float(drawn) / 1000

        visit()
        for _ in range(visits):
            page.goto("about:blank")
            got["bytes"] = 0.0
            first = visit()
            page.wait_for_load_state("networkidle")
            session.send("HeapProfiler.enable")
            session.send("HeapProfiler.collectGarbage")
            heap = session.send("Runtime.getHeapUsage")["usedSize"]
            rows.append({"first_chart_s": first, "sent_mb": got["bytes"] / 1e6, "heap_mb": heap / 1e6})
        browser.close()
    return rows


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Seeds, serves, measures."""
    parser = argparse.ArgumentParser(prog="page")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--visits", type=int, default=5)
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nasweb-page-") as folder:
        data_dir = Path(folder)
        began = time.perf_counter()
        search, _ = seed_there(data_dir, trials=given.trials, epochs=given.epochs)
        print(f"seeded {given.trials:,} trials x {given.epochs} epochs in {time.perf_counter() - began:.0f} s")
        import socket

        from nasweb.accounts import ensure_local_user, login_once_url
        from nasweb.supervisor import Stack

        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with Stack(data_dir, port=port, web=True, workers=0):
            login = login_once_url(ensure_local_user(), port=port)
            base = f"http://127.0.0.1:{port}"
            visits = measure(f"{base}/searches/{search}/", login, given.visits, data_dir / "profile")
    row = {k: round(statistics.median(v[k] for v in visits), 3) for k in visits[0]}
    worst = {f"worst_{k}": round(max(v[k] for v in visits), 3) for k in visits[0]}
    out = {"trials": given.trials, "epochs": given.epochs, "visits": given.visits, **row, **worst}
    print(f"{'':24}{'median':>10}{'worst':>10}{'target':>10}")
    for key, target in (("first_chart_s", 2.0), ("sent_mb", 1.0), ("heap_mb", 150.0)):
        print(f"{key:24}{out[key]:10.2f}{out['worst_' + key]:10.2f}{target:10.1f}")
    return [out]
