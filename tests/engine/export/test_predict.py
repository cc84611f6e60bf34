"""predict.py: raw input of many kinds, with or without torch."""

from __future__ import annotations

import ast
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.spec import DataSpec
from engine.export.predict import plain, predict_source

WITHOUT_TORCH = """
import importlib.util, runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else found(name, package)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def spec(**changes: Any) -> DataSpec:
    values: dict[str, Any] = {
        "name": "pictures",
        "input_shape": (3, 4, 6),
        "n_classes": 2,
        "class_names": ("it's", 'a "b"\\\n'),
        "sizes": {"train": 1, "validation": 1, "test": 1},
        "digest": "",
        "split_digest": "",
        "mean": (0.5, 0.25, 0.0),
        "std": (0.5, 1.0, 2.0),
        "scale": 255.0,
    }
    return DataSpec(**{**values, **changes})


def program(tmp_path: Path, data: DataSpec) -> dict[str, Any]:
    """The names the written program defines."""
    path = tmp_path / "predict.py"
    path.write_text(predict_source(data, title="x"), encoding="utf-8")
    return runpy.run_path(str(path))


def test_class_names_come_through_as_they_are(tmp_path: Path) -> None:
    assert program(tmp_path, spec())["CLASSES"] == ("it's", 'a "b"\\\n')


def test_a_name_is_never_taken_for_a_place_to_fill_in(tmp_path: Path) -> None:
    text = predict_source(spec(class_names=('"""; import os', "@SHAPE@")), title="@CLASSES@ @READ@")
    assert ast.get_docstring(ast.parse(text)).startswith("Predicts classes with @CLASSES@ @READ@.")  # type: ignore[union-attr]
    (tmp_path / "predict.py").write_text(text)
    assert runpy.run_path(str(tmp_path / "predict.py"))["CLASSES"] == ('"""; import os', "@SHAPE@")


def test_preprocessing_is_the_trainings_to_the_last_bit(tmp_path: Path) -> None:
    from engine.data.arrays import normalize

    data = spec()
    raw = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    np.testing.assert_array_equal(program(tmp_path, data)["preprocess"](raw), normalize(raw, data))


def test_pictures_are_converted_and_resized_with_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    names = program(tmp_path, spec())
    grey = tmp_path / "grey.png"
    Image.fromarray(np.full((4, 6), 51, np.uint8)).save(grey)
    raw = names["read_image"](grey)
    assert raw.shape == (1, 3, 4, 6) and np.allclose(raw, 51)
    assert capsys.readouterr().err == ""
    big = tmp_path / "big.jpg"
    Image.fromarray(np.full((40, 60, 3), 51, np.uint8)).save(big)
    assert names["read_image"](big).shape == (1, 3, 4, 6)
    assert "resized from 60x40 to 6x4" in capsys.readouterr().err
    assert np.allclose(names["read_image"](grey, invert=True), 204)
    deep = tmp_path / "deep.png"
    Image.fromarray(np.full((4, 6), 51 * 257, np.uint16)).save(deep)
    assert np.allclose(names["read_image"](deep), 51)


def test_arrays_alone_in_batches_and_channels_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = program(tmp_path, spec())
    raw = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    for given, expected in (
        (raw, raw),
        (raw[0], raw[:1]),
        (raw.transpose(0, 2, 3, 1), raw),
        (raw[0].transpose(1, 2, 0), raw[:1]),
    ):
        np.save(tmp_path / "a.npy", given)
        np.testing.assert_array_equal(names["read_array"](tmp_path / "a.npy"), expected)
    np.save(tmp_path / "a.npy", raw[0].astype(np.float32) * 3)
    names["read_array"](tmp_path / "a.npy")
    assert "raw values go from 0 to 255" in capsys.readouterr().err
    np.save(tmp_path / "a.npy", np.zeros((7, 7)))
    with pytest.raises(SystemExit, match=r"expected \(3, 4, 6\)"):
        names["read_array"](tmp_path / "a.npy")
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match="allow_pickle"):
        names["read_array"](tmp_path / "o.npy")


def test_onnx_runtime_takes_over_where_torch_is_absent(unpacked: Path, network: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "four.npy", network.arrays.validation.x[:4])
    script = tmp_path / "without.py"
    script.write_text(WITHOUT_TORCH)
    command = [sys.executable, "-I", str(script), str(unpacked / "predict.py"), "four.npy", "--top", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    found = [line.split(": ")[1].split()[0] for line in done.stdout.splitlines()]
    assert found == [str(c) for c in network.logits[:4].argmax(1)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a\nb\tc", "a b c"),
        ('"""; import os', "; import os"),
        ("\u202eevil\u0000", "evil"),
        ("x" * 500, "x" * 119 + "…"),
        ("Zahlen für Ünal 数字", "Zahlen für Ünal 数字"),
    ],
)
def test_plain(name: str, expected: str) -> None:
    assert plain(name) == expected
