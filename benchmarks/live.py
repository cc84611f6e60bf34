"""From a worker's report to the changed chart in a real Chromium, at two reports a second.

Run: `python -m benchmarks live`. A stack without workers serves the page; this process plays the worker: it claims
trials and reports epochs and results through the services a worker uses. The clock starts before the report is written
and stops when the frame with the changed chart has been drawn.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.page import CHROMIUM, FLAGS

#: notes when events arrive and when something was drawn
WATCH = """
window.arrived = []; window.drawn = [];
const Plain = window.WebSocket;
window.WebSocket = class extends Plain {
  constructor(...given) {
    super(...given);
    this.addEventListener("message", (message) => {
      const {type, kind, data} = JSON.parse(message.data);
      if (type !== "event") return;
      if (kind === "point") window.arrived.push([`point ${data.trial} ${data.epoch}`, Date.now()]);
      if (kind === "trial") window.arrived.push([`trial ${data.number} ${data.state}`, Date.now()]);
    });
  }
};
const after = (what) => requestAnimationFrame(() => {
  const channel = new MessageChannel();
  channel.port1.onmessage = () => window.drawn.push([what, Date.now()]);
  channel.port2.postMessage(0);
});
document.addEventListener("chart:drawn", (event) => after(event.target.id || "chart"), true);
document.addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
  for (const change of changes)
    for (const node of change.addedNodes)
      if (node.nodeName === "svg" && !node.closest(".js-plotly-plot")) { after("curve"); return; }
}).observe(document.body, {childList: true, subtree: true}));
"""


class Worker(threading.Thread):
    """Claims one trial after another and reports its epochs, then its result, `every_s` apart."""

    def __init__(self, search_id: int, reports: int, every_s: float, epochs: int) -> None:
        super().__init__(daemon=True)
        self.search_id, self.reports, self.every_s, self.epochs = search_id, reports, every_s, epochs
        self.sent: dict[str, float] = {}
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until all reports are made."""
        try:
            self._run()
        except BaseException as e:
            self.error = e
            raise

    def _run(self) -> None:
        from engine.evaluation.base import Report
        from searches.models import Job
        from searches.services.jobs import job_claim, job_done, job_progress

        due = time.monotonic()
        while len(self.sent) < self.reports:
            job = Job.objects.filter(search_id=self.search_id, state="waiting").order_by("id").first()
            claimed = job and job_claim(job_id=job.pk, claim=job.claim, worker="benchmark")
            if not claimed or claimed.trial is None:
                time.sleep(0.02)
                continue
            number = claimed.trial.number
            top = 0.6 + 0.35 * int(claimed.trial.key[:4], 16) / 0xFFFF
            for epoch in range(1, self.epochs + 1):
                due = self._wait(due)
                accuracy = top * epoch / (epoch + 1)
                point = {"epoch": epoch, "accuracy": accuracy, "loss": 1 / epoch, "train_loss": 1 / epoch}
                self.sent[f"point {number} {epoch}"] = time.time()
                progress = {"epoch": epoch, "epochs": self.epochs}
                job_progress(job=claimed.job, claim=claimed.claim, progress=progress, points=[point])
            due = self._wait(due)
            report = Report(metrics={"accuracy": top}, fidelity=claimed.job.fidelity, source="table")
            self.sent[f"trial {number} completed"] = time.time()
            job_done(job=claimed.job, claim=claimed.claim, report=report)

    def _wait(self, due: float) -> float:
        time.sleep(max(0.0, due - time.monotonic()))
        return max(due, time.monotonic()) + self.every_s


def delays(sent: dict[str, float], arrived: list[Any], drawn: list[Any]) -> dict[str, list[float]]:
    """Milliseconds from a report to its event in the page, and to the first changed drawing of its kind afterwards."""
    out: dict[str, list[float]] = {"arrival": [], "curve": [], "chart": [], "missed": []}
    at = {key: when for key, when in reversed(arrived)}
    for key, began in sent.items():
        if key not in at:
            out["missed"].append(0.0)
            continue
        kind = "curve" if key.startswith("point") else "chart"
        after = [when for what, when in drawn if (what == "curve") == (kind == "curve") and when >= at[key]]
        out["arrival"].append(at[key] - 1000 * began)
        if after:
            out[kind].append(min(after) - 1000 * began)
        else:
            out["missed"].append(0.0)
    return out


def quantile(values: list[float], share: float) -> float:
    """Of a non-empty list, by position."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main(argv: list[str]) -> list[dict[str, Any]]:
    """Serves, reports, watches."""
    parser = argparse.ArgumentParser(prog="live")
    parser.add_argument("--reports", type=int, default=120)
    parser.add_argument("--every", type=float, default=0.5, help="seconds between reports")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="nwl-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        os.environ |= {"NASWEB_DATA_DIR": folder, "DJANGO_ALLOW_ASYNC_UNSAFE": "1"}
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
        import django

        django.setup()
        from nasweb.supervisor import Stack

        with Stack(Path(folder), port=port, workers=0):
            rows = _measure(port, given.reports, given.every)
    return rows


def _measure(port: int, reports: int, every_s: float) -> list[dict[str, Any]]:
    from playwright.sync_api import sync_playwright

    from engine.config import SearchConfig
    from nasweb.accounts import ensure_local_user, login_once_url
    from searches.services import lifecycle

    owner, epochs = ensure_local_user(), 9
    config = SearchConfig.parse(
        {
            "schema": 1,
            "name": "Live",
            "space": "layers",
            "strategy": "random",
            "evaluator": {"name": "tabular"},
            "budget": {"trials": 10_000, "epochs": epochs},
            "parallelism": 2,
        }  # fmt: skip
    )
    search = lifecycle.search_create(owner=owner, config=config, start=True)
    with sync_playwright() as p:
        path = next((c for c in CHROMIUM if Path(c).exists()), None)
        browser = p.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(WATCH)
        page.goto(login_once_url(owner, port=port))
        page.goto(f"http://127.0.0.1:{port}/searches/{search.pk}/")
        page.wait_for_load_state("networkidle", timeout=60_000)
        warm = Worker(search.pk, 2 * (epochs + 1), every_s, epochs)
        _follow(page, warm)
        page.evaluate("window.arrived.length = window.drawn.length = 0")
        worker = Worker(search.pk, reports, every_s, epochs)
        _follow(page, worker)
        page.wait_for_timeout(1_500)
        found = delays(worker.sent, page.evaluate("window.arrived"), page.evaluate("window.drawn"))
        browser.close()
    row: dict[str, Any] = {"reports": len(worker.sent), "missed": len(found["missed"]), "load": os.getloadavg()[0]}
    for name in ("arrival", "curve", "chart"):
        if found[name]:
            row[f"{name}_p50_ms"] = round(statistics.median(found[name]))
            row[f"{name}_p95_ms"] = round(quantile(found[name], 0.95))
    print(f"{'':22}{'p50, ms':>10}{'p95, ms':>10}{'target':>10}")
    words = {"arrival": "event in the page", "curve": "curve of a trial", "chart": "chart of the best"}
    for name, text in words.items():
        if found[name]:
            target = "" if name == "arrival" else 300
            print(f"{text:22}{row[f'{name}_p50_ms']:10}{row[f'{name}_p95_ms']:10}{target:>10}")
    cores = os.cpu_count()
    print(f"{row['reports']} reports, {row['missed']} not seen in the page, load {row['load']:.1f} on {cores} cores")
    return [row]


def _follow(page: Any, worker: Worker) -> None:
    worker.start()
    while worker.is_alive():
        page.wait_for_timeout(100)
    if worker.error is not None:
        raise worker.error
