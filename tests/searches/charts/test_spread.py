"""Histograms of sampled costs and the small curve of a row."""

import pytest

from searches.charts.spark import spark_path
from searches.charts.spread import BINS, histogram, si


def test_every_value_is_counted_once():
    values = [10 ** (i / 10) for i in range(20, 70)]
    found = histogram("parameters", values)
    assert len(found.bars) == BINS
    assert sum(bar.n for bar in found.bars) == len(values)
    assert found.bars[0].n >= 1
    assert found.bars[-1].n >= 1
    assert max(bar.height for bar in found.bars) == found.height - 2
    assert found.summary == "parameters of 50 sampled networks: 100 to 7.94 M, median 31.6 k"


@pytest.mark.parametrize("values", [[5.0], [7.0] * 9, [0.0, 0.0, 3.0]])
def test_equal_and_zero_costs_are_no_problem(values):
    assert sum(bar.n for bar in histogram("x", values).bars) == len(values)


def test_units():
    assert [si(v) for v in (0, 999, 1500, 443_800, 6_283_000, 1.2e9)] == [
        "0",
        "999",
        "1.50 k",
        "443.8 k",
        "6.28 M",
        "1.20 G",
    ]


def test_a_step_line_goes_up_only_and_ends_at_the_last_trial():
    path, end = spark_path([(1, 0.5), (3, 0.9)], 10)
    assert path.startswith("M1.0,")
    assert path.count("V") == 1
    assert end == (107.0, 4.0)
    assert spark_path([], 5) == ("", None)
    assert spark_path([(1, 0.7)], 1)[0]
