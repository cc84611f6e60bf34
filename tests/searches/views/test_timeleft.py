"""How long a weight-sharing search still takes, on its pages and in the list."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from searches.models import Job, Search, SupernetEpoch
from searches.selectors import listing
from searches.selectors.overview import config_of, standing
from tests.searches.views.supernet_page import address, parts, text_of

pytestmark = pytest.mark.django_db


def test_the_time_of_the_supernet_is_no_measure_of_the_trials(sharing):
    search = sharing(stage="trials", pairs=4)
    left = standing(search, config_of(search), timezone.now()).left_s
    first = search.trials.earliest("started_at").started_at
    spent = (timezone.now() - first).total_seconds()
    assert left == pytest.approx(spent / search.n_completed * (8 - search.n_completed), rel=0.05)
    (row,) = listing.listing(user=search.owner, view=listing.View()).rows
    assert row.left_s == pytest.approx(left, rel=0.05)


def test_the_list_of_searches_says_how_long_a_supernet_still_takes(page, sharing, worker):
    search = sharing(stage="supernet")
    paced(search, [10, 10], progress={})
    assert "left for the supernet" in text_of(page.get(reverse("searches:list")).content.decode())


def paced(search, seconds, **job):
    """The supernet's epochs have taken so long, and its job is as told."""
    SupernetEpoch.objects.filter(job__search=search).delete()
    row = search.jobs.get(kind=Job.Kind.SUPERNET)
    for e, duration in enumerate(seconds, start=1):
        told = {"epoch": e, "train_loss": 1.0, "accuracy": 0.5} | ({} if duration is None else {"duration_s": duration})
        SupernetEpoch.objects.create(job=row, epoch=e, row=told)
    search.jobs.update(**{"progress": {}, **job})
    return row


def supernet_left(search):
    return standing(Search.objects.get(pk=search.pk), config_of(search), timezone.now()).supernet_left


@pytest.mark.parametrize(
    ("seconds", "job", "left"),
    [
        ([], {}, ""),  # nothing is measured before the first epoch is over
        ([30.0], {}, "5:30"),  # 11 of 12 are left
        ([30.0, 10.0, 20.0], {}, "3:00"),  # the median of them
        ([900.0, 900.0, 10.0, 11.0, 12.0, 13.0, 14.0], {}, "1:00"),  # of the last five: 5 x 12 s
        ([None, None, 10.0], {}, "1:30"),  # rows of an earlier version have no duration
        ([None, None], {}, ""),
        ([10.0] * 11, {}, "0:10"),
        ([10.0] * 12, {}, ""),  # its weights are being stored
        ([10.0, 10.0], {"progress": {"epoch": 3, "epochs": 12, "batch": 5, "batches": 10}}, "1:35"),
        ([10.0, 10.0], {"progress": {"epoch": 2, "epochs": 12, "batch": 9, "batches": 10}}, "1:40"),  # old
        ([10.0, 10.0], {"progress": {"phase": "train"}}, "1:40"),
        ([10.0, 10.0], {"order": "enough", "progress": {"epoch": 3, "batch": 2, "batches": 10}}, "0:08"),
        ([10.0, 10.0], {"state": Job.State.WAITING}, ""),  # handed back, or its worker was lost
        ([10.0, 10.0], {"state": Job.State.DONE}, ""),
    ],
)  # fmt: skip
def test_the_time_left_of_a_supernet_is_the_median_of_its_last_epochs(sharing, seconds, job, left):
    search = sharing(stage="supernet")
    paced(search, seconds, **job)
    assert supernet_left(search) == left


def test_a_paused_search_has_no_time_left_and_minutes_bound_it(sharing):
    search = sharing(stage="supernet")
    paced(search, [1000.0])
    assert supernet_left(search) == "3:03:20"
    search.config["budget"]["minutes"] = 30.0
    search.save()
    assert re.fullmatch(r"(20:5\d|21:00)", supernet_left(search)), "9 of them are over"
    search.state = Search.State.PAUSED
    search.save()
    assert supernet_left(search) == ""


def test_every_tab_says_how_long_the_supernet_still_takes_as_epochs_come(page, sharing):
    search = sharing(stage="supernet")
    job = paced(search, [10.0, 10.0])
    for tab in ("overview", "trials", "insight", "supernet"):
        assert "about 1:40 left for the supernet" in parts(page, search, tab)["facts"], tab
    assert "about 1:40 left" in parts(page, search, "overview")["running"]
    assert "about 1:40 left for the supernet" in text_of(page.get(address(search)).content.decode())
    SupernetEpoch.objects.create(job=job, epoch=3, row={"epoch": 3, "train_loss": 1, "accuracy": 0, "duration_s": 10})
    assert "about 1:30 left for the supernet" in parts(page, search)["facts"]
    search.config["strategy"]["runs"] = 2
    search.save()
    assert "about 1:30 left for supernet 1 of 2" in parts(page, search)["facts"]


def test_the_list_asks_as_much_for_many_supernets_as_for_one(page, sharing, worker, django_assert_max_num_queries):
    paced(sharing(stage="supernet"), [10, 10])
    sharing(stage="trials", pairs=4)
    with django_assert_max_num_queries(17) as few:
        page.get(reverse("searches:list"))
    for _ in range(4):
        paced(sharing(stage="supernet"), [10, 10])
        sharing(stage="trials", pairs=4)
    with django_assert_max_num_queries(len(few.captured_queries)):
        page.get(reverse("searches:list"))
