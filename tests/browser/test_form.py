"""The form and the list in a real Chromium, under the pages' policy."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from searches.models import Search, Worker

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

WATCH = """window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
window.addEventListener("error", (e) => violations.push("error " + e.message));"""


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


@pytest.fixture
def page(live_server, browser, mira):
    """A page of mira's browser; fails the test where the policy was violated or a script threw."""
    client = Client()
    client.force_login(mira)
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=live_server.url)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
    context.add_init_script(WATCH)
    page = context.new_page()
    yield page
    assert page.evaluate("window.violations || []") == []
    context.close()


def expect(locator):
    from playwright.sync_api import expect

    return expect(locator)


def wait_for_queries(page):
    """Until the form's own questions are answered, so that the database can be emptied."""
    page.wait_for_load_state("networkidle")


def test_a_limit_that_cannot_be_met_is_said_at_once_and_start_waits_for_it(page):
    page.goto("/searches/new/")
    expect(page.locator("#answer")).to_contain_text("30 trials")
    expect(page.locator("[data-outline-picture] svg")).to_be_visible()
    field = page.locator("#f-limits-n_macs")
    field.fill("0.05")
    row = page.locator("[data-field='limits.n_macs']")
    expect(row.locator(".error")).to_contain_text("66,976", timeout=15_000)
    assert field.get_attribute("aria-invalid") == "true"
    assert page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text().startswith("No network")
    expect(page.locator("#answer")).to_contain_text("One field needs you.")
    page.locator("#f-name").focus()
    page.locator("#start").click(force=True)
    assert page.evaluate("document.activeElement.id") == "f-limits-n_macs"
    assert Search.objects.count() == 0
    field.fill("0.5")
    expect(row.locator(".error")).to_have_count(0, timeout=15_000)
    expect(page.locator("#start")).not_to_have_attribute("aria-disabled", "true")
    wait_for_queries(page)


def test_options_follow_the_space_and_open_folds_stay_open(page):
    page.goto("/searches/new/")
    page.locator("#fold-budget summary").click()
    page.locator("#f-budget-minutes").fill("7")
    page.locator("#f-space-name").select_option("nasbench201")
    expect(page.locator("#f-space-cells")).to_be_visible(timeout=15_000)
    expect(page.locator("#f-space-depth")).to_have_count(0)
    expect(page.locator("#f-budget-minutes")).to_be_visible()
    assert page.locator("#f-budget-minutes").input_value() == "7"
    expect(page.locator("#what")).to_contain_text("15,625 architectures")
    wait_for_queries(page)


def test_the_line_under_the_schedule_follows_the_epochs_without_taking_the_focus(page):
    page.goto("/searches/new/")
    line = page.locator("[data-field='schedule.name'] .help")
    expect(line).to_contain_text("25 epochs")
    page.locator("[data-fold='fold-goal']").click()
    field = page.locator("[id='f-budget-epochs']")
    field.fill("8")
    expect(line).to_contain_text("8 epochs")
    expect(field).to_be_focused()
    assert page.locator("#fold-goal").get_attribute("open") is not None
    wait_for_queries(page)


def test_a_change_of_the_space_is_not_lost_behind_a_slow_answer(page):
    held = []
    page.route("**/summary/", lambda route: route.continue_() if held else held.append(route))
    with page.expect_request("**/summary/"):  # the page's own first question, kept waiting
        page.goto("/searches/new/")
    page.locator("#f-space-name").select_option("nasbench201")
    page.locator("#f-name").fill("asked while the other one waits")
    page.wait_for_timeout(600)  # longer than the form waits for typing to end
    held[0].continue_()
    expect(page.locator("#f-space-cells")).to_be_visible(timeout=15_000)
    expect(page.locator("#what")).to_contain_text("15,625 architectures")
    wait_for_queries(page)


def test_a_method_is_found_behind_all_methods_by_keyboard_and_says_when_to_take_it(page):
    page.goto("/searches/new/")
    page.locator("#all-methods > summary").click()
    page.locator("[data-find-method]").fill("climb savani")  # words of its summary and of its paper
    expect(page.locator(".methods-list .method:visible")).to_have_count(1)
    page.locator("#f-strategy-name-local_search").focus()
    page.keyboard.press("Space")
    expect(page.locator("#all-methods > summary")).to_contain_text("local search", timeout=15_000)
    expect(page.locator("#f-strategy-name-local_search")).to_be_focused()
    expect(page.locator("#f-strategy-name-local_search-about")).to_be_visible()
    expect(page.locator("[data-find-method]")).to_have_value("climb savani")
    expect(page.locator(".methods-list .method:visible")).to_have_count(1)
    page.locator("#all-methods > summary").click()
    expect(page.locator(".method-chosen")).to_contain_text("White, Nolen and Savani")
    wait_for_queries(page)


def test_yaml_is_pasted_and_a_double_click_makes_one_search(page):
    page.goto("/searches/new/")
    wait_for_queries(page)  # the summary's answer moves what is clicked
    page.locator("#tab-yaml").click()
    expect(page.locator("#yaml-view")).to_contain_text("name: layers")
    page.locator("[data-yaml-edit]").click()
    page.locator("#yaml-text").fill("name: [broken")
    page.locator("[data-yaml-use]").click()
    expect(page.locator("#yaml-error")).to_contain_text("not YAML")
    page.locator("#yaml-text").fill("name: Pasted\nbudget: {trials: 4, epochs: 2}\n")
    page.locator("[data-yaml-use]").click()
    expect(page.locator("#f-name")).to_have_value("Pasted", timeout=15_000)
    expect(page.locator("#f-budget-trials")).to_have_value("4")
    wait_for_queries(page)
    page.locator("#start").dblclick()
    page.wait_for_url(re.compile(r"/searches/\d+/$"))
    assert [(s.name, s.state) for s in Search.objects.all()] == [("Pasted", "queued")]
    page.go_back()
    wait_for_queries(page)


def test_what_was_typed_survives_a_reload_and_enter_starts_nothing(page):
    page.goto("/searches/new/")
    page.locator("#f-name").fill("Typed")
    page.keyboard.press("Enter")
    expect(page.locator("#yaml-view")).to_contain_text("Typed", timeout=15_000)
    page.reload()
    expect(page.locator("#f-name")).to_have_value("Typed")
    assert Search.objects.count() == 0
    wait_for_queries(page)


def test_the_list_changes_in_place_and_the_bar_says_what_is_freed(page, mira):
    now = timezone.now()
    Worker.objects.create(name="cpu-1", slots=1, joined_at=now, seen_at=now + timedelta(hours=1))
    config = {"data": {"name": "digits"}, "space": {"name": "layers"}, "budget": {"trials": 10, "epochs": 2}}
    first = Search.objects.create(owner=mira, name="<b>First</b>", config=config, state="queued")
    page.goto("/")
    row = page.locator(f"tr[data-id='{first.pk}']")
    expect(row.locator("[data-cell=state]")).to_contain_text("queued")
    assert row.locator(".name-link").inner_text() == "<b>First</b>"
    row.locator("[data-choose]").check()
    expect(page.locator("[data-selection]")).to_contain_text("1 chosen")
    Search.objects.filter(pk=first.pk).update(state="running", running_since=now, n_trials=3, n_completed=3)
    Search.objects.create(owner=mira, name="Second", config=config, state="queued")
    expect(row.locator("[data-cell=state]")).to_contain_text("running", timeout=10_000)
    expect(row.locator("[data-cell=trials]")).to_contain_text("3 of 10")
    expect(page.locator("[data-new-chip]")).to_have_text("1 new")  # nothing moved under the hand
    assert page.locator("tr[data-id]").count() == 1
    assert row.locator("[data-choose]").is_checked()
    row.locator("[data-menu] summary").click()
    row.get_by_role("button", name="Rename").click()
    page.locator("#rename-name").fill("Better")
    page.locator("#rename-dialog .btn-primary").click()
    expect(page.locator(f"tr[data-id='{first.pk}'] .name-link")).to_have_text("Better")
    assert page.evaluate("window.violations") == []
    page.goto("about:blank")  # it asks every few seconds, and the database is emptied now
