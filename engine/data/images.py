"""torchvision's classic image sets: from a local folder, or downloaded by torchvision on first use.

Reading idx files, describing and splitting need numpy only. What torchvision must read itself (CIFAR's archives hold
pickles, which it opens only after checking their digest) happens in `torchvision_sets`, in a worker's child.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from engine.data import idx, store
from engine.data.arrays import Arrays, Split, Tell
from engine.data.spec import DataSpec
from engine.data.split import Indices, digest, stratified
from engine.errors import DataError

#: idx files in the order train images, train labels, test images, test labels
IDX_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
BYTES = 255.0


class ImageOptions(BaseModel):
    """Options of an image set with an official test split."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_seed: int = Field(0, ge=0, lt=2**32, description="Which samples are set aside for validation.")
    validation: int | None = Field(
        None, ge=1, description="Samples set aside for validation; empty = the set's usual number."
    )
    train: int | None = Field(
        None, ge=1, description="Train on at most so many samples, the classes in proportion; empty = all."
    )
    folder: str = Field(
        "", max_length=1000, description="Folder on the worker with the set's own files; empty = the data directory."
    )


@dataclass(frozen=True)
class ImageSet:
    """One set of the registry.

    Attributes:
        name, title, summary: as everywhere.
        torchvision: class in `torchvision.datasets`.
        shape: (C, H, W).
        class_names: one per class.
        n_train, n_test: official sizes.
        n_validation: taken off the training split unless an option says otherwise.
        mean, std: published, per channel, of the official training split scaled to 0..1. Fixed here, so that a search
            described before its data was ever read normalizes as one described after.
        download_mb: what the first use fetches.
        files: names that, all together in a folder, are this set (any of the alternatives).
        md5: of the idx files, in the order of `IDX_FILES`; empty for sets that torchvision reads.
        mirror: where the idx files are.
    """

    name: str
    title: str
    summary: str
    torchvision: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    n_train: int
    n_test: int
    n_validation: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    download_mb: int
    files: tuple[tuple[str, ...], ...]
    md5: tuple[str, ...] = ()
    mirror: str = ""
    Options: type[BaseModel] = ImageOptions

    # -- where it is --------------------------------------------------------------------------
    def places(self, options: ImageOptions) -> list[Path]:
        """Folders that may hold the set's own files, in the order they are looked at."""
        if options.folder:
            given = Path(options.folder).expanduser()
            return [given, given / self.torchvision / "raw"]
        here = store.datasets_folder(self.name)
        return [here, here / self.torchvision / "raw", store.samples_folder() / "images" / self.name]

    def local(self, options: ImageOptions) -> tuple[Path, ...] | None:
        """The set's own files on this machine, or None."""
        for folder in self.places(options):
            for names in self.files:
                paths = tuple(folder / name for name in names)
                if all(path.exists() for path in paths):
                    return paths
        return None

    def prepared(self, options: ImageOptions) -> Path:
        """Where the arrays are, or will be, as `.npy` files. Other files in the given folder make another place."""
        if not options.folder:
            return store.datasets_folder(self.name) / "arrays"
        paths = self.local(options)
        if paths is None:
            looked = ", ".join(" + ".join(names) for names in self.files)
            raise DataError(f"the folder {options.folder} does not hold {self.title}: it should contain {looked}")
        marks = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
        key = hashlib.sha256(json.dumps(marks).encode()).hexdigest()[:16]
        return store.datasets_folder(self.name) / f"arrays-{key}"

    def availability(self, options: ImageOptions | None = None) -> tuple[bool, str]:
        """Whether it can be read without a network, and how."""
        options = options or ImageOptions()
        if store.is_prepared(self.prepared(options)):
            return True, "on this machine"
        paths = self.local(options)
        if paths is not None:
            return True, f"found in {paths[0].parent}"
        return False, f"not on this machine: downloads {self.download_mb:,} MB on first use"

    # -- reading ------------------------------------------------------------------------------
    def _ready(self, options: ImageOptions, tell: Tell | None) -> Path:
        """The prepared folder, made now if needed: a worker's child may download here."""
        folder = self.prepared(options)
        if store.is_prepared(folder):
            return folder
        paths = self.local(options)
        if tell is not None:
            doing = f"reading {paths[0].parent}" if paths else f"downloading {self.download_mb:,} MB"
            tell({"kind": "log", "what": "data", "message": f"{self.title}: {doing}"})
        store.prepare(folder, lambda scratch: self._read(paths, scratch))
        return folder

    def _read(self, paths: tuple[Path, ...] | None, scratch: Path) -> dict[str, NDArray[Any]]:
        from engine.data import torchvision_sets

        if not self.md5:
            return self._checked(torchvision_sets.read(self, paths, scratch))
        if paths is None:
            paths = torchvision_sets.download_idx(self, scratch)
        return self._read_idx(paths)

    def _read_idx(self, paths: tuple[Path, ...]) -> dict[str, NDArray[Any]]:
        train_x, train_y, test_x, test_y = (idx.read(p, 3 - 2 * (i % 2)) for i, p in enumerate(paths))
        return self._checked(
            {
                "train_x": train_x[:, None],  # (n, 1, H, W)
                "train_y": train_y.astype(np.int64),
                "test_x": test_x[:, None],
                "test_y": test_y.astype(np.int64),
            }
        )

    def _checked(self, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        for part in ("train", "test"):
            x, y = arrays[f"{part}_x"], arrays[f"{part}_y"]
            if x.shape != (len(y), *self.shape):
                raise DataError(
                    f"{self.title}, {part}: images {x.shape} and {len(y):,} labels; expected (n, {self.shape})"
                )
            if y.min() < 0 or y.max() >= len(self.class_names):
                raise DataError(f"{self.title}, {part}: labels {y.min()}..{y.max()}, {len(self.class_names)} classes")
        return arrays

    # -- the data set's contract --------------------------------------------------------------
    def spec(self, options: Any) -> DataSpec:
        """The spec; without a digest while the set is not on this machine."""
        if options.folder or self.availability(options)[0]:
            folder = self.prepared(options)
            if not store.is_prepared(folder) and self.md5:
                self._ready(options, None)
            if store.is_prepared(folder):
                return self._spec(folder, options)
        taken = options.validation or self.n_validation
        n_train = self.n_train - taken
        if n_train < 1:
            raise DataError(f"{self.title} has {self.n_train:,} training samples: {taken:,} for validation leave none")
        return self._make(min(n_train, options.train or n_train), taken, self.n_test, "", "")

    def load(self, options: Any, tell: Tell | None = None) -> Arrays:
        """Training and validation split; fetches and prepares the set where needed."""
        folder = self._ready(options, tell)
        x, y = store.open_array(folder, "train_x"), store.open_array(folder, "train_y")
        train, validation = self._indices(folder, options)
        spec = self._spec(folder, options)
        return Arrays(spec, Split(x[train], y[train]), Split(x[validation], y[validation]))

    def load_test(self, options: Any) -> Split:
        """The official test split, sealed until the final training."""
        folder = self._ready(options, None)
        return Split(np.array(store.open_array(folder, "test_x")), np.array(store.open_array(folder, "test_y")))

    def preprocessing(self, options: Any) -> None:
        """Nothing beside the spec."""
        return None

    def _indices(self, folder: Path, options: ImageOptions) -> tuple[Indices, Indices]:
        return _split(
            folder, len(self.class_names), options.validation or self.n_validation, options.train, options.split_seed
        )

    def _spec(self, folder: Path, options: ImageOptions) -> DataSpec:
        content = store.about(folder)
        key = hashlib.sha256(options.model_dump_json(exclude={"folder"}).encode()).hexdigest()[:16]
        cached = folder / f"spec-{key}.json"
        if cached.is_file():
            return DataSpec.model_validate_json(cached.read_text())
        train, validation = self._indices(folder, options)
        out = self._make(
            len(train),
            len(validation),
            content["shapes"]["test_y"][0],
            content["digest"],
            digest(train.astype(np.int64), validation.astype(np.int64)),
        )
        store.write_json(cached, out.model_dump(mode="json"))
        return out

    def _make(self, n_train: int, n_validation: int, n_test: int, content: str, split: str) -> DataSpec:
        return DataSpec(
            name=self.name,
            kind="image",
            input_shape=self.shape,
            n_classes=len(self.class_names),
            class_names=self.class_names,
            sizes={"train": n_train, "validation": n_validation, "test": n_test},
            digest=content,
            split_digest=split,
            mean=self.mean,
            std=self.std,
            scale=BYTES,
        )


@lru_cache(maxsize=8)
def _split(folder: Path, n_classes: int, taken: int, train: int | None, seed: int) -> tuple[Indices, Indices]:
    y = np.array(store.open_array(folder, "train_y"))
    missing = np.flatnonzero(np.bincount(y, minlength=n_classes) == 0)
    if missing.size:
        raise DataError(f"{folder.parent.name}: no training sample of class {missing.tolist()}")
    rng = np.random.default_rng([seed, len(y)])
    rest, validation = stratified(y, taken, rng)
    if train is not None and train < len(rest):
        rest = rest[stratified(y[rest], train, rng)[1]]
    return rest, validation
