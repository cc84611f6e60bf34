"""Where data sets live on disk, and how one is put there: whole or not at all, by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.data.split import digest
from engine.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
#: what a prepared data set consists of; the test arrays are files of their own, so that sealing them is simple
FILES = ("train_x", "train_y", "test_x", "test_y")


def data_folder() -> Path:
    """`NASWEB_DATA_DIR`, or `var/` beside the code."""
    return Path(os.environ.get("NASWEB_DATA_DIR") or REPOSITORY / "var").expanduser().resolve()


def datasets_folder(name: str) -> Path:
    """Where a data set's files are put and looked for."""
    return data_folder() / "datasets" / name


def samples_folder() -> Path:
    """`NASWEB_TEST_DATA`, or `../shared/data` beside the repository; it need not exist."""
    return Path(os.environ.get("NASWEB_TEST_DATA") or REPOSITORY.parent / "shared" / "data").expanduser().resolve()


def is_prepared(folder: Path) -> bool:
    """Whether a prepared data set lies there (it is put there by one rename, so it is whole)."""
    return (folder / "about.json").is_file()


def about(folder: Path) -> dict[str, Any]:
    """`{"digest", "shapes"}` of a prepared data set."""
    value: dict[str, Any] = json.loads((folder / "about.json").read_text())
    return value


def open_array(folder: Path, name: str) -> NDArray[Any]:
    """One array of a prepared data set, mapped read-only; object arrays are refused.

    Raises:
        DataError: missing or damaged.
    """
    try:
        out: NDArray[Any] = np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as e:
        raise DataError(f"{folder / name}.npy cannot be read ({e}): delete {folder} and it is prepared anew") from e
    return out


def prepare(folder: Path, read: Callable[[Path], Mapping[str, NDArray[Any]]]) -> None:
    """Makes a prepared data set at `folder` unless there is one.

    A second process waits for the first one. `read` is given an empty scratch folder on the same disk.

    Raises:
        DataError: the disk does not take it, or whatever `read` raises.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f".{folder.name}.lock"):
            if is_prepared(folder):
                return
            scratch = Path(tempfile.mkdtemp(prefix=".preparing-", dir=folder.parent))
            try:
                arrays = read(scratch)
                made = scratch / "made"
                made.mkdir()
                for name in FILES:
                    np.save(made / f"{name}.npy", arrays[name], allow_pickle=False)
                shapes = {name: list(arrays[name].shape) for name in FILES}
                content = digest(*(arrays[name] for name in FILES))
                (made / "about.json").write_text(json.dumps({"digest": content, "shapes": shapes}))
                if folder.exists():
                    shutil.rmtree(folder)
                made.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as e:
        raise DataError(f"the data set cannot be put into {folder}: {e}") from e


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes a small cache file in one step. A disk that is full or read-only only costs the cache."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        temporary.write_text(json.dumps(value))
        temporary.replace(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
