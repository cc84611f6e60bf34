"""The Supernet tab in a real Chromium: scrubbing by keyboard and hand, live epochs, the phone, the policy."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib.auth import get_user_model

from benchmarks._seed_supernet import seed_supernet
from searches.models import Job, Subnet, SupernetEpoch, Trial
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
    facts = page.locator("[data-part=facts]")
    expect(words).to_have_text("epoch 20 of 30")
    expect(facts).to_contain_text("about 2:02 left for the supernet")
    epoch(21)
    expect(facts).to_contain_text("about 1:52 left for the supernet")
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


def listening(page, search):
    """Opens the tab; with what this returns the page is told of an event."""
    sockets = []
    page.route_web_socket("**/ws/**", lambda ws: sockets.append(ws))
    page.goto(f"/searches/{search.pk}/supernet/")
    page.evaluate("window.notReloaded = true")
    page.wait_for_function("() => document.querySelector('[data-live-indicator]').dataset.live === 'live'")

    def tell(kind, data):
        search.seq += 1
        search.save()
        sockets[-1].send(json.dumps({"type": "event", "seq": search.seq, "kind": kind, "data": data}))

    return tell


def test_new_subnets_wait_behind_a_chip_that_shows_them_without_a_reload(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, method="spos", epochs=6, scores=20, stage="score")
    job = search.jobs.get(kind=Job.Kind.SCORE)
    page = opened()
    tell = listening(page, search)
    first, chip = page.locator("#subnet-table tbody tr").first, page.locator("#new-subnets")
    before = first.inner_text()
    Subnet.objects.create(
        search=search, job=job, supernet=1, piece=3, position=1, name="the new one", key="k",
        architecture=search.subnets.first().architecture, n_params=1, n_macs=1, accuracy=0.99, loss=0.1,
    )  # fmt: skip
    tell("subnets", {"piece": 3, "n": 1})
    expect(chip).to_have_text("1 new")
    assert first.inner_text() == before, "no row moves by itself"
    page.evaluate("""() => {
        const real = window.fetch;
        window.fetch = (url, ...rest) => {
            if (!String(url).includes("rows=")) return real(url, ...rest);
            window.fetch = real;
            return Promise.reject(new Error("the network is away"));
        };
    }""")
    chip.click()
    expect(page.locator("#toasts")).to_contain_text("The new subnets could not be loaded: the network is away")
    expect(chip).to_have_text("1 new")
    chip.click()
    expect(first).to_contain_text("the new one")
    expect(chip).to_be_hidden()
    expect(page.locator("#subnet-part")).to_contain_text("of 11")
    assert page.evaluate("window.notReloaded && document.activeElement.id") == "subnet-part"
    assert page.url.endswith("/supernet/")


def test_a_row_says_that_it_is_trained_alone_where_it_stands(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, method="spos", epochs=6, scores=20, stage="score")
    page = opened()
    tell = listening(page, search)
    rows = page.locator("#subnet-table tbody tr")
    names = rows.locator("[data-at=name]").all_inner_texts()
    third = search.subnets.order_by("-accuracy")[2]
    Trial.objects.create(
        search=search, number=1, name=third.name, state=Trial.State.WAITING, architecture=third.architecture,
        key=third.key, by="spos",
    )  # fmt: skip
    tell("trial", {"number": 1, "state": "waiting"})
    expect(rows.nth(2).locator("[data-cell=alone]")).to_have_text("#1")
    assert rows.locator("[data-at=name]").all_inner_texts() == names
    assert page.evaluate("window.notReloaded")


def test_the_first_subnets_come_by_themselves(opened, mira):  # noqa: F811
    search = seed_supernet(owner=mira, method="spos", epochs=6, scores=20, stage="score")
    kept = list(search.subnets.all())
    search.subnets.all().delete()
    page = opened()
    tell = listening(page, search)
    expect(page.locator("#subnet-part tr")).to_have_count(0)
    Subnet.objects.bulk_create(kept)
    tell("subnets", {"piece": 2, "n": len(kept)})
    expect(page.locator("#subnet-table tbody tr")).to_have_count(len(kept))
    expect(page.locator("#new-subnets")).to_be_hidden()


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
