"""Bundles of text, signals and tables: all six checks, and predict.py on raw input of each kind."""

from __future__ import annotations

import csv
import gzip
import json
import runpy
import subprocess
import sys
import wave
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.data.arrays import normalize
from engine.data.signals import fit
from engine.data.spec import Column, DataSpec
from engine.data.text import encode, tokens
from engine.evaluation.base import Report
from engine.export.bundle import write_bundle
from engine.export.predict import predict_source
from engine.export.samples import as_text, write_raw
from engine.network.assemble import Assembler
from engine.network.build import build
from engine.network.plan import NetworkPlan
from engine.training.inference import reference_logits

NAMES = {"text": "trec", "signal": "fsdd", "table": "adult"}
ADULT = [
    *("age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation", "relationship"),
    *("race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income"),
]
NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")


def write_sets(folder: Path) -> None:
    """Little sets in the form of the real ones."""
    rng = np.random.default_rng(0)
    for name in NAMES.values():
        (folder / name).mkdir(parents=True)
    for part, n in (("train", 90), ("test", 12)):
        text = "".join(
            f"{i % 6}\tWhy, {('who', 'what', 'when')[i % 3]} is No. {rng.integers(50)} at the café ?\n"
            for i in range(n)
        )
        (folder / "trec" / f"trec6_{part}.tsv.gz").write_bytes(gzip.compress(text.encode()))
        rows = []
        for i in range(n):
            row = {name: str(rng.integers(1000)) if name in NUMBERS else f'v, "{i % 4}"' for name in ADULT}
            rows.append(row | {"income": ">50K" if i % 3 else "<=50K", "sex": "?" if i % 9 == 4 else "Male"})
        with gzip.open(folder / "adult" / f"adult_{part}.csv.gz", "wt", newline="") as file:
            csv.writer(file).writerows([ADULT, *(row.values() for row in rows)])
    np.savez(
        folder / "fsdd" / "fsdd_dev_4speakers.npz",
        samples=rng.integers(-30000, 30000, 60 * 700).astype(np.int16),
        offsets=np.arange(61, dtype=np.int32) * 700,
        digit=np.arange(60, dtype=np.uint8) % 10,
        take=np.repeat([0, 5, 6, 7, 8, 9], 10).astype(np.uint8),
    )


OPTIONS: dict[str, dict[str, Any]] = {
    "text": {"validation": 18, "length": 8},
    "signal": {"validation": 10, "length": 602, "stride": 3},
    "table": {"validation": 20, "min_count": 3},
}


def small_plan(data: DataSpec) -> NetworkPlan:
    net = Assembler(data.input_shape, data.input_type)
    if data.kind == "signal":
        x = net.add("act", "tanh", net.add("conv", "conv1d", "input", out_channels=4, kernel_size=5, stride=3))
        x = net.add("flat", "flatten", x)
    elif data.kind == "text":
        mask = net.add("mask", "padding_mask", "input")
        x = net.add("words", "embedding", "input", num_embeddings=data.vocabulary, embedding_dim=8)
        x = net.add("layer", "recurrent_layer", x, mask, out_channels=8)
        x = net.add("attend", "self_attention", x, mask, heads=2)
        x = net.add("pool", "mean_over_time", x, mask)
    else:
        sizes = tuple(3 if n else 0 for n in data.cardinalities)
        x = net.add("columns", "table_input", "input", cardinalities=data.cardinalities, sizes=sizes)
        x = net.add("act", "gelu", net.add("hidden", "linear", x, out_features=12))
    net.add("logits", "linear", x, out_features=data.n_classes)
    return net.finish()


class Space:
    """As much of a space as an export asks for."""

    def short_name(self, architecture: Architecture) -> str:
        return "hand made"

    def format(self, decision: str, option: Any) -> str:
        return str(option)

    def recipe_choices(self, architecture: Architecture) -> dict[str, Any]:
        return architecture.choices


@dataclass
class Made:
    """One bundle, unpacked, and what it was made of."""

    kind: str
    folder: Path
    data: DataSpec
    checks: list[dict[str, Any]]
    logits: np.ndarray
    validation: Any
    preprocessing: dict[str, Any]

    def predict(self, *arguments: str, stdin: str | None = None) -> tuple[list[dict[str, Any]], str]:
        """(lines, warnings) of predict.py in another process that cannot see this project."""
        done = subprocess.run(
            [sys.executable, "-I", str(self.folder / "predict.py"), "--json", *arguments],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    def names(self) -> dict[str, Any]:
        """What predict.py defines."""
        return runpy.run_path(str(self.folder / "predict.py"))


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    from safetensors.torch import save_file

    folder = tmp_path_factory.mktemp("kinds")
    write_sets(folder / "var" / "datasets")
    kind, name = request.param, NAMES[request.param]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NASWEB_DATA_DIR", str(folder / "var"))
        config = SearchConfig.parse({"name": "kinds", "data": {"name": name, **OPTIONS[kind]}, "strategy": "random"})
        arrays = registry.load(name, OPTIONS[kind])
        preprocessing = registry.preprocessing(name, OPTIONS[kind])
        plan = small_plan(arrays.spec)
        network = build(plan, seed=3)
        save_file(network.state_dict(), folder / "weights.safetensors")
        logits = reference_logits(network, normalize(arrays.validation.x, arrays.spec))
        right = float((logits.argmax(1) == arrays.validation.y).mean())
        architecture = Architecture.of(
            "hand_made",
            {"width": 8, "recipe_optimizer": "sgd", "recipe_batch_size": 16, "recipe_augmentation": "shift"},
        )
        result = write_bundle(
            folder=folder,
            config=config,
            data=arrays.spec,
            architecture=architecture,
            plan=plan,
            weights_path=folder / "weights.safetensors",
            report=None,
            final_report=Report(
                metrics={"accuracy": right, "test_accuracy": 0.5}, fidelity=3, n_samples=len(arrays.validation), seed=1
            ),
            space=Space(),  # type: ignore[arg-type]
            emit=lambda event: None,
        )
    assert result.ok, result.reason
    assert result.path_zip is not None
    with zipfile.ZipFile(result.path_zip) as archive:
        archive.extractall(folder / "unpacked")
    assert preprocessing is not None
    return Made(kind, folder / "unpacked", arrays.spec, result.checks, logits, arrays.validation, preprocessing)


def test_all_checks_hold(made: Made) -> None:
    assert [c["ok"] for c in made.checks] == [True] * 6
    raw = {"text": "raw text", "signal": "raw signal of 200 values", "table": "raw row of 14 columns"}[made.kind]
    assert made.checks[-1]["name"] == f"predict.py runs on a {raw}"


def test_raw_files_of_the_whole_validation_split_are_predicted_as_in_training(made: Made, tmp_path: Path) -> None:
    paths = []
    for i, x in enumerate(made.validation.x):
        files = write_raw(x, made.data, made.preprocessing, tmp_path / f"s{i}")
        assert [f.suffix for f in files] == [".npy", {"text": ".txt", "signal": ".wav", "table": ".csv"}[made.kind]]
        paths.append(str(files[1]))
    for runtime in ([], ["--onnx"]):
        lines, _ = made.predict(*runtime, *paths)
        probabilities = np.array([line["probabilities"] for line in lines])
        wanted = np.exp(made.logits - made.logits.max(1, keepdims=True))
        np.testing.assert_allclose(probabilities, wanted / wanted.sum(1, keepdims=True), atol=1e-5)
        assert [line["class"] for line in lines] == made.logits.argmax(1).tolist()


def test_the_bundle_says_how_raw_input_is_read_and_with_which_recipe_it_was_trained(made: Made) -> None:
    about = json.loads((made.folder / "architecture.json").read_text())
    assert about["preprocessing"] == json.loads(json.dumps(made.preprocessing))
    assert about["plan"]["input_type"] == made.data.input_type
    assert (about["training"]["optimizer"], about["training"]["batch_size"]) == ("sgd", 16)
    card = (made.folder / "MODEL_CARD.md").read_text()
    assert "3 epochs, SGD with Nesterov momentum 0.9, batch 16" in card
    words = {
        "text": ("predict.py texts.txt", "the first 8, by number", "augmentation: none"),
        "signal": ("predict.py clip.wav", "8,000 a second, the first 602", "shift in time, 25 values at most"),
        "table": ("predict.py rows.csv", "14 columns, 8 of them categories", "augmentation: none"),
    }[made.kind]
    for word in words:
        assert word in card
    assert " px" not in card
    assert "pillow" not in (made.folder / "requirements.txt").read_text()
    model = (made.folder / "model.py").read_text()
    assert ("of int64, output" in model) == (made.kind == "text")


def test_preprocessing_is_the_training_s_to_the_last_bit(made: Made) -> None:
    np.testing.assert_array_equal(
        made.names()["preprocess"](made.validation.x), normalize(made.validation.x, made.data), strict=True
    )


def test_arrays_that_do_not_fit_are_refused(made: Made, tmp_path: Path) -> None:
    read = made.names()["read_array"]
    np.save(tmp_path / "good.npy", made.validation.x[:3])
    assert np.array_equal(read(tmp_path / "good.npy"), made.validation.x[:3])
    np.save(tmp_path / "bad.npy", np.zeros((2, 3, 5, 7), dtype=np.int64))
    with pytest.raises(SystemExit, match="expected"):
        read(tmp_path / "bad.npy")
    if made.kind == "text":
        np.save(tmp_path / "bad.npy", np.full(made.data.input_shape, made.data.vocabulary))
        with pytest.raises(SystemExit, match="words have 0 to"):
            read(tmp_path / "bad.npy")
    if made.kind == "table":
        rows = made.validation.x[:2].copy()
        rows[1, 1] = 99
        np.save(tmp_path / "bad.npy", rows)
        with pytest.raises(SystemExit, match="column workclass: codes go from 0 to"):
            read(tmp_path / "bad.npy")
        np.save(tmp_path / "bad.npy", np.full(14, np.nan))
        with pytest.raises(SystemExit, match="not finite"):
            read(tmp_path / "bad.npy")


# -- text -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("made", ["text"], indirect=True)
def test_text_from_a_file_and_from_standard_input(made: Made, tmp_path: Path) -> None:
    text = "\ufeffWHO is at the CAFE\u0301?\n\n  \nzzz qqq\nwhy , what is no . 7 at the caf\u00e9 ? and more\n"
    (tmp_path / "texts.txt").write_text(text, encoding="utf-8")
    lines, warnings = made.predict(str(tmp_path / "texts.txt"))
    assert [line["input"].rpartition("[")[2] for line in lines] == ["0]", "1]", "2]"]
    assert "line 4: no word of it was known in training" in warnings
    assert "line 5: only the first 8 of 13 words are read" in warnings
    again, _ = made.predict("-", stdin=text)
    assert [line["probabilities"] for line in again] == [line["probabilities"] for line in lines]
    encoded = made.names()["encode"](text.removeprefix("\ufeff").splitlines(), "x")
    sentences = [tokens(line) for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    assert np.array_equal(encoded, encode(sentences, made.preprocessing["words"], 8))


@pytest.mark.parametrize("made", ["text"], indirect=True)
@pytest.mark.parametrize(
    ("content", "message"), [(b"", "holds no text"), (b" \n", "holds no text"), (b"ok\n\xff\n", "not UTF-8")]
)
def test_text_that_cannot_be_read_is_refused(made: Made, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "texts.txt").write_bytes(content)
    with pytest.raises(SystemExit, match=message):
        made.names()["read"](tmp_path / "texts.txt", None)


def test_words_come_back_as_they_were_and_unknown_ones_stay_unknown() -> None:
    words = ["the", "?", "\u2580"]
    raw = encode([["the", "other", "?"]], words, 5)[0]
    text = as_text(raw, words)
    assert text == "the \u2581 ?"
    assert np.array_equal(encode([tokens(text)], words, 5)[0], raw)


# -- signals --------------------------------------------------------------------------------------
def save_wav(path: Path, values: np.ndarray, rate: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(values.dtype.itemsize)
        file.setframerate(rate)
        file.writeframes(values.tobytes())
    return path


@pytest.mark.parametrize("made", ["signal"], indirect=True)
def test_clips_of_8_and_16_bits_other_rates_and_channels(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = made.names()["read"]
    clip = (10_000 * np.sin(np.arange(500) / 9)).astype(np.int16)
    wanted = fit(clip, 602, 3)[None, None]
    assert np.array_equal(read(save_wav(tmp_path / "a.wav", clip), None), wanted)
    assert capsys.readouterr().err == ""
    eight = ((clip.astype(int) >> 8) + 128).astype(np.uint8)
    assert np.abs(read(save_wav(tmp_path / "b.wav", eight), None) - wanted).max() <= 256
    both = np.stack([clip, clip], axis=1)
    assert np.array_equal(read(save_wav(tmp_path / "c.wav", both, channels=2), None), wanted)
    assert "the mean of 2 channels" in capsys.readouterr().err
    faster = (10_000 * np.sin(np.arange(1000) / 18)).astype(np.int16)
    assert np.abs(read(save_wav(tmp_path / "d.wav", faster, rate=16_000), None) - wanted).max() < 10
    assert "resampled from 16000 to 8000" in capsys.readouterr().err
    read(save_wav(tmp_path / "e.wav", np.zeros(900, np.int16)), None)
    assert "only the first 602 of 900 samples" in capsys.readouterr().err
    np.save(tmp_path / "f.npy", clip)  # a clip in a row
    assert np.array_equal(read(tmp_path / "f.npy", None), wanted)
    np.save(tmp_path / "g.npy", clip / 32768)
    read(tmp_path / "g.npy", None)
    assert "raw values go from -32768 to 32768" in capsys.readouterr().err


@pytest.mark.parametrize("made", ["signal"], indirect=True)
def test_files_that_are_no_clips_are_refused(made: Made, tmp_path: Path) -> None:
    read = made.names()["read"]
    (tmp_path / "a.wav").write_bytes(b"RIFF....")
    with pytest.raises(SystemExit, match="no readable PCM"):
        read(tmp_path / "a.wav", None)
    with pytest.raises(SystemExit, match="32 bits; expected 8 or 16"):
        read(save_wav(tmp_path / "b.wav", np.zeros(9, np.int32)), None)
    with pytest.raises(SystemExit, match="holds no sample"):
        read(save_wav(tmp_path / "c.wav", np.zeros(0, np.int16)), None)


# -- tables ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("made", ["table"], indirect=True)
def test_rows_by_the_names_of_their_columns(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read = made.names()["read"]
    good = dict.fromkeys(ADULT[:-1], 'v, "1"') | dict.fromkeys(NUMBERS, "7") | {"sex": "Male"}
    rows = [good, good | {"age": "", "sex": "?", "workclass": "unheard of"}]
    with (tmp_path / "rows.csv").open("w", newline="") as file:  # another order, and a column more
        header = ["extra", *reversed(good)]
        csv.writer(file).writerows([header, *(["x", *(row[name] for name in header[1:])] for row in rows)])
    raw = read(tmp_path / "rows.csv", None)
    work, sex = made.data.columns[1].categories, made.data.columns[9].categories
    assert raw.shape == (2, 14)
    assert raw[0, 1] == work.index('v, "1"')
    assert raw[0, 9] == sex.index("Male")
    assert raw[1, 1] == work.index("(other)")
    assert raw[1, 9] == sex.index("(missing)")
    assert raw[1, 0] == np.float32(made.data.mean[0])
    assert "line 3, column workclass: 'unheard of' was rare or unknown in training" in capsys.readouterr().err


@pytest.mark.parametrize("made", ["table"], indirect=True)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: ["a,b", "1,2"], "the header lacks age, workclass"),
        (lambda lines: [lines[0], lines[1] + ",1"], "line 2: 15 fields, the header has 14"),
        (lambda lines: lines[:1], "holds no row"),
        (lambda lines: [lines[0] + ",age", lines[1] + ",1"], "has age more than once"),
        (lambda lines: [lines[0], lines[1].replace("7", "seven", 1)], "line 2, column age: 'seven' is no number"),
        (lambda lines: [lines[0], lines[1].replace("7", "inf", 1)], "column age: 'inf' is no number"),
        (lambda lines: [lines[0], '"' + lines[1]], "no readable CSV"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(made: Made, tmp_path: Path, change: Any, message: str) -> None:
    good = dict.fromkeys(ADULT[:-1], "v") | dict.fromkeys(NUMBERS, "7")
    lines = change([",".join(good), ",".join(good.values())])
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    with pytest.raises(SystemExit, match=message):
        made.names()["read"](tmp_path / "rows.csv", None)


def test_names_of_columns_and_categories_cannot_become_code(tmp_path: Path) -> None:
    nasty = '"""\n\'); import os #'
    data = DataSpec(
        name="t",
        kind="table",
        input_shape=(2,),
        n_classes=2,
        class_names=("a", "b"),
        sizes={"train": 1, "validation": 1, "test": 1},
        digest="",
        split_digest="",
        mean=(0.0, 0.0),
        std=(1.0, 1.0),
        columns=(Column(name=nasty), Column(name="@CLASSES@", categories=("(missing)", nasty, *map(str, range(60))))),
    )
    (tmp_path / "predict.py").write_text(predict_source(data, title="x", preprocessing={"missing": ["", nasty]}))
    names = runpy.run_path(str(tmp_path / "predict.py"))
    assert names["COLUMNS"] == tuple((c.name, c.categories) for c in data.columns)
    assert names["MISSING"] == ("", nasty)
