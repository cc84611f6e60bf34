"""The page of the data sets: of every kind, here or not."""

import re

import pytest

from engine.data import registry

pytestmark = pytest.mark.django_db


def sections(page):
    text = page.get("/datasets/").content.decode()
    return text, dict(re.findall(r'<section class="section data-set" id="(\w+)">(.*?)</section>', text, re.S))


def test_tables_that_ship_are_ready_with_their_columns(page):
    _, found = sections(page)
    assert set(found) == set(registry.sources())
    wine = " ".join(found["wine"].split())
    assert "ready" in wine
    assert "106 train, 36 validation, 36 sealed test" in wine
    assert "tables of 13 columns" in wine
    assert "alcohol, malic_acid" in wine
    assert "ships with scikit-learn" in wine


def test_what_is_not_here_and_not_fetched_says_what_it_needs_and_starts_no_search(page, tmp_path, monkeypatch):
    monkeypatch.setenv("NASWEB_TEST_DATA", str(tmp_path / "absent"))
    text, found = sections(page)
    for name in ("trec", "sst2", "fsdd", "adult"):
        assert "not here" in found[name]
        assert "NASWEB_TEST_DATA" in found[name]
        assert "New search with it" not in found[name]
        assert str(tmp_path) not in found[name]
    assert "fetched on first use" in found["cifar10"]
    assert "New search with it" in found["cifar10"]
    assert re.search(r"Workers fetch \d+ others on first use", text)


def test_texts_signals_and_mixed_tables_in_words(page, samples):
    _, found = sections(page)
    assert "texts of up to 24 words out of 3,270" in " ".join(found["trec"].split())
    assert "signals of length 3,000" in found["fsdd"]
    assert "marital-status" in found["adult"]
