"""The scripts of `static/js/core` in a real Chromium, under the pages' own policy, without a running stack."""

import functools
import http.server
import json
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self' ws:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>t</title>
<script src="/static/js/theme-boot.js"></script>
<link rel="stylesheet" href="/static/css/tokens.css"><link rel="stylesheet" href="/static/css/base.css">
<link rel="stylesheet" href="/static/css/components.css"><link rel="stylesheet" href="/static/css/arch.css">
<script defer src="/plotly.min.js"></script></head><body><main class="page" id="here"></main></body></html>"""
FIGURE = {
    "data": [{"x": [1, 2, 3], "y": [90, 95, 97], "line": {"color": "role:accent"}, "name": "best"}],
    "layout": {"xaxis": {"title": {"text": "trials"}}},
    "summary": "Best 97 %.",
}
# A socket that the test feeds by hand.
SOCKET = """
window.sockets = [];
window.WebSocket = class {
  static CONNECTING = 0;
  constructor() { sockets.push(this); setTimeout(() => this.onopen?.(), 0); }
  close() { this.onclose?.({code: 1000}); } };
window.say = (message) => sockets.at(-1).onmessage({data: JSON.stringify(message)});
window.event = (seq) => say({type: "event", seq, kind: "progress", data: {seq}});
"""


class Pages(http.server.SimpleHTTPRequestHandler):
    """Static files, one empty page, one figure, and Plotly from the installed package."""

    def do_GET(self):
        bare = PAGE.replace('<script defer src="/plotly.min.js"></script>', "")  # drawings need no charts
        fixed = {
            "/": (PAGE, "text/html"),
            "/bare": (bare, "text/html"),
            "/figure": (json.dumps(FIGURE), "application/json"),
        }
        if self.path in fixed:
            text, kind = fixed[self.path]
            body = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def translate_path(self, path):
        if path == "/plotly.min.js":
            return str(Path(find_spec("plotly").origin).parent / "package_data" / "plotly.min.js")
        return super().translate_path(path)

    def end_headers(self):
        self.send_header("Content-Security-Policy", CSP)
        if self.path.endswith((".js", ".css")):
            self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture(scope="module")
def address():
    handler = functools.partial(Pages, directory=str(ROOT))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def context(browser):
    """One for all tests of a module: scripts are read and compiled once. What a page has stored goes with it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light")
    yield context
    context.close()


@pytest.fixture
def page(context, address, request):
    """The page at `START` of the module, one with charts where it names none."""
    page = context.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    watch = "addEventListener('securitypolicyviolation', (e) => { (window.violations ||= []).push(e.blockedURI) })"
    page.add_init_script(watch)
    page.add_init_script(SOCKET)
    page.goto(address + getattr(request.module, "START", ""))
    yield page
    assert page.evaluate("window.violations || []") == []
    assert wrong == []
    page.evaluate("localStorage.clear()")
    page.close()


def until(page, expression, seconds=10):
    """Wait for a condition. (Playwright's own wait evaluates it inside the page, which the policy forbids.)"""
    deadline = time.monotonic() + seconds
    while not page.evaluate(f"Boolean({expression})"):
        assert time.monotonic() < deadline, f"never came true within {seconds} s: {expression}"
        page.wait_for_timeout(20)


def picture(*, block="3×3", skip=True):
    """stem, a block that may be residual with a projection, head."""
    nodes = [
        ("in", "input", "image", "", "input", [1, 8, 8]),
        ("stem", "conv", "conv", "3×3", "stem", [16, 8, 8]),
        ("b1", "conv", "conv", block, "block 1", [32, 8, 8]),
    ]
    edges = [("in", "stem"), ("stem", "b1")]
    last = "b1"
    if skip:
        nodes.append(("p1", "conv", "conv", "1×1", "block 1", [32, 8, 8]))
        nodes.append(("s1", "add", "sum", "", "block 1", [32, 8, 8]))
        edges += [("stem", "p1"), ("b1", "s1"), ("p1", "s1")]
        last = "s1"
    nodes.append(("out", "dense", "linear", "10", "output", [10]))
    edges.append((last, "out"))
    keys = ("id", "kind", "title", "detail", "group", "shape")
    return {
        "nodes": [dict(zip(keys, n, strict=True), n_params=9, n_macs=90, repeat=1) for n in nodes],
        "edges": [{"source": a, "target": b} for a, b in edges],
        "caption": "",
        "n_params": 9 * len(nodes),
        "n_macs": 90 * len(nodes),
        "details": [],
    }


def cell():
    """The cell of NAS-Bench-201: four nodes, an operation on each of six edges."""
    operations = {
        "01": "conv 3×3",
        "02": "skip",
        "12": "avg pool 3×3",
        "03": "conv 1×1",
        "13": "none",
        "23": "conv 3×3",
    }
    kinds = ("input", "add", "add", "add")
    return {
        "nodes": [{"id": str(i), "kind": k, "title": k, "shape": []} for i, k in enumerate(kinds)],
        "edges": [{"source": e[0], "target": e[1], "title": t} for e, t in operations.items()],
        "caption": "",
        "details": [],
    }


DRAW = """async ([picture, name, ...rest]) => {
  const arch = await import("/static/js/core/arch.js");
  arch[name](document.getElementById("here"), picture, ...rest);
}"""
BOXES = """() => [...document.querySelectorAll("svg.arch g.node")].map((g) => {
  const {x, y, width, height} = g.getBoundingClientRect(); return [x, y, x + width, y + height]; })"""


def overlaps(boxes):
    return [
        (a, b)
        for i, a in enumerate(boxes)
        for b in boxes[i + 1 :]
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize(("drawn", "blocks"), [(picture(), 6), (picture(skip=False), 4), (cell(), 10)])
def test_every_step_is_drawn_and_none_covers_another(page, width, drawn, blocks):
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(DRAW, [drawn, "drawPicture"])
    boxes = page.evaluate(BOXES)
    assert len(boxes) == blocks
    assert overlaps(boxes) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_costs_of_a_projection_are_shown_where_it_flows_in(page):
    page.evaluate(DRAW, [picture(), "drawPicture"])
    shown = page.locator("svg.arch rect.cost title").all_text_contents()
    assert shown.count("180 multiply-adds") == 1  # the sum's own 90 and the projection's 90
    assert page.locator("svg.arch text.labv").first.text_content() == "540"


def test_a_difference_marks_only_what_differs(page):
    labels = [{"name": "#1"}, {"name": "#2"}, {"name": "#3"}]
    pictures = [picture(), picture(block="5×5"), picture(skip=False)]
    page.evaluate(DRAW, [pictures, "drawDifference", labels])
    hot = page.locator("svg.diff g.node:has(.op.hot) text").all_text_contents()
    assert hot == ["conv", "5×5"]
    assert page.locator("svg.diff .lack").count() == 1  # the sum that #3 does not have
    assert "block 1" in page.locator("svg.diff").get_attribute("aria-label")


def test_the_table_says_what_the_drawing_shows(page):
    page.evaluate(DRAW, [picture(), "drawPicture"])
    page.locator("details.as-table summary").click()
    page.locator("details.as-table tbody tr").first.wait_for()
    assert page.locator("details.as-table tbody tr").count() == 6
    assert "32 × 8×8" in page.locator("details.as-table").inner_text()


MOUNT = """async () => {
  const { mount } = await import("/static/js/core/charts.js");
  const element = document.getElementById("here");
  element.dataset.figure = "/figure";
  window.chart = mount(element);
}"""


def test_a_chart_takes_its_colours_from_the_theme_and_keeps_its_zoom(page):
    page.evaluate(MOUNT)
    page.wait_for_selector("[data-state=drawn]")
    colour = "chart.plot.data[0].line.color"
    assert page.evaluate(colour) == "rgb(0, 103, 168)"
    page.evaluate("Plotly.relayout(chart.plot, {'xaxis.range': [1.5, 2.5]})")
    page.evaluate("import('/static/js/core/theme.js').then((t) => t.setTheme('dark'))")
    until(page, f"{colour} === 'rgb(91, 181, 234)'")
    assert page.evaluate("chart.plot.layout.xaxis.range") == [1.5, 2.5]


def test_a_chart_is_readable_without_seeing_it(page):
    page.evaluate(MOUNT)
    page.wait_for_selector("[data-state=drawn]")
    assert page.locator(".plot").get_attribute("aria-label") == "Best 97 %."
    page.locator("details.as-table summary").click()
    page.locator("details.as-table tbody tr").first.wait_for()
    assert page.locator("details.as-table tbody tr").count() == 3


def test_changes_are_drawn_at_once_and_then_four_times_a_second(page):
    page.evaluate(MOUNT)
    page.wait_for_selector("[data-state=drawn]")
    until(page, "performance.now() > 1500")
    drawn = page.evaluate(
        """async () => {
      let count = 0, first = null;
      const start = performance.now();
      addEventListener("chart:drawn", () => { count += 1; first ??= performance.now() - start; });
      while (performance.now() - start < 1000) {
        const y = [1, 2, Math.random()];
        chart.set({...chart.figure, data: [{x: [1, 2, 3], y}]});
        await new Promise((r) => setTimeout(r, 20));
      }
      return [count, first];
    }"""
    )
    assert 2 <= drawn[0] <= 5
    assert drawn[1] < 200


CONNECT = """async (after) => {
  const { connect } = await import("/static/js/core/live.js");
  window.got = []; window.batches = []; window.states = []; window.reloads = 0;
  window.live = connect({wsUrl: "/ws/searches/7/", eventsUrl: "/events", after,
    onEvents: (b) => { batches.push(performance.now()); got.push(...b.map((e) => e.seq)); },
    onState: (s) => states.push(s), onReload: () => { reloads += 1; }});
}"""


def serve_events(page, head, *, reload=False):
    """Answer /events?after=N up to `head`, as the server does; returns the list of the N asked for."""
    asked = []

    def answer(route):
        after = int(route.request.url.split("after=")[1])
        asked.append(after)
        events = [{"seq": n, "kind": "progress", "data": {}} for n in range(after + 1, head[0] + 1)]
        route.fulfill(json={"events": [] if reload else events, "head": head[0], "reload": reload})

    page.route("**/events?after=*", answer)
    return asked


def test_events_arrive_in_order_without_gap_or_double(page):
    head = [5]
    serve_events(page, head)
    page.evaluate(CONNECT, 5)
    until(page, "live.state === 'live'")
    page.evaluate("event(6); event(6); event(7);")
    head[0] = 11
    page.evaluate("event(10); event(11); event(8);")  # 8 is late, 9 never comes by itself
    until(page, "got.length === 6")
    assert page.evaluate("got") == [6, 7, 8, 9, 10, 11]
    until(page, "live.state === 'live'")


def test_a_head_that_is_ahead_fetches_what_was_missed(page):
    head = [3]
    asked = serve_events(page, head)
    page.evaluate(CONNECT, 0)
    until(page, "got.length === 3")
    head[0] = 6
    page.evaluate("say({type: 'head', seq: 6, state: 'running'})")
    until(page, "got.length === 6")
    assert asked == [0, 3]


def test_events_are_delivered_at_once_and_then_four_times_a_second(page):
    serve_events(page, [0])
    page.evaluate(CONNECT, 0)
    until(page, "live.state === 'live'")
    page.evaluate(
        """async () => { const start = performance.now(); let n = 0;
        while (performance.now() - start < 1000) { event(++n); await new Promise((r) => setTimeout(r, 10)); } }"""
    )
    until(page, "got.length > 0 && got.at(-1) === live.seq")
    times = page.evaluate("batches")
    assert 3 <= len(times) <= 6
    assert all(b - a >= 240 for a, b in zip(times, times[1:], strict=False))


def test_silence_is_said_and_bridged_by_asking(page):
    head = [2]
    asked = serve_events(page, head)
    page.evaluate(CONNECT, 2)
    until(page, "live.state === 'live'")
    until(page, "live.state === 'paused'")
    head[0] = 4
    until(page, "got.length === 2")
    assert len(asked) >= 2
    page.evaluate("say({type: 'head', seq: 4, state: 'running'})")
    until(page, "live.state === 'live'")


def test_far_behind_means_a_fresh_page(page):
    serve_events(page, [5000], reload=True)
    page.evaluate(CONNECT, 0)
    until(page, "reloads === 1")
    assert page.evaluate("got") == []


def test_offline_is_said_when_nothing_answers(page):
    page.route("**/events?after=*", lambda route: route.abort())
    page.evaluate(CONNECT, 0)
    page.evaluate("sockets.at(-1).onclose({code: 1006})")
    until(page, "live.state === 'offline'")
