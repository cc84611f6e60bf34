"""The Supernet tab in a real Chromium: scrubbing by keyboard and hand, live epochs, the phone, the policy."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth import get_user_model

from benchmarks._seed_supernet import seed_supernet
from searches.models import Job, SupernetEpoch
from tests.browser.test_search_page import draw_all, expect, opened  # noqa: F401 - a fixture

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def mira():
    return get_user_model().objects.create_user("mira")


def field(page):
    """Probabilities that are drawn, row by row."""
    return page.evaluate("document.querySelector('#alphas-chart .plot').data[0].z")


def frame(page, epoch):
    """Probabilities of an epoch as they were sent."""
    return page.evaluate(
        """async (epoch) => (await (await fetch(document.querySelector("#alphas-chart").dataset.base)).json())
           .notes.frames.find((f) => f.epoch === epoch).z""",
        epoch,
    )


def test_scrubbing_by_keyboard_changes_field_drawing_and_address(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, epochs=12, skips=True)
    page = opened()
    page.goto(f"/searches/{search.pk}/supernet/")
    draw_all(page)
    slider = page.locator("#epoch")
    assert field(page) == frame(page, 12) and "epoch=" not in page.url
    slider.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-epoch-words]")).to_have_text("epoch 8 of 12")
    expect(slider).to_have_attribute("aria-valuetext", "epoch 8 of 12")
    expect(page.locator("[data-derived-title]")).to_have_text("What it would hand over after epoch 8")
    page.wait_for_url("**epoch=8**")
    wanted = frame(page, 8)
    page.wait_for_function(
        "(z) => JSON.stringify(document.querySelector('#alphas-chart .plot').data[0].z) === JSON.stringify(z)",
        arg=wanted,
    )
    expect(page.locator("#derived-picture svg").first).to_be_visible()
    assert "epoch 8" in page.locator("#alphas-chart .chart-summary").text_content()
    page.reload()  # the address shows a colleague the same thing
    draw_all(page)
    expect(slider).to_have_value("8")
    assert field(page) == wanted
    page.locator("[data-newest]").click()
    expect(page.locator("[data-epoch-words]")).to_have_text("epoch 12 of 12")
    page.wait_for_function("() => !location.search.includes('epoch=')")


def test_play_runs_to_the_end_and_stops(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, epochs=6)
    page = opened()
    page.goto(f"/searches/{search.pk}/supernet/?epoch=3")
    draw_all(page)
    button = page.locator("[data-play]")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(page.locator("[data-epoch-words]")).to_have_text("epoch 6 of 6", timeout=10_000)
    expect(button).to_have_attribute("aria-pressed", "false")


def test_the_history_of_an_option_follows_a_choice_and_a_click(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, epochs=6)
    page = opened()
    page.goto(f"/searches/{search.pk}/supernet/")
    draw_all(page)
    words = page.locator("[data-cell-words]")
    page.locator("#cell").select_option(label="edge 1→2: conv 3×3")
    expect(words).to_contain_text("edge 1→2: conv 3×3, 0.")
    expect(page.locator("[data-cell-curve] svg")).to_be_visible()
    cells = page.locator("#alphas-chart .heatmaplayer image")
    cells.evaluate("(node) => node.scrollIntoView({block: 'center'})")
    box = cells.bounding_box()
    first = (box["x"] + 0.1 * box["width"], box["y"] + 0.08 * box["height"])
    page.mouse.move(*first)
    expect(words).to_contain_text("edge 0→1: none")
    page.mouse.click(*first)
    expect(page.locator("#cell")).to_have_value("0,0")


@pytest.mark.parametrize(("method", "widths"), [("darts", (900, 390)), ("spos", (390,))])
def test_the_tab_fits_at_every_width(opened, mira, method, widths):  # noqa: F811
    search = seed_supernet(owner=mira, method=method, epochs=20, scores=40, skips=True)
    for width in widths:
        page = opened(width)
        page.goto(f"/searches/{search.pk}/supernet/")
        draw_all(page)
        assert (page.locator("#alarm .acts a").count() > 2) == (method == "darts")  # a row that has to wrap
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert over <= 0, width


def test_a_new_epoch_moves_the_newest_and_leaves_a_chosen_one(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, epochs=30, stage="supernet")
    job = search.jobs.get(kind=Job.Kind.SUPERNET)
    sockets = []
    page = opened()
    page.route_web_socket("**/ws/**", lambda ws: sockets.append(ws))
    page.goto(f"/searches/{search.pk}/supernet/")
    for name in ("supernet-loss", "alphas-chart"):
        expect(page.locator(f"#{name}")).to_have_attribute("data-state", "drawn", timeout=20_000)

    def epoch(number):
        row = SupernetEpoch.objects.get(job=job, epoch=20).row
        SupernetEpoch.objects.create(job=job, epoch=number, row={**row, "epoch": number})
        search.seq += 1
        search.save()
        event = {"type": "event", "seq": search.seq, "kind": "supernet", "data": {"job": job.pk, "epoch": number}}
        sockets[-1].send(json.dumps(event))

    words = page.locator("[data-epoch-words]")
    expect(words).to_have_text("epoch 20 of 30")
    epoch(21)
    expect(words).to_have_text("epoch 21 of 30")
    expect(page.locator("[data-part=supernet_now] h2")).to_contain_text("epoch 21 of 30")
    expect(page.locator("#epoch")).to_have_attribute("max", "21")
    page.wait_for_function("() => document.querySelector('#supernet-loss .plot').data[0].x.at(-1) === 21")
    page.locator("#epoch").focus()
    page.keyboard.press("Home")
    expect(words).to_have_text("epoch 1 of 30")
    epoch(22)
    expect(page.locator("#epoch")).to_have_attribute("max", "22")
    expect(words).to_have_text("epoch 1 of 30")


def test_scored_subnets_wait_behind_a_chip(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, method="spos", epochs=6, stage="score")
    page = opened()
    page.route_web_socket(
        "**/ws/**",
        lambda ws: ws.send(
            json.dumps({"type": "event", "seq": search.seq + 1, "kind": "subnets", "data": {"piece": 3, "n": 12}})
        ),
    )
    page.goto(f"/searches/{search.pk}/supernet/")
    expect(page.locator("#new-subnets")).to_have_text("12 new")


def test_the_supernet_is_ended_only_after_a_question(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, epochs=12, stage="supernet")
    page = opened()
    page.route_web_socket("**/ws/**", lambda ws: None)
    page.goto(f"/searches/{search.pk}/supernet/")
    page.get_by_role("button", name="Stop training here and go on").click()
    page.get_by_role("button", name="Leave it").click()
    assert search.jobs.get(kind=Job.Kind.SUPERNET).order == ""
    page.get_by_role("button", name="Stop training here and go on").click()
    page.get_by_role("button", name="Stop and go on", exact=True).click()
    expect(page.locator("[data-part=supernet_now]")).to_contain_text(re.compile("ends after this epoch"))
    assert page.url.endswith("/supernet/") and search.jobs.get(kind=Job.Kind.SUPERNET).order == "enough"
