"""The search page, a trial's page and the comparison in a real Chromium, under the pages' policy."""

from __future__ import annotations

import io
import json
import re

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from PIL import Image

from benchmarks._seed import seed_search
from engine.strategies._views import bars, heat, lines, scatter, tree, view
from searches.models import Job, Trial

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
window.addEventListener("error", (e) => violations.push("error " + e.message));
window.addEventListener("unhandledrejection", (e) => violations.push("rejection " + e.reason));"""
#: one view of each kind; cells are drawn into an image, which the policy has to let through
BELIEFS = {
    "foretold": view(
        "Foretold", ["trial", "guess", "accuracy"], [[i, 0.9 + i / 99, 0.9 + i / 90] for i in range(1, 9)],
        chart=scatter("guess", "accuracy", label="trial", diagonal=True),
    ),
    "shares": view(
        "Shares", ["trial", "by", "share"], [[t, by, t / 20] for t in range(9) for by in "ab"],
        chart=lines("trial", "share", series="by"),
    ),
    "odds": view(
        "Odds", ["trial", "choice", "p"], [[t, f"edge {e}: skip", t * e / 40] for t in range(9) for e in (1, 4)],
        chart=heat("trial", "choice", "p"),
    ),
    "best": view("Best", ["net", "EI"], [[f"d{i} conv", i / 9] for i in range(9)], chart=bars("net", "EI")),
    "family": view(
        "Family", ["trial", "parent"], [[i, i // 2 or None] for i in range(1, 9)], chart=tree("trial", "parent")
    ),
}  # fmt: skip
PAGES = {
    "overview": "/searches/{id}/",
    "trials": "/searches/{id}/trials/",
    "insight": "/searches/{id}/insight/",
    "trial": "/searches/{id}/trials/{best}/",
    "compare": "/compare/?t={id}.{best}&t={id}.{other}&t={id}.{third}",
}


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def search(mira):
    """An ended search: its page asks for no socket, which this test's server has not."""
    made = seed_search(owner=mira, n_trials=30, n_epochs=20, running=0, final=True)
    made.views = BELIEFS
    made.save()
    return made


@pytest.fixture
def paths(search):
    done = search.trials.filter(state=Trial.State.COMPLETED).exclude(pk=search.best_id)
    other, third = done.values_list("number", flat=True)[:2]
    return {k: v.format(id=search.pk, best=search.best.number, other=other, third=third) for k, v in PAGES.items()}


@pytest.fixture
def opened(live_server, browser, mira):
    """Opens pages of mira's browser; the test fails where the policy was violated, a script threw or complained."""
    client = Client()
    client.force_login(mira)
    contexts, wrong = [], []

    def open_page(width=1400, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, base_url=live_server.url, color_scheme=scheme
        )
        contexts.append(context)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda e: wrong.append(str(e)))
        return page

    yield open_page
    for context in contexts:
        for page in context.pages:
            wrong += page.evaluate("window.violations || []")
            page.wait_for_load_state("networkidle")
        context.close()
    assert wrong == []


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def draw_all(page):
    """Scrolls every chart into view and waits until it is drawn; their ids."""
    found = page.locator("[data-figure]")
    for i in range(found.count()):
        found.nth(i).scroll_into_view_if_needed()
        expect(found.nth(i)).to_have_attribute("data-state", "drawn", timeout=20_000)
    return page.evaluate("[...document.querySelectorAll('[data-figure]')].map((e) => e.id)")


def colours(locator):
    """How many colours a part of the page has: a blank one has one or two."""
    image = Image.open(io.BytesIO(locator.screenshot())).convert("RGB")
    return len(image.getcolors(1 << 20) or [])


@pytest.mark.parametrize("name", PAGES)
def test_every_chart_is_drawn_and_no_page_is_wider_than_the_screen(opened, paths, name):
    page = opened()
    page.goto(paths[name])
    charts = draw_all(page)
    assert charts
    for id in charts:
        plot = page.locator(f"#{id} .plot")
        assert colours(plot) > 20, id
        assert plot.get_attribute("aria-label")
        page.locator(f"#{id} details.as-table > summary").click()
        expect(page.locator(f"#{id} details.as-table tbody tr").first).to_be_visible()
    for width in (900, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.reload()
        draw_all(page)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, width
    if name in ("overview", "trials", "insight"):
        bar = page.locator(".bottom-bar")
        expect(bar.get_by_role("button", name="Log", exact=True)).to_be_visible()
        expect(bar.locator("summary", has_text="More")).to_be_visible()
        expect(bar.locator(".btn-primary")).to_be_visible()


def test_a_job_that_takes_up_a_trial_again_keeps_the_epochs_it_had(opened, mira):
    search = seed_search(owner=mira, n_trials=6, n_epochs=20, running=1)
    job = search.jobs.get(state=Job.State.RUNNING)
    data = {"job": job.pk, "trial": job.trial.number, "kind": "train", "worker": job.worker, "phase": "data"}
    page = opened()
    page.route_web_socket(
        "**/ws/**",
        lambda ws: ws.send(json.dumps({"type": "event", "seq": search.seq + 1, "kind": "progress", "data": data})),
    )
    page.goto(f"/searches/{search.pk}/")
    row = page.locator(f".now[data-job='{job.pk}']")
    expect(row.locator("[data-phase]")).to_have_text("data")
    expect(row.locator("[data-epoch]")).to_have_text(f"{job.progress['epoch']} of {job.progress['epochs']}")


def test_tabs_filters_and_back_keep_the_address(opened, paths, search):
    page = opened()
    page.goto(paths["overview"])
    page.get_by_role("navigation", name="Views of this search").get_by_role("link", name="Trials").click()
    page.wait_for_url(f"**/searches/{search.pk}/trials/")
    page.locator(".chips a", has_text="stopped early").click()
    page.wait_for_url("**state=stopped**")
    rows = page.locator("#trial-table tr[data-id]")
    expect(rows).to_have_count(search.n_pruned)
    page.go_back()
    expect(rows).to_have_count(30)
    assert "state=" not in page.url
    page.locator("th a", has_text="parameters").click()
    page.wait_for_url("**sort=-params**")
    page.go_back()
    page.go_back()
    assert page.url.endswith(f"/searches/{search.pk}/")


def test_typing_filters_the_rows_and_stands_in_the_address(opened, paths):
    page = opened()
    page.goto(paths["trials"])
    page.locator("#q").press_sequentially("#12")
    page.wait_for_url("**q=%2312**")
    expect(page.locator('#trial-table tr[data-id="12"]')).to_be_visible()
    shown = page.locator("#trial-table tr[data-id]").count()
    page.reload()
    expect(page.locator("#q")).to_have_value("#12")
    expect(page.locator("#trial-table tr[data-id]")).to_have_count(shown)


def test_choosing_trials_is_in_the_address_and_in_the_chart(opened, paths, search):
    page = opened()
    page.goto(paths["trials"])
    draw_all(page)
    rows = page.locator("#trial-table tr[data-id]")
    second, first = (rows.nth(i).get_attribute("data-id") for i in (1, 0))

    def coloured():
        return page.evaluate(
            """[...document.querySelectorAll("#curves-chart .annotation-text")].map((e) => e.textContent)"""
        )

    for number in (second, first):
        page.locator(f'tr[data-id="{number}"] [data-choose]').check()
    page.wait_for_url(f"**t={second}%2C{first}**")
    expect(page.locator("#selection")).to_contain_text("2 chosen")
    page.wait_for_function("() => document.querySelectorAll('#curves-chart .annotation-text').length === 2")
    assert [text.split(" ")[0] for text in coloured()] == [f"#{second}", f"#{first}"]

    page.locator(".chips a", has_text="done").click()  # the choice outlives a filter, a reload, and keeps its order
    page.wait_for_url("**state=done**")
    page.reload()
    expect(page.locator("[data-chosen-names]")).to_contain_text(re.compile(f"#{second} .*#{first} "))
    page.locator("[data-compare]").click()
    page.wait_for_url(f"**/compare/?t={search.pk}.{second}&t={search.pk}.{first}")
    expect(page.locator("h1")).to_contain_text("Compare 2 trials")


def test_the_theme_switch_redraws_charts(opened, paths):
    page = opened()
    page.goto(paths["overview"])
    draw_all(page)
    page.evaluate("scrollTo(0, 0)")
    read = "getComputedStyle(document.querySelector('#best-chart .js-line')).stroke"
    before = page.evaluate(read)
    page.locator("[data-theme-switch]").click()
    page.wait_for_function(f"(before) => {read} !== before", arg=before)
    page.reload()
    draw_all(page)
    assert page.evaluate(read) != before  # the choice is kept


def test_outliers_come_in_by_their_chip_and_stay_in_the_address(opened, paths):
    page = opened()
    page.goto(paths["overview"])
    draw_all(page)
    chip = page.locator("[data-range-of=best-chart]")
    expect(chip).to_contain_text("below")
    chip.click()
    expect(chip).to_have_text("all shown")
    assert "whole=best-chart" in page.url
    page.reload()
    expect(page.locator("[data-range-of=best-chart]")).to_have_text("all shown")


def test_narrow_charts_shorten_their_labels_and_wide_ones_do_not(opened, paths, search):
    for width, short in ((1400, False), (390, True)):
        page = opened(width)
        page.goto(paths["trials"] + f"?t={search.best.number}")
        draw_all(page)
        label = page.locator("#curves-chart .annotation-text").text_content()
        assert label == f"#{search.best.number}" if short else label == str(search.best)


def test_the_log_opens_with_its_lines(opened, paths):
    page = opened()
    page.goto(paths["overview"])
    page.locator(".page-acts").get_by_role("button", name="Log", exact=True).click()
    expect(page.locator("#log-drawer .event").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#log-drawer")).to_be_hidden()


def test_the_network_four_ways(opened, paths):
    page = opened()
    page.goto(paths["trial"])
    expect(page.locator("[data-picture] svg")).to_be_visible()
    page.get_by_role("tab", name="list").click()
    expect(page.locator("[data-shown=list] tbody tr").first).to_be_visible()
    page.get_by_role("tab", name="model.py").click()
    expect(page.locator("[data-shown=source]")).to_contain_text("class Network")
    assert "network=source" in page.url
    page.reload()
    expect(page.locator("[data-shown=source]")).to_contain_text("class Network")


def test_names_of_people_are_text_everywhere(opened, paths, search):
    evil = '<img src=x onerror="window.pwned=1"><b>x'
    search.trials.update(name=evil[:80], why=evil, reason=evil)
    search.name = evil
    search.save()
    page = opened()
    for path in paths.values():
        page.goto(path)
        draw_all(page)
        assert page.evaluate("window.pwned") is None
        assert page.locator("img[src=x]").count() == 0
