"""The arena in a real Chromium, under the pages' policy: the form follows the problem, a race is watched to its end."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client

from searches.services import race_pieces, racing
from tests.browser.test_spaces import SLOW, WATCH, expect

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def open_page(live_server, browser, mira, monkeypatch):
    for module in (race_pieces, racing):
        monkeypatch.setattr(module, "race_enqueue", lambda race_id, claim: True)
    made = []

    def opened(width):
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


def test_another_problem_keeps_what_was_typed(open_page):
    page = open_page(1400)
    page.goto("/arena/new/")
    page.fill("#f-budget", "33")
    page.check("input[value=grid]")
    expect(page.locator("[data-total]")).to_contain_text("queries in all")
    page.select_option("#f-problem", "synthetic:cell-noisy")
    page.wait_for_url("**problem=synthetic%3Acell-noisy**")
    expect(page.locator("#f-budget")).to_have_value("33")
    expect(page.locator("input[value=grid]")).to_be_checked()


@pytest.mark.parametrize("width", [1400, 390])
def test_a_race_is_watched_to_its_end(open_page, mira, width):
    race = racing.race_create(
        owner=mira, name="Watched", problem={"synthetic": "cell-additive", "limit": ""},
        entrants=["random", "local_search"], budget=20, seeds=6,
    )  # fmt: skip
    page = open_page(width)
    page.goto(f"/arena/{race.pk}/")
    expect(page.locator(".answer")).to_contain_text("Nothing has finished yet")
    race_pieces.race_piece(race_id=race.pk, claim=0, seconds=60)
    expect(page.locator(".answer")).to_contain_text("leads", timeout=SLOW)
    expect(page.locator("[data-race-live]")).to_have_text("ended") if width > 720 else None
    expect(page.locator("#by-queries[data-state=drawn] .plot path.js-line").first).to_be_attached(timeout=SLOW)
    expect(page.locator(".standing-table tbody tr")).to_have_count(2)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
