"""Readers of text, signals and tables: specs, splits, and what is said of a damaged file."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.data import registry, store
from engine.data.arrays import normalize
from engine.data.signals import fit
from engine.data.text import encode, tokens, vocabulary
from engine.errors import DataError, InvalidConfig

SAMPLES = store.samples_folder()
LOCAL = {"trec": "text", "sst2": "text", "fsdd": "signal", "adult": "table"}


@pytest.fixture(autouse=True)
def own_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of its own, and no sample data unless the test asks for it."""
    monkeypatch.setenv("NASWEB_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("NASWEB_TEST_DATA", str(tmp_path / "absent"))
    return tmp_path / "var"


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real sample data."""
    if not (SAMPLES / "text").is_dir():
        pytest.skip("no sample data: set NASWEB_TEST_DATA to a folder that holds text/, audio/ and tabular/")
    monkeypatch.setenv("NASWEB_TEST_DATA", str(SAMPLES))
    return SAMPLES


# -- the real sets --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("trec", (4952, 500, 500)),
        ("sst2", (6920, 872, 1821)),
        ("fsdd", (1500, 300, 200)),
        ("adult", (27561, 5000, 16281)),
    ],
)
def test_a_local_set_has_its_published_size_and_all_classes(samples: Path, name: str, sizes: tuple[int, ...]) -> None:
    info, spec = registry.datasets()[name], registry.spec(name)
    assert info.available
    assert not info.fetched
    assert str(SAMPLES) in info.how
    assert spec.kind == LOCAL[name]
    assert tuple(spec.sizes.values()) == sizes
    arrays, test = registry.load(name), registry.load_test(name)
    assert arrays.spec == spec
    for part, n in zip((arrays.train, arrays.validation, test), sizes, strict=True):
        assert part.x.shape == (n, *spec.input_shape)
        assert part.y.dtype == np.int64
        assert set(part.y.tolist()) == set(range(spec.n_classes))
    shares = [np.bincount(part.y) / len(part) for part in (arrays.train, arrays.validation)]
    # SST-2 brings its own validation file
    assert np.abs(shares[0] - shares[1]).max() < (0.03 if name == "sst2" else 0.002)


@pytest.mark.parametrize("name", [*LOCAL, "iris", "wine", "breast_cancer"])
def test_the_split_follows_its_seed_and_its_sizes(samples: Path, name: str) -> None:
    a, again, b = registry.spec(name), registry.spec(name), registry.spec(name, {"split_seed": 1})
    assert a == again
    assert a.digest == b.digest
    assert (a.split_digest == b.split_digest) == (name == "sst2")  # its validation split is a file
    if name in LOCAL:
        options = {"validation": 200, "train": 300}
        assert registry.spec(name, options).sizes["validation"] == 200
        assert len(registry.load(name, options).train) == 300


def test_what_is_loaded_can_be_changed_without_changing_what_others_load(samples: Path) -> None:
    for name in ("trec", "iris"):
        registry.load(name).train.x[:] = 0
        assert registry.load(name).train.x.any()


def test_words_are_counted_in_the_training_split_alone(samples: Path) -> None:
    arrays = registry.load("trec")
    about = registry.preprocessing("trec")
    assert about is not None
    words = about["words"]
    assert len(words) + 2 == arrays.spec.vocabulary
    assert arrays.train.x.max() == arrays.spec.vocabulary - 1
    # every word but the unknown one occurs at least twice (in full sentences; the arrays hold the first 24 words)
    counts = np.bincount(arrays.train.x.ravel(), minlength=arrays.spec.vocabulary)
    assert counts[words.index("?") + 2] > 4000
    assert (counts[2:] > 0).mean() > 0.99
    raw = gzip.decompress((samples / "text" / "trec6_train.tsv.gz").read_bytes()).decode()
    everywhere = {word for line in raw.splitlines() for word in tokens(line.split("\t")[1])}
    assert set(words) < everywhere
    # words of validation questions that training does not hold are unknown
    assert (arrays.validation.x == 1).sum() > (arrays.train.x == 1).sum() / 10 * 0.9
    few = registry.spec("trec", {"min_count": 50, "length": 6})
    assert few.vocabulary < 200
    assert few.input_shape == (6,)


def test_tokens_are_lower_case_words_and_single_signs() -> None:
    assert tokens("How far is it, Ma'am?") == ["how", "far", "is", "it", ",", "ma", "'", "am", "?"]
    assert tokens("cre\u0300me") == tokens("cr\u00e8me") == ["cr\u00e8me"]  # one way to write an accent
    assert tokens(" \t") == []
    words = vocabulary([["b", "a"], ["b", "c", "a"], ["b"]], 2)
    assert words == ("b", "a")
    assert encode([["a", "zzz", "b", "b"], ["b"]], words, 3).tolist() == [[3, 1, 2], [2, 0, 0]]


def test_a_clip_is_cut_or_filled_and_neighbours_become_their_mean() -> None:
    assert fit(np.array([1, 3, 5, 8], np.int16), 4, 2).tolist() == [2, 6]  # 6.5 rounds to even
    assert fit(np.array([4], np.int16), 6, 3).tolist() == [1, 0]
    assert fit(np.arange(10, dtype=np.int16), 4, 1).tolist() == [0, 1, 2, 3]
    # neither the sum nor the mean of the loudest samples overflows
    assert fit(np.full(4, 32767, np.int16), 4, 4).tolist() == [32767]


def test_clips_have_the_length_that_was_asked_for(samples: Path) -> None:
    arrays = registry.load("fsdd", {"length": 4000, "stride": 4})
    assert arrays.spec.input_shape == (1, 1000)
    assert arrays.train.x.dtype == np.int16
    assert registry.preprocessing("fsdd", {"length": 4000, "stride": 4}) == {
        "kind": "signal",
        "rate": 8000,
        "length": 4000,
        "stride": 4,
    }
    x = normalize(arrays.train.x, arrays.spec)
    assert abs(float(x.mean())) < 1e-3
    assert float(x.std()) == pytest.approx(1, abs=1e-3)


def test_numbers_are_standardized_and_categories_stay_codes(samples: Path) -> None:
    arrays, test = registry.load("adult"), registry.load_test("adult")
    spec = arrays.spec
    x = normalize(arrays.train.x, spec)
    for i, column in enumerate(spec.columns):
        if not column.categories:
            assert float(x[:, i].mean(dtype=np.float64)) == pytest.approx(0, abs=1e-4)
            assert float(x[:, i].std(dtype=np.float64)) == pytest.approx(1, abs=1e-4)
            continue
        assert column.categories[:2] == ("(missing)", "(other)")
        assert np.array_equal(x[:, i], arrays.train.x[:, i])
        for part in (arrays.train.x, arrays.validation.x, test.x):
            assert set(np.unique(part[:, i])) <= set(range(len(column.categories)))
        counts = np.bincount(arrays.train.x[:, i].astype(int), minlength=len(column.categories))
        assert counts[2:].min() >= 10
    names = [c.name for c in spec.columns]
    assert names[:2] == ["age", "workclass"]
    assert "income" not in names
    # the rows of the file that hold a question mark are missing there
    assert (arrays.train.x[:, names.index("occupation")] == 0).mean() == pytest.approx(1843 / 32561, abs=0.005)


def test_scikit_learn_s_tables_are_its_own() -> None:
    from sklearn import datasets

    for name in ("iris", "wine", "breast_cancer"):
        whole = getattr(datasets, f"load_{name}")()
        arrays, test = registry.load(name), registry.load_test(name)
        parts = [arrays.train, arrays.validation, test]
        mine = np.concatenate([np.column_stack([p.x, p.y]) for p in parts])
        theirs = np.column_stack([whole.data, whole.target]).astype(np.float32)
        assert sorted(map(tuple, mine.tolist())) == sorted(map(tuple, theirs.tolist()))
        assert [c.name for c in arrays.spec.columns] == list(whole.feature_names)
        assert list(arrays.spec.class_names) == list(whole.target_names)
        x = normalize(arrays.train.x, arrays.spec)
        assert np.abs(x.mean(axis=0)).max() < 1e-3
        assert np.abs(x.std(axis=0) - 1).max() < 1e-3


def test_describing_and_reading_load_neither_torch_nor_sklearn() -> None:
    code = """
import sys
from engine.data import registry
registry.datasets()
for name in ("iris", "wine", "breast_cancer", "trec", "fsdd", "adult"):
    if registry.datasets()[name].available:
        registry.load(name), registry.preprocessing(name)
sys.exit(str([m for m in ("torch", "torchvision", "sklearn", "pandas") if m in sys.modules] or ""))
"""
    environment = {"NASWEB_TEST_DATA": str(SAMPLES), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr.strip() == ""


# -- what is not here, and what is damaged --------------------------------------------------------
def test_a_set_that_is_not_here_says_what_it_needs_and_names_no_place_that_does_not_exist(tmp_path: Path) -> None:
    for name in LOCAL:
        info = registry.datasets()[name]
        assert not info.available
        assert not info.fetched
        assert "NASWEB_TEST_DATA" in info.how
        assert str(tmp_path) not in info.how
        for read in (registry.spec, registry.load, registry.load_test):
            with pytest.raises(DataError, match="not on this machine"):
                read(name)
    assert registry.datasets()["cifar10"].fetched


def put(folder: Path, name: str, text: str | bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = text.encode() if isinstance(text, str) else text
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)


@pytest.fixture
def questions(own_data_dir: Path) -> Callable[[str | bytes], None]:
    """Puts a training file of that text, and a good test file, where TREC is looked for."""

    def make(text: str | bytes) -> None:
        folder = own_data_dir / "datasets" / "trec"
        put(folder, "trec6_train.tsv.gz", text)
        put(folder, "trec6_test.tsv.gz", "".join(f"{i}\tWhat is {i} ?\n" for i in range(6)))

    return make


GOOD = "".join(f"{i % 6}\tWhat is the number {i % 7} ?\n" for i in range(60))


def test_files_in_the_data_directory_are_read(questions: Callable[[str], None], own_data_dir: Path) -> None:
    questions(GOOD)
    spec = registry.spec("trec", {"validation": 12})
    assert spec.sizes == {"train": 48, "validation": 12, "test": 6}
    assert registry.datasets()["trec"].how == f"found in {own_data_dir / 'datasets' / 'trec'}"
    # another file in its place is read anew
    questions(GOOD + "0\tand one more ?\n")
    assert registry.spec("trec", {"validation": 12}).sizes["train"] == 49
    assert registry.spec("trec", {"validation": 12}).digest != spec.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD + "7\tWhat ?\n", "line 61: unknown label '7'; the labels are 0 to 5"),
        (GOOD + "\tWhat ?\n", "line 61: unknown label ''"),
        (GOOD + "no tab here\n", "line 61: expected a label, a tab and a text, got 'no tab here'"),
        (GOOD + "\n", "line 61: expected a label"),
        (GOOD + "1\t  \n", "line 61: the text holds no word"),
        (GOOD.encode() + b"1\t\xff\xfe\n", "line 61: not UTF-8"),
        ("", "is empty"),
        ("0\tonly ?\n" * 60, "no training sample of class 1, 2, 3, 4, 5"),
        (GOOD + "1\t" + "x" * 1_000_001, "line 61: longer than"),
    ],
)
def test_a_malformed_text_file_is_refused_by_line(
    questions: Callable[[str | bytes], None], text: str | bytes, message: str
) -> None:
    questions(text)
    with pytest.raises(DataError) as error:
        registry.spec("trec", {"validation": 12})
    assert message in str(error.value)


def test_a_file_that_is_no_gzip_and_one_that_is_cut_short_are_refused(own_data_dir: Path) -> None:
    folder = own_data_dir / "datasets" / "trec"
    put(folder, "trec6_test.tsv.gz", "0\tx\n")
    for content in (GOOD.encode(), gzip.compress(GOOD.encode())[:-9]):
        (folder / "trec6_train.tsv.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"trec6_train\.tsv\.gz cannot be read"):
            registry.spec("trec")


def test_too_large_a_validation_split_is_refused(questions: Callable[[str], None]) -> None:
    questions(GOOD)
    with pytest.raises(DataError, match="at least one must be left"):
        registry.spec("trec", {"validation": 60})
    with pytest.raises(InvalidConfig):
        registry.spec("trec", {"length": 0})


HEADER = (
    "age,workclass,fnlwgt,education,education-num,marital-status,occupation,relationship,race,sex,"
    "capital-gain,capital-loss,hours-per-week,native-country,income"
)


def row(i: int, **changes: str) -> str:
    values = dict(zip(HEADER.split(","), ["x"] * 15, strict=True)) | {
        "age": str(20 + i % 40),
        "fnlwgt": "100",
        "education-num": "9",
        "capital-gain": "0",
        "capital-loss": "0",
        "hours-per-week": "40",
        "workclass": "Private" if i % 2 else "State-gov",
        "income": ">50K" if i % 3 else "<=50K",
    }
    return ",".join((values | changes).values())


@pytest.fixture
def people(own_data_dir: Path) -> Callable[..., None]:
    """Puts a training file of these lines, and a good test file, where Adult is looked for."""

    def make(lines: list[str], test: list[str] | None = None) -> None:
        folder = own_data_dir / "datasets" / "adult"
        put(folder, "adult_train.csv.gz", "\n".join(lines) + "\n")
        put(folder, "adult_test.csv.gz", "\n".join(test or [HEADER, *(row(i) for i in range(9))]) + "\n")

    return make


ROWS = [HEADER, *(row(i) for i in range(60))]
OPTIONS = {"validation": 12, "min_count": 3}


def test_missing_rare_and_unseen_categories_have_codes_and_a_missing_number_is_the_mean(
    people: Callable[..., None],
) -> None:
    strange = [row(1, workclass="?", age=""), row(2, workclass="Never-seen"), row(3, workclass="Private")]
    people(ROWS, [HEADER, *strange])
    spec, test = registry.spec("adult", OPTIONS), registry.load_test("adult", OPTIONS)
    work = spec.columns[1]
    assert work.categories == ("(missing)", "(other)", "Private", "State-gov")
    assert test.x[:, 1].tolist() == [0, 1, 2]
    assert test.x[0, 0] == np.float32(spec.mean[0])
    assert normalize(test.x, spec)[0, 0] == pytest.approx(0, abs=1e-6)
    # columns that never change, or hold one category
    assert (spec.mean[2], spec.std[2]) == (100.0, 1.0)
    assert spec.columns[9].categories == ("(missing)", "(other)", "x")
    # with a higher bar the rare are others
    many = registry.spec("adult", {"validation": 12, "min_count": 100})
    assert all(n in (0, 2) for n in many.cardinalities)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*ROWS, "1,2,3"], "line 62: 3 fields, the header has 15"),
        ([*ROWS, ""], "line 62: 0 fields"),
        ([*ROWS, row(1, income="lots")], "line 62, column income: unknown label 'lots'; the labels are <=50K, >50K"),
        ([*ROWS, row(1, income="")], "line 62, column income: the target is missing"),
        ([*ROWS, row(1, age="old")], "line 62, column age: 'old' is no number"),
        ([*ROWS, row(1, age="nan")], "line 62, column age: 'nan' is no number"),
        ([HEADER.replace("income", "salary"), *ROWS[1:]], "no column is called 'income', the target"),
        ([HEADER.replace("fnlwgt", "age"), *ROWS[1:]], "line 1: column ['age'] more than once"),
        ([HEADER.replace("workclass", "work"), *ROWS[1:]], "line 1: column ['workclass'] missing"),
        ([HEADER], "holds no row"),
        ([HEADER, *(row(i, age="") for i in range(60))], "column age: no training row has a value"),
        ([HEADER, *(row(i, sex="?") for i in range(60))], "column sex: no training row has a value"),
        ([HEADER, *(row(i, income=">50K") for i in range(60))], "no training sample of class 0"),
        ([*ROWS, '"' + row(1)], "line 62"),
    ],
)
def test_a_malformed_table_is_refused_by_line_and_column(
    people: Callable[..., None], lines: list[str], message: str
) -> None:
    people(lines)
    with pytest.raises(DataError) as error:
        registry.spec("adult", OPTIONS)
    assert message in str(error.value)


def test_a_test_file_with_other_columns_is_refused(people: Callable[..., None]) -> None:
    people(ROWS, [HEADER.replace("age", "years"), row(1)])
    with pytest.raises(DataError, match="adult_test.csv.gz has other columns than adult_train.csv.gz"):
        registry.spec("adult", OPTIONS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"digit": np.full(40, 10, np.uint8)}, "clip 0 has the unknown label 10"),
        ({"offsets": np.r_[0:40, 39].astype(np.int32)}, "clip 39 is empty"),
        ({"offsets": np.arange(40)}, "do not belong together"),
        ({"samples": np.zeros(600)}, "samples are float64"),
        ({"take": np.full(40, 9, np.uint8)}, "no test split"),
        ({"take": None}, "cannot be read"),
        ({"samples": np.array([None] * 600)}, "cannot be read"),
    ],
)
def test_a_malformed_file_of_clips_is_refused(own_data_dir: Path, changes: dict[str, object], message: str) -> None:
    folder = own_data_dir / "datasets" / "fsdd"
    folder.mkdir(parents=True)
    good = {
        "samples": np.arange(600, dtype=np.int16),
        "offsets": np.arange(41, dtype=np.int32) * 15,
        "digit": np.arange(40, dtype=np.uint8) % 10,
        "take": np.repeat([0, 5, 6, 7], 10).astype(np.uint8),
    }
    options = {"validation": 10}
    np.savez_compressed(folder / "fsdd_dev_4speakers.npz", **good)
    assert registry.spec("fsdd", options).sizes == {"train": 20, "validation": 10, "test": 10}
    np.savez_compressed(
        folder / "fsdd_dev_4speakers.npz", **{k: v for k, v in (good | changes).items() if v is not None}
    )
    with pytest.raises(DataError, match=message):
        registry.spec("fsdd", options)


def test_preprocessing_is_json(samples: Path) -> None:
    for name in registry.sources():
        if registry.datasets()[name].available:
            json.dumps(registry.preprocessing(name))
    assert registry.preprocessing("digits") is None
