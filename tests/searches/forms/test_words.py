"""Data sets in one line each."""

import pytest

from engine.data.spec import Column, DataSpec
from searches.forms.words import data_short, data_words


@pytest.mark.parametrize(
    ("fields", "short", "words"),
    [
        ({"kind": "image", "input_shape": (3, 32, 24)}, "32×24 images", "32×24 colour images"),
        ({"kind": "image", "input_shape": (1, 8, 8)}, "8×8 images", "8×8 grey images"),
        ({"kind": "signal", "input_shape": (1, 3000)}, "signals of length 3,000", "signals of length 3,000"),
        ({"kind": "signal", "input_shape": (2, 65)}, "signals of length 65", "signals of length 65 in 2 channels"),
        (
            {"kind": "text", "input_shape": (24,), "vocabulary": 3272},
            "texts of up to 24 words",
            "texts of up to 24 words out of 3,270",
        ),
        ({"kind": "table", "input_shape": (2,)}, "tables of 2 columns", "tables of 2 columns"),
        (
            {
                "kind": "table",
                "input_shape": (2,),
                "columns": (Column(name="a"), Column(name="b", categories=("x", "y"))),
            },
            "tables of 2 columns",
            "tables of 2 columns, 1 of them categories",
        ),
    ],
)
def test_every_kind_has_words_of_its_own(fields, short, words):
    sizes = {"train": 1077, "validation": 360, "test": 0}
    data = DataSpec(name="x", n_classes=10, class_names=("c",) * 10, sizes=sizes, digest="", split_digest="",
                    mean=(0.0,), std=(1.0,), **fields)  # fmt: skip
    assert data_short(data) == short
    assert data_words(data) == f"{words}, 10 classes; 1,077 train, 360 validation"
