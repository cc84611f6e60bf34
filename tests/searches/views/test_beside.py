"""Datasets and workers."""

from datetime import timedelta

import pytest
from django.utils import timezone

from searches.models import Job, Worker

pytestmark = pytest.mark.django_db


def test_datasets_say_what_they_are_and_how_to_get_them(page):
    text = page.get("/datasets/").content.decode()
    assert "1,077 train, 360 validation, 360 sealed test" in text
    assert text.count("data:image/png;base64,") == 10
    assert "on first use" in text
    assert 'href="/searches/new/?data=digits"' in text


def test_a_search_can_be_begun_from_a_dataset(page):
    text = page.get("/searches/new/?data=fashion_mnist").content.decode()
    assert '<option value="fashion_mnist" selected' in text
    assert 'value="Fashion-MNIST, auto"' in text
    assert "28×28 grey images" in text


def test_workers_online_gone_and_what_they_do(page, mira, jonas, make, worker):
    now = timezone.now()
    Worker.objects.create(name="gone", slots=1, joined_at=now, seen_at=now - timedelta(hours=5))
    search = make(mira, "Mine", state="running", accuracies=[0.9])
    other = make(jonas, "Secret", state="running")
    trial = search.trials.get()
    Job.objects.create(
        search=search,
        trial=trial,
        kind="train",
        state="running",
        worker="cpu-1",
        fidelity=25,
        progress={"epoch": 4, "epochs": 25},
        started_at=now,
    )
    Job.objects.create(search=other, kind="train", state="running", worker="cpu-1", started_at=now)
    Job.objects.create(search=search, kind="train", state="waiting")
    text = page.get("/workers/").content.decode()
    assert "1 worker online" in text
    assert "2 of 2 slots busy" in text
    assert "1 job waits for a free slot" in text
    assert "#1 d3 conv1" in text
    assert "epoch 4 of 25" in text
    assert "Secret" not in text
    assert "1 job of other people" in text
    assert "5 h ago" in text
    part = page.get("/workers/", headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "cpu-1" in part


def test_no_worker_ever(page):
    text = page.get("/workers/").content.decode()
    assert "No worker is online." in text
    assert "manage.py worker" in text
