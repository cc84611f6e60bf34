"""The registry of data sets: splits, specs without torch, local folders, refused files."""

import gzip
import hashlib
import http.server
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from engine.data import image_sets, images, registry, store
from engine.data.arrays import normalize
from engine.data.split import digest
from engine.errors import DataError, InvalidConfig

#: where the samples really are; the tests here look elsewhere unless they say so
SAMPLES = store.samples_folder()


@pytest.fixture(autouse=True)
def empty_data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data directory of its own, and no sample data beside the repository."""
    monkeypatch.setenv("NASWEB_DATA_DIR", str(tmp_path / "var"))
    monkeypatch.setenv("NASWEB_TEST_DATA", str(tmp_path / "absent"))
    return tmp_path / "var"


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        file.write(head + array.tobytes())


@pytest.fixture
def little_mnist(tmp_path: Path) -> Path:
    """A folder with 200 + 50 pictures in the format of MNIST."""
    folder = tmp_path / "mine"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, n in (("train", 200), ("t10k", 50)):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", rng.integers(0, 256, (n, 28, 28)).astype(np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", (np.arange(n) % 10).astype(np.uint8))
    return folder


def test_digits_are_ready_and_split_1077_360_360_with_no_sample_in_two_parts() -> None:
    spec = registry.spec("digits")
    assert (spec.input_shape, spec.n_classes, spec.scale) == ((1, 8, 8), 10, 16.0)
    assert spec.sizes == {"train": 1077, "validation": 360, "test": 360}
    arrays, test = registry.load("digits"), registry.load_test("digits")
    assert arrays.spec == spec
    parts = [arrays.train, arrays.validation, test]
    assert [len(p) for p in parts] == [1077, 360, 360]
    for part in parts:
        assert part.x.dtype == np.uint8
        assert part.y.dtype == np.int64
        shares = np.bincount(part.y) / len(part)
        assert np.abs(shares - 0.1).max() < 0.006
    from sklearn.datasets import load_digits

    whole = load_digits()
    mine = np.concatenate([np.column_stack([p.x.reshape(len(p), 64), p.y]) for p in parts])
    theirs = np.column_stack([whole.data, whole.target]).astype(int)
    assert sorted(map(tuple, mine.tolist())) == sorted(map(tuple, theirs.tolist()))


def test_the_split_seed_changes_the_split_and_not_the_content() -> None:
    a, b = registry.spec("digits"), registry.spec("digits", {"split_seed": 1})
    assert a.digest == b.digest
    assert a.split_digest != b.split_digest


def test_normalized_training_data_has_mean_0_and_deviation_1() -> None:
    arrays = registry.load("digits")
    x = normalize(arrays.train.x, arrays.spec)
    assert x.dtype == np.float32
    assert abs(float(x.mean())) < 1e-4
    assert abs(float(x.std()) - 1) < 1e-4


def test_unknown_names_and_options_are_named() -> None:
    with pytest.raises(InvalidConfig, match="'nope'.*digits.*cifar10"):
        registry.spec("nope")
    with pytest.raises(InvalidConfig) as error:
        registry.spec("digits", {"split_seed": -1, "colour": "red"})
    assert {path for path, _ in error.value.errors} == {("data", "split_seed"), ("data", "colour")}


def test_what_is_not_here_has_a_known_spec_without_digest_and_says_what_a_first_use_costs() -> None:
    info = registry.datasets()["cifar10"]
    assert not info.available
    assert info.how == "not on this machine: downloads 170 MB on first use"
    spec = registry.spec("cifar10", {"validation": 4000, "train": 100})
    assert (spec.input_shape, spec.n_classes, spec.digest) == ((3, 32, 32), 10, "")
    assert spec.sizes == {"train": 100, "validation": 4000, "test": 10_000}
    assert registry.datasets()["digits"].available
    assert len(registry.spec("cifar100").class_names) == len(set(registry.spec("cifar100").class_names)) == 100


def test_a_local_folder_is_read_split_and_cached(little_mnist: Path, empty_data_dir: Path) -> None:
    options = {"folder": str(little_mnist), "validation": 40, "train": 100}
    spec = registry.spec("mnist", options)
    assert spec.sizes == {"train": 100, "validation": 40, "test": 50}
    assert spec.digest
    arrays = registry.load("mnist", options)
    assert arrays.spec == spec
    assert arrays.train.x.shape == (100, 1, 28, 28)
    assert np.bincount(arrays.validation.y).tolist() == [4] * 10
    raw = gzip.decompress((little_mnist / "t10k-images-idx3-ubyte.gz").read_bytes())[16:]
    assert registry.load_test("mnist", options).x.tobytes() == raw
    assert list((empty_data_dir / "datasets" / "mnist").glob("arrays-*/spec-*.json"))
    # other content in the same folder is another data set
    write_idx(little_mnist / "train-images-idx3-ubyte.gz", np.zeros((200, 28, 28), np.uint8))
    assert registry.spec("mnist", options).digest != spec.digest


def test_the_set_s_own_place_in_the_data_directory_is_found(little_mnist: Path, empty_data_dir: Path) -> None:
    (empty_data_dir / "datasets").mkdir(parents=True)
    little_mnist.rename(empty_data_dir / "datasets" / "mnist")
    assert registry.datasets()["mnist"].available
    assert registry.load("mnist", {"validation": 20}).spec.sizes["train"] == 180
    assert registry.datasets()["mnist"].how == "on this machine"


def test_a_folder_without_the_files_says_which_are_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train-images-idx3-ubyte.gz"):
        registry.spec("fashion_mnist", {"folder": str(tmp_path)})


def damage(folder: Path, how: str) -> None:
    path = folder / "train-images-idx3-ubyte.gz"
    content = gzip.decompress(path.read_bytes())
    if how == "cut short":
        content = content[:-1]
    elif how == "behind its data":
        content += b"!"
    elif how == "does not start like":
        content = b"\x89PNG" + content
    elif how == "announces an array":
        content = content[:4] + struct.pack(">3I", 2**31, 2**31, 28)
    elif how == "ends inside its header":
        content = content[:9]
    elif how == "expected":
        content = bytes([0, 0, 8, 3]) + struct.pack(">3I", 200, 5, 5) + bytes(5000)
    path.write_bytes(content if how == "cannot be read" else gzip.compress(content))


@pytest.mark.parametrize(
    "how",
    [
        "cut short",
        "behind its data",
        "does not start like",
        "announces an array",
        "ends inside its header",
        "expected",
        "cannot be read",
    ],
)
def test_damaged_files_are_refused_and_leave_nothing_behind(little_mnist: Path, empty_data_dir: Path, how: str) -> None:
    damage(little_mnist, how)
    with pytest.raises(DataError, match=how):
        registry.spec("mnist", {"folder": str(little_mnist)})
    left = [p for p in (empty_data_dir / "datasets" / "mnist").iterdir() if p.suffix != ".lock"]
    assert left == []


def test_labels_beyond_the_classes_and_missing_classes_are_refused(little_mnist: Path) -> None:
    labels = little_mnist / "train-labels-idx1-ubyte.gz"
    write_idx(labels, np.full(200, 10, np.uint8))
    with pytest.raises(DataError, match="labels 10..10, 10 classes"):
        registry.spec("mnist", {"folder": str(little_mnist), "validation": 20})
    write_idx(labels, (np.arange(200) % 9).astype(np.uint8))
    with pytest.raises(DataError, match=r"no training sample of class \[9\]"):
        registry.spec("mnist", {"folder": str(little_mnist), "validation": 20})


class Bomb:
    """Unpickling it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("form", ["folder", "archive"])
def test_a_forged_cifar_pickle_is_never_opened(tmp_path: Path, form: str) -> None:
    canary = tmp_path / "canary"
    batches = tmp_path / "forged" / "cifar-10-batches-py"
    batches.mkdir(parents=True)
    for name in ["test_batch", "batches.meta", *(f"data_batch_{i}" for i in range(1, 6))]:
        (batches / name).write_bytes(pickle.dumps({"data": Bomb(canary), "labels": []}))
    given = batches.parent
    if form == "archive":
        given = tmp_path / "archive"
        given.mkdir()
        with tarfile.open(given / "cifar-10-python.tar.gz", "w:gz") as archive:
            archive.add(batches, batches.name)
    with pytest.raises(DataError, match="refused|not the published"):
        registry.load("cifar10", {"folder": str(given)})
    assert not canary.exists()
    pickle.loads(pickle.dumps(Bomb(canary)))  # the trap itself works
    assert canary.exists()


def test_an_object_array_in_the_cache_is_never_unpickled(little_mnist: Path) -> None:
    options = {"folder": str(little_mnist), "validation": 20}
    registry.load("mnist", options)
    folder = next(store.datasets_folder("mnist").glob("arrays-*"))
    canary = folder / "canary"
    np.save(folder / "test_x.npy", np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        registry.load_test("mnist", options)
    assert not canary.exists()


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without writing to the terminal."""

    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_a_download_is_checked_and_told(
    little_mnist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Through torchvision's own downloader, from a mirror on this machine."""
    handler = partial(SilentHandler, directory=str(little_mnist))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    request.addfinalizer(server.shutdown)
    mirror = f"http://127.0.0.1:{server.server_port}/"
    md5 = tuple(
        hashlib.md5((little_mnist / f"{name}.gz").read_bytes(), usedforsecurity=False).hexdigest()
        for name in images.IDX_FILES
    )
    real = next(s for s in image_sets.IMAGES if s.name == "mnist")
    said: list[dict] = []
    good = replace(real, mirror=mirror, md5=md5)
    arrays = good.load(images.ImageOptions(validation=20), said.append)
    assert len(arrays.train) == 180
    assert said == [{"kind": "log", "what": "data", "message": "MNIST: downloading 12 MB"}]
    monkeypatch.setenv("NASWEB_DATA_DIR", str(tmp_path / "other"))
    with pytest.raises(DataError, match="could not be downloaded"):
        replace(good, md5=("0" * 32, *md5[1:])).load(images.ImageOptions(validation=20))
    assert not registry.datasets()["mnist"].available


def test_without_a_network_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import urllib.request

    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    with pytest.raises(DataError, match=r"cifar-10-python.tar.gz.*option `folder`"):
        registry.load("cifar10")


def test_specs_and_lists_need_no_torch(little_mnist: Path) -> None:
    code = f"""
import sys
from engine.data import registry
registry.datasets(); registry.spec("digits"); registry.spec("svhn"); registry.load("digits")
registry.spec("mnist", {{"folder": {str(little_mnist)!r}, "validation": 20}})
import engine.evaluation.trained
print([m for m in ("torch", "torchvision", "sklearn") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_two_processes_that_prepare_at_once_make_one_set(little_mnist: Path) -> None:
    code = f"""
from engine.data import registry
print(registry.spec("mnist", {{"folder": {str(little_mnist)!r}, "validation": 20}}).model_dump_json())
"""
    running = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    answers = {p.communicate(timeout=60)[0] for p in running}
    assert len(answers) == 1
    assert json.loads(answers.pop())["sizes"]["train"] == 180
    assert len(list(store.datasets_folder("mnist").glob("arrays-*"))) == 1


def test_the_real_fashion_mnist_has_its_published_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (SAMPLES / "images" / "fashion_mnist").is_dir():
        pytest.skip(f"NASWEB_TEST_DATA is absent: {SAMPLES}/images/fashion_mnist")
    monkeypatch.setenv("NASWEB_TEST_DATA", str(SAMPLES))
    arrays = registry.load("fashion_mnist")
    assert arrays.spec.sizes == {"train": 50_000, "validation": 10_000, "test": 10_000}
    assert np.bincount(arrays.validation.y).tolist() == [1000] * 10
    assert abs(arrays.train.x.mean() / 255 - arrays.spec.mean[0]) < 1e-3
    assert abs(arrays.train.x.std() / 255 - arrays.spec.std[0]) < 1e-3
    test = registry.load_test("fashion_mnist")
    assert len(test) == 10_000
    assert arrays.spec.digest != digest(test.x)
