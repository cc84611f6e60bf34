"""Draws a race's curves as the arena's page does, into an SVG: the same figure and Plotly, in a headless browser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searches.charts import arena

#: what `static/css/tokens.css` gives for the roles of these charts on a light page
ROLES = {
    "cat-1": "#0072b2", "cat-2": "#d55e00", "cat-3": "#009e73", "cat-4": "#c26a9b", "cat-5": "#e69f00",
    "cat-6": "#56b4e9", "cat-7": "#16191d", "cat-8": "#8a8300",
}  # fmt: skip
FONT = {"family": "system-ui, sans-serif", "size": 12, "color": "#4b5563"}


def plot(race: Mapping[str, Any], path: Path, *, by: str = "queries") -> None:
    """Writes the curves of a benchmark's figures ("curves", "problem") to an SVG.

    Raises:
        RuntimeError: Playwright is not installed (it is among the development requirements).
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as e:
        raise RuntimeError("a plot needs Playwright and Chromium: pip install -e '.[dev]'") from e
    import plotly

    titles = {c["label"]: c["label"] for c in race["curves"]}
    places = {label: i for i, label in enumerate(sorted(titles), 1)}
    figure = arena.regret(race["curves"], titles, places, by=by, unit="%")
    script = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    data, layout = _coloured(figure.data), _coloured(figure.layout)
    layout |= {"width": 720, "height": 420, "showlegend": False, "font": FONT, "plot_bgcolor": "#ffffff"}
    for note in layout["annotations"]:
        note["font"] = {**note.get("font", {}), "size": 12}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.add_script_tag(path=str(script))
        address = page.evaluate(
            "async ([data, layout]) => Plotly.toImage({data, layout}, {format: 'svg', width: 720, height: 420})",
            json.loads(json.dumps([data, layout])),
        )
        browser.close()
    from urllib.parse import unquote

    path.write_text(unquote(address.partition(",")[2]))


def _chromium() -> str | None:
    import shutil

    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def _coloured(part: Any) -> Any:
    """Roles become colours, with their opacity."""
    if isinstance(part, str) and part.startswith("role:"):
        name, _, opacity = part.removeprefix("role:").partition("/")
        colour = ROLES.get(name, "#6b7280")
        if not opacity:
            return colour
        return f"rgba({int(colour[1:3], 16)}, {int(colour[3:5], 16)}, {int(colour[5:7], 16)}, {opacity})"
    if isinstance(part, dict):
        return {k: _coloured(v) for k, v in part.items()}
    return [_coloured(v) for v in part] if isinstance(part, list) else part
