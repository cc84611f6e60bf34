"""Tables as people have them: keys in several writings, limits on exact costs, and everything that is refused."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from engine.arena import tables
from engine.errors import DataError

from .small import OPTIONS, columns, problem, rows, text


def test_a_key_may_be_digits_the_published_string_or_a_column_per_decision():
    given = rows()[:30]
    space = problem().space
    archs = [space.read(str(r["key"])) for r in given]
    written = [{**r, "key": space.write(a)} for r, a in zip(given, archs, strict=True)]
    apart = [{**a.choices, "a": r["a"], "b": r["b"]} for r, a in zip(given, archs, strict=True)]
    names = list(archs[0].choices)
    assert problem(rows=given).architectures == archs
    assert problem(rows=written).architectures == archs
    assert problem(rows=apart, key=names).architectures == archs


def test_positions_of_options_are_read_where_a_space_has_no_notation():
    space = tables.bound_space(
        "mlp", {"depth": [1, 2], "width": [8, 16], "activation": ["relu", "tanh"]}, tables.data_of([], (3, 4, 4))
    )  # fmt: skip
    every = list(space.enumerate())
    code = ["".join(str(d.options.index(a[d.name])) for d in space.decisions(a)) for a in every]
    table = columns([{"key": k, "a": i} for i, k in enumerate(code)])
    assert tables.read_keys(space, table, ["key"]) == every


def test_gzip_and_a_byte_order_mark_make_no_difference():
    plain = text(rows())
    for content in (gzip.compress(plain), b"\xef\xbb\xbf" + plain):
        assert columns(content).rows == columns(plain).rows


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"key,a\n000000,1\n000001\n", "row 3: 1 cells, but 2 columns"),
        (b"key,a,a\n000000,1,2\n", "two columns called 'a'"),
        (b"key,a\n", "at least one row"),
        ("key,a\n000000,ü\n".encode("latin-1"), "not UTF-8"),
        (b"\x1f\x8bnonsense", "cannot be unpacked"),
        (b'key,a\n"000000,1\n', "not a CSV"),
    ],
)
def test_files_that_are_no_table_say_where(content, says):
    with pytest.raises(DataError, match=says):
        columns(content)


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(monkeypatch):
    monkeypatch.setattr(tables, "MAX_BYTES", 1000)
    with pytest.raises(DataError, match="larger than"):
        columns(gzip.compress(b"key,a\n" + b"000000,1\n" * 1000))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"reward": ["nothing"]}, "no column 'nothing'; it has key, a, b, c"),
        ({"key": ["nothing"]}, "no column 'nothing'"),
        ({"reward": ["key", "a"], "rows": [{"key": "|x", "a": 1, "b": 1}]}, "row 2"),
        ({"rows": [{"key": "000000", "a": 1, "b": "nan"}]}, "row 2, column b: 'nan' is no finite number"),
        ({"rows": [{"key": "000009", "a": 1, "b": 1}]}, "row 2: received '000009'"),
        ({"rows": [{"key": "000000", "a": 1, "b": 1}] * 2}, "row 3: the same architecture as row 2"),
        ({"reward": ["a"], "report": ["a"]}, "leave nothing when the reward 'a' is left out"),
        ({"key": ["key", "a"]}, "named like the decisions"),
        ({"limit": "a<10"}, "COLUMN<=NUMBER"),
        ({"limit": "a<=90"}, "no exact cost of the space"),
        ({"limit": "n_macs<=1"}, "no row keeps to"),
        ({"limit": "n_macs<=p500"}, "percentile lies between"),
    ],
)
def test_what_cannot_be_raced_on_says_what_is_wrong(changes, says):
    with pytest.raises(DataError, match=says):
        problem(**changes)


def test_a_column_is_a_limit_where_it_is_an_exact_cost_but_for_a_constant():
    plain = problem()
    macs = plain.costs["n_macs"]
    given = [{**r, "flops": m + 10, "params": p} for r, m, p in zip(rows(), macs, plain.costs["n_params"], strict=True)]
    limited = problem(rows=given, limit="flops<=p50")
    assert limited.limits == {"n_macs": np.percentile(macs, 50)}
    assert (limited.feasible == (macs <= np.median(macs))).all()
    assert problem(rows=given, limit="params <= 6000").limits == {"n_params": 6000}
    given[5]["flops"] += 1
    with pytest.raises(DataError, match="flops cannot be a limit"):
        problem(rows=given, limit="flops<=p50")


def test_columns_that_speak_of_cifar_100_have_100_classes():
    names = ("c10_val", "c100_val_ep12", "CIFAR-100", "cifar1000")
    assert [tables.data_of([c]).n_classes for c in names] == [10, 100, 10, 10]
    assert tables.data_of(["cifar100_x"]).n_classes == 100
    assert problem(options={**OPTIONS, "cells": 2}).space.options.cells == 2
