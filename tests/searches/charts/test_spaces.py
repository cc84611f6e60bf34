"""Histograms of costs: every network counted once, readable ticks, a table, nothing for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from searches.charts.spaces import BINS, cost_histogram


def test_every_network_is_counted_once_on_a_logarithmic_axis():
    values = list(10 ** np.random.default_rng(0).uniform(3, 6, 320))
    figure = cost_histogram("parameters", values).to_json()
    (bars,) = figure["data"]
    assert bars["type"] == "bar" and sum(bars["y"]) == 320 and len(bars["y"]) == BINS
    low, high = figure["layout"]["xaxis"]["range"]
    assert low < np.log10(min(values)) and high > np.log10(max(values))
    assert sum(row[2] for row in figure["table"]["rows"]) == 320
    assert "median" in figure["summary"] and "320" in figure["summary"]


@pytest.mark.parametrize(
    ("values", "words"),
    [([1e3, 1e4, 1e5, 1e6], ["1 k", "10 k", "100 k", "1 M"]), ([1000.0, 9000.0], ["1 k", "2 k", "5 k"])],
)
def test_ticks_are_round(values, words):
    assert cost_histogram("x", values).to_json()["layout"]["xaxis"]["ticktext"] == words


def test_ticks_differ_where_values_hardly_do():
    ticks = cost_histogram("x", [1_000_000.0, 1_000_400.0]).to_json()["layout"]["xaxis"]["tickvals"]
    assert 2 <= len(set(ticks)) <= 6


def test_equal_values_make_one_bar():
    bars = cost_histogram("x", [5000.0] * 7).to_json()["data"][0]
    assert sorted(bars["y"])[-1] == 7 and sum(bars["y"]) == 7


def test_nothing_is_said_to_be_nothing():
    figure = cost_histogram("x", []).to_json()
    assert figure["data"] == [] and figure["empty"]


def test_memory_is_in_bytes():
    assert "MB" in cost_histogram("memory", [2e6, 3e6], in_bytes=True).summary
