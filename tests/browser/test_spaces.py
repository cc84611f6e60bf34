"""The canvas, the gallery and the page of one architecture in a real Chromium, under the pages' policy."""

from __future__ import annotations

import json
import re

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from searches.models import Search, Space
from searches.services import lifecycle
from tests.factories import config_make

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
window.addEventListener("error", (e) => violations.push("error " + e.message));
window.addEventListener("unhandledrejection", (e) => violations.push("rejected " + e.reason));"""
SLOW = 20_000


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def open_page(live_server, browser, mira):
    """Pages of mira's browser by width; fails the test where the policy was violated or a script threw."""
    made = []

    def opened(width=1400):
        client = Client()
        client.force_login(mira)
        context = browser.new_context(viewport={"width": width, "height": 900}, base_url=live_server.url)
        cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
        context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
        context.add_init_script(WATCH)
        page = context.new_page()
        made.append((context, page))
        return page

    yield opened
    for context, page in made:
        page.wait_for_load_state("networkidle")
        assert page.evaluate("window.violations || []") == []
        context.close()


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def option(page, words):
    """A button of the drawing."""
    return page.locator("[data-outline-picture] button, [data-outline-picture] [role=button]").filter(
        has_text=re.compile(f"^{re.escape(words)}$")
    )


def test_form_drawing_and_yaml_are_one_state(open_page):
    page = open_page()
    page.goto("/spaces/new/?family=nasbench201&data=digits")
    expect(page.locator("#answer")).to_contain_text("15,625 architectures")
    # the drawing changes the form
    option(page, "none").first.click()
    expect(page.locator("#answer")).to_contain_text("12,500 architectures", timeout=SLOW)
    chip = page.locator("[data-chips] .restriction")
    expect(chip).to_have_count(1)
    expect(chip).to_contain_text("4 of 5")
    # the form changes the drawing
    chip.get_by_role("button").click()
    expect(page.locator("#answer")).to_contain_text("15,625 architectures", timeout=SLOW)
    expect(page.locator("[data-chips] .restriction")).to_have_count(0)
    # one decision by itself, by keyboard
    page.get_by_role("tab", name="Decisions one by one").focus()
    page.keyboard.press("Enter")
    slot = page.locator(".slot").first
    slot.get_by_role("checkbox").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#answer")).to_contain_text("12,500 architectures", timeout=SLOW)
    # what is pasted changes both
    page.get_by_role("tab", name="YAML").click()
    expect(page.locator("#yaml-text-shown")).to_contain_text("restrict")
    page.get_by_role("button", name="Paste or edit").click()
    page.locator("#yaml-text").fill("space: {name: layers, depth: [1, 2]}\ndata: {name: digits}")
    page.get_by_role("button", name="Use this").click()
    expect(page.locator("#f-space-name")).to_have_value("layers", timeout=SLOW)
    page.get_by_role("tab", name="Drawing").click()
    expect(page.locator("[data-outline-picture]")).to_contain_text("stem")
    page.get_by_role("tab", name="YAML").click()
    page.get_by_role("button", name="Paste or edit").click()
    page.locator("#yaml-text").fill("space: {name: layers, depth: [1000000]}")
    page.get_by_role("button", name="Use this").click()
    expect(page.locator("#yaml-error")).to_contain_text("at most 64", timeout=SLOW)


def test_costs_come_in_the_background_and_examples_are_paged(open_page):
    page = open_page()
    page.goto("/spaces/new/?family=layers&data=digits")
    expect(page.locator("#samples-words")).to_contain_text("320 sampled networks", timeout=60_000)
    for metric in ("n_params", "n_macs", "activation_bytes"):
        chart = page.locator(f"[data-cost={metric}]")
        chart.scroll_into_view_if_needed()
        expect(chart).to_have_attribute("data-state", "drawn", timeout=SLOW)
        assert chart.locator("svg .bars path").count() > 5
    first = page.locator("#example-words").inner_text()
    page.get_by_role("button", name="Next").click()
    expect(page.locator("#example-words")).to_contain_text("2: ", timeout=SLOW)
    assert page.locator("#example svg").count()
    page.get_by_role("button", name="Previous").click()
    expect(page.locator("#example-words")).to_have_text(first, timeout=SLOW)
    with page.expect_navigation():
        page.get_by_role("link", name="Look at it").click()
    expect(page.locator("#look-picture svg").first).to_be_visible()


def test_a_space_is_kept_changed_and_kept_again(open_page, mira):
    page = open_page()
    page.goto("/spaces/new/?family=layers&data=digits")
    page.locator("#f-name").fill("My <b>space</b>")
    page.locator(".page-acts [data-save]").click()
    page.wait_for_url(re.compile(r"/spaces/\d+/$"))
    space = Space.objects.get(owner=mira)
    assert space.name == "My <b>space</b>"
    save = page.locator(".page-acts [data-save]")
    expect(save).to_have_attribute("aria-disabled", "true")
    page.get_by_label("6", exact=True).first.uncheck()
    expect(save).not_to_have_attribute("aria-disabled", "true", timeout=SLOW)
    # what was changed and not saved is there after a reload
    page.reload()
    expect(page.locator("[data-kept]")).to_contain_text("changes kept", timeout=SLOW)
    expect(page.get_by_label("6", exact=True).first).not_to_be_checked()
    page.locator("#f-note").fill("shallower")
    save.click()
    expect(page.locator(".page-id summary").first).to_have_text("version 2", timeout=SLOW)
    assert [v.note for v in space.versions.order_by("number")] == ["", "shallower"]
    page.locator("[data-start-search]").first.click()
    page.wait_for_url(re.compile("/searches/new/"))
    expect(page.locator("#f-space-name")).to_have_value(f"saved:{space.versions.get(number=2).pk}")
    page.wait_for_load_state("networkidle")


def test_errors_stand_at_their_fields_and_nothing_is_kept(open_page):
    page = open_page()
    page.goto("/spaces/new/?family=darts&data=digits")
    field = page.locator("input[name='space.channels']")
    field.fill("1000000000")
    row = page.locator("[data-field='space.channels']")
    expect(row.locator(".error")).to_contain_text("at most", timeout=SLOW)
    expect(page.locator("#answer")).to_contain_text("One field needs you.")
    page.locator(".page-acts [data-save]").click(force=True)
    assert page.evaluate("document.activeElement.name") == "space.channels"
    assert not Space.objects.exists()


@pytest.mark.parametrize("url", ["/spaces/", "/spaces/new/?family=layers&data=digits",
                                 "/spaces/new/?family=darts&data=digits", "/architectures/?s=nasbench201"])  # fmt: skip
def test_nothing_scrolls_sideways_on_a_phone(open_page, url):
    page = open_page(390)
    page.goto(url)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_architecture_is_changed_by_hand_and_the_address_follows(open_page):
    page = open_page()
    page.goto("/architectures/?s=nasbench201&data=digits")
    picture = page.locator("#look-picture svg").first
    expect(picture).to_be_visible()
    before = page.locator("#look .answer").inner_text()
    select = page.locator("[data-decision]").first
    values = select.locator("option").evaluate_all("all => all.map((o) => o.value)")
    other = next(v for v in values if v != select.input_value())
    select.select_option(other)
    expect(page.locator("#look .answer")).not_to_have_text(before, timeout=SLOW)
    assert "a=" in page.url
    shown = page.locator("#look .answer").inner_text()
    page.goto(page.url)
    expect(page.locator("#look .answer")).to_have_text(shown)
    page.locator("#look-text").fill("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
    with page.expect_navigation():
        page.get_by_role("button", name="Show it").click()
    expect(page.locator("#look .answer")).to_contain_text("parameters")
    page.locator("#look-text").fill("nonsense")
    with page.expect_navigation():
        page.get_by_role("button", name="Show it").click()
    expect(page.locator(".notice-fail")).to_be_visible()


def test_a_trial_is_changed_by_hand_and_sent_back(open_page, mira):
    search = lifecycle.search_create(owner=mira, config=config_make(budget={"trials": 5, "epochs": 2}), start=True)
    from searches.services.advance import advance_search

    advance_search(search_id=search.pk)
    page = open_page()
    page.goto(f"/searches/{search.pk}/trials/1/")
    page.get_by_role("link", name="change by hand").click()
    expect(page.locator("#look")).to_contain_text("duplicate of #1")
    for i in range(page.locator("[data-decision]:not([disabled])").count()):
        select = page.locator("[data-decision]:not([disabled])").nth(i)
        values = select.locator("option").evaluate_all("all => all.map((o) => o.value)")
        select.select_option(next(v for v in values if v != select.input_value()))
        page.wait_for_load_state("networkidle")
        if page.get_by_role("button", name="Try it next").count():
            break
    page.get_by_role("button", name="Try it next").click()
    page.wait_for_url(re.compile(f"/searches/{search.pk}/trials/"))
    expect(page.locator("[role=status]").first).to_contain_text("is the next trial")
    entry = Search.objects.get(pk=search.pk).entries.order_by("-number").first().payload
    assert entry["edit"] == "propose" and entry["payload"]["parents"] == [1]
    assert json.dumps(entry["payload"]["choices"])
    lifecycle.search_cancel(search=search, by=mira)
