"""What a step holds for its backward pass: one path, two, or all of them; measured, not promised."""

from __future__ import annotations

import pytest
import torch

from benchmarks import supernet_memory
from engine import catalog

#: methods whose steps compute one path at a time, and those that compute all options side by side
ONE = ("spos", "random_sharing", "fairnas", "enas", "gdas")
ALL = ("darts", "fbnet", "drnas")
HAVE = set(catalog.plugins("supernet"))


@pytest.fixture(scope="module")
def space():
    return supernet_memory.space_of()


def test_what_is_counted(space) -> None:
    """A closed form: the square of a sum keeps its input once, whoever else keeps it; nothing is left afterwards."""
    w = torch.ones(10, requires_grad=True)
    x = torch.ones(10) * w  # not a leaf
    saved = supernet_memory.Saved()
    with saved.watching():
        y = (x * x).sum() + x.square().sum()
    assert saved.now == saved.peak == 40
    y.backward()
    del y
    assert saved.now == 0 and saved.peak == 40


@pytest.mark.parametrize("method", [m for m in ONE if m in HAVE])
def test_single_paths_hold_one_path(space, method: str) -> None:
    """However many a step trains: one after the other."""
    row = supernet_memory.measured(method, space, 16)
    assert 0.3 < row["paths"] < 1.25


@pytest.mark.skipif("proxyless" not in HAVE, reason="there is no proxyless")
def test_proxyless_holds_two_in_its_architecture_step(space) -> None:
    """Less than twice the largest path, since they share what stands between, and far from all."""
    row = supernet_memory.measured("proxyless", space, 16)
    assert 1.1 < row["paths"] < 2.1 and row["of_all"] < 0.7


@pytest.mark.parametrize("method", [m for m in ALL if m in HAVE])
def test_mixtures_hold_all(space, method: str) -> None:
    """Every option of every edge."""
    row = supernet_memory.measured(method, space, 16)
    assert row["paths"] > 2.5 and row["of_all"] > 0.95


def test_the_command_prints_a_row_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON lines, then the table."""
    rows = supernet_memory.main(["--methods", "spos", "--batch", "8"])
    out = capsys.readouterr().out.splitlines()
    assert [r["method"] for r in rows] == ["spos"] and out[0].startswith("{") and out[-1].startswith("spos")
