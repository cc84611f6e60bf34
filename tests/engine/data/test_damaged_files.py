"""Files put in the data directory: what is read from good ones, and where a damaged one is refused."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.data import registry
from engine.data.arrays import normalize
from engine.errors import DataError, InvalidConfig

pytestmark = pytest.mark.usefixtures("own_data_dir")


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
