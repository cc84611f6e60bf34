"""What only torchvision may fetch or open, each file only after its MD5 was checked. Loads torch: children only."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import DataError

if TYPE_CHECKING:
    from engine.data.images import ImageSet


def download_idx(source: ImageSet, scratch: Path) -> tuple[Path, ...]:
    """Downloads the four idx files into `scratch`, each checked against the registry's MD5.

    Raises:
        DataError: no network, or other content than published.
    """
    from torchvision.datasets.utils import download_url

    from engine.data.images import IDX_FILES

    paths = []
    for name, md5 in zip(IDX_FILES, source.md5, strict=True):
        try:
            download_url(f"{source.mirror}{name}.gz", str(scratch), md5=md5)
        except (OSError, RuntimeError) as e:
            raise _unreachable(source, e) from e
        paths.append(scratch / f"{name}.gz")
    return tuple(paths)


def read(source: ImageSet, paths: tuple[Path, ...] | None, scratch: Path) -> dict[str, NDArray[Any]]:
    """Reads a set through torchvision, which checks the MD5 of every file before it opens it.

    Args:
        source: the set.
        paths: its files on this machine (batch folder, archive or `.mat` files), or None to download.
        scratch: where archives are unpacked.

    Raises:
        DataError: no network, damaged or foreign files.
    """
    import torchvision.datasets

    root, download = scratch, True
    if paths is not None:
        if paths[0].suffixes[-2:] == [".tar", ".gz"]:
            _expect_md5(source, paths[0], getattr(torchvision.datasets, source.torchvision).tgz_md5)
            shutil.copyfile(paths[0], scratch / paths[0].name)  # torchvision finds it there and unpacks it there
        else:
            root, download = paths[0].parent, False
    try:
        train, test = (_open(source, str(root), part, download) for part in ("train", "test"))
    except (OSError, RuntimeError) as e:
        if paths is None:
            raise _unreachable(source, e) from e
        raise DataError(f"{source.title} in {paths[0].parent} was refused, nothing was opened: {e}") from e
    return {"train_x": train[0], "train_y": train[1], "test_x": test[0], "test_y": test[1]}


def _open(source: ImageSet, root: str, part: str, download: bool) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Images (n, C, H, W) uint8 and classes (n,) of one official split."""
    import torchvision.datasets

    cls = getattr(torchvision.datasets, source.torchvision)
    if source.torchvision == "SVHN":
        opened = cls(root, split=part, download=download)
        return np.ascontiguousarray(opened.data), np.asarray(opened.labels, dtype=np.int64)
    opened = cls(root, train=part == "train", download=download)
    return np.ascontiguousarray(opened.data.transpose(0, 3, 1, 2)), np.asarray(opened.targets, dtype=np.int64)


def _expect_md5(source: ImageSet, path: Path, md5: str) -> None:
    from torchvision.datasets.utils import calculate_md5

    found = calculate_md5(str(path))
    if found != md5:
        raise DataError(f"{path} is not the published {source.title} archive: MD5 {found} instead of {md5}; not opened")


def _unreachable(source: ImageSet, error: Exception) -> DataError:
    names = " or ".join(" + ".join(names) for names in source.files)
    return DataError(
        f"{source.title} is not on this machine and could not be downloaded ({error}). "
        f"Put {names} into the data set's folder, or name a folder that holds them in the option `folder`."
    )
