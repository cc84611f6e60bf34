"""A page that changes by itself, on a whole running stack (FAULTS.md, rows 4 and 13)."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Site

pytestmark = pytest.mark.browser

LIVE = "document.querySelector('.page-acts [data-live-indicator]').dataset.live === 'live'"


@pytest.fixture(scope="module")
def site():
    home = Path(tempfile.mkdtemp(prefix="nwl-"))
    made = Site(home, web=True)
    yield made
    made.close()
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def page(site, browser):
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    context.add_init_script(
        """window.wrong = []; window.drawn = {};
        addEventListener("securitypolicyviolation", (e) => wrong.push(e.violatedDirective + " " + e.blockedURI));
        addEventListener("error", (e) => wrong.push(e.message));
        addEventListener("chart:drawn", (e) => { drawn[e.target.id] = (drawn[e.target.id] || 0) + 1; });"""
    )
    page = context.new_page()
    page.goto(site.stack.login_url())
    yield page
    assert page.evaluate("window.wrong") == []
    context.close()


def expect(locator, timeout=20_000):
    from playwright.sync_api import expect

    expect.set_options(timeout=timeout)
    return expect(locator)


def until(page, expression, seconds=20):
    """Waits for a condition; Playwright's own wait would evaluate it inside the page, which the policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"waited {seconds} s in vain for {expression}"
        time.sleep(0.05)


def test_the_page_follows_a_search_to_its_end_without_being_asked(site, page):
    run = site.start(trials=6, epochs=8, acted={"epoch_s": 0.15})
    page.goto(f"http://127.0.0.1:{site.stack.port}/searches/{run.id}/")
    page.evaluate("window.stayed = true")  # gone if the page were loaded again
    expect(page.locator(".now").first).to_be_visible()
    until(page, LIVE)
    until(page, "(window.drawn['best-chart'] || 0) >= 2")
    expect(page.locator("h1 + span")).to_contain_text("completed", timeout=60_000)
    look = run.ended()
    best = next(t for t in look["trials"] if t["number"] == look["best"])
    expect(page.locator(".answer")).to_contain_text(f"{100 * best['accuracy']:.1f} %")
    expect(page.locator(".page-head .facts")).to_contain_text("6 of 6 trials ended")
    expect(page).to_have_title(f"6/6 {page.locator('h1').text_content()}")
    assert page.locator("#ticks i[data-state=completed]").count() == 6
    assert page.evaluate("window.stayed") is True


def test_rows_are_not_moved_while_they_are_read(site, page):
    run = site.start(trials=6, epochs=8, acted={"epoch_s": 0.2})
    run.until(lambda look: len(look["trials"]) >= 2, "two trials have begun")
    page.goto(f"http://127.0.0.1:{site.stack.port}/searches/{run.id}/trials/")
    rows = "[...document.querySelectorAll('#trial-table tr[data-id]')].map((e) => e.dataset.id).join()"
    before = page.evaluate(rows)
    expect(page.locator("#new-chip")).to_contain_text("new", timeout=30_000)
    assert page.evaluate(rows) == before
    run.ended()
    first = before.split(",")[0]
    expect(page.locator(f'tr[data-id="{first}"] .state')).to_contain_text("done")  # changed in place
    page.locator("#new-chip").click()
    expect(page.locator("#trial-table tr[data-id]")).to_have_count(6)


def test_a_killed_web_server_leaves_a_page_that_comes_back_to_the_truth(site, page):
    run = site.start(trials=30, epochs=8, acted={"epoch_s": 0.08})
    page.goto(f"http://127.0.0.1:{site.stack.port}/searches/{run.id}/")
    until(page, LIVE)
    page.evaluate("window.stayed = true")
    site.stack.kill("web")
    began = time.monotonic()
    until(page, f"!({LIVE})")  # it says so
    until(page, LIVE, seconds=20)
    assert time.monotonic() - began < 15
    assert page.evaluate("window.stayed") is True
    run.act("cancel")
    look = run.ended()
    ended = len([t for t in look["trials"] if t["state"] in ("completed", "pruned", "failed", "cancelled")])
    expect(page.locator(".page-head .facts")).to_contain_text(f"{ended} of 30 trials ended")
    expect(page.locator("h1 + span")).to_contain_text("stopped")


def test_offline_is_said_and_caught_up_with(site, page):
    run = site.start(trials=8, epochs=8, acted={"epoch_s": 0.1})
    page.goto(f"http://127.0.0.1:{site.stack.port}/searches/{run.id}/")
    until(page, LIVE)
    page.context.set_offline(True)
    until(page, "document.querySelector('.page-acts [data-live-indicator]').textContent.includes('offline')")
    look = run.ended()
    page.context.set_offline(False)
    expect(page.locator(".page-head .facts")).to_contain_text(f"{len(look['trials'])} of 8 trials ended")
    expect(page.locator("h1 + span")).to_contain_text("completed")
