"""Readers of text, signals and tables on the published sets: specs, splits, and what is said of an absent set."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.data import registry, store
from engine.data.arrays import normalize
from engine.data.signals import fit
from engine.data.text import encode, tokens, vocabulary
from engine.errors import DataError

SAMPLES = store.samples_folder()
LOCAL = {"trec": "text", "sst2": "text", "fsdd": "signal", "adult": "table"}

pytestmark = pytest.mark.usefixtures("own_data_dir")  # no sample data but where a test asks for it


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


def test_preprocessing_is_json(samples: Path) -> None:
    for name in registry.sources():
        if registry.datasets()[name].available:
            json.dumps(registry.preprocessing(name))
    assert registry.preprocessing("digits") is None


# -- what is not here -----------------------------------------------------------------------------
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
