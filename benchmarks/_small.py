"""Real images at a size that two cores can do, and trainings on them, shared by the benchmarks of supernets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.architecture import Architecture
from engine.data.arrays import Arrays, Split
from engine.data.spec import DataSpec

#: where prepared images and finished pieces of a run lie
CACHE = Path(os.environ.get("NASWEB_BENCH_CACHE", Path(tempfile.gettempdir()) / "nasweb-bench"))


def test_data() -> Path:
    """The folder with real data.

    Raises:
        SystemExit: it is not there.
    """
    folder = Path(os.environ.get("NASWEB_TEST_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"real data is needed: set NASWEB_TEST_DATA (there is no {folder})")
    return folder


@cache
def images(name: str, side: int, n_train: int, n_validation: int) -> Arrays:
    """Training and validation images, shrunk by averaging whole windows.

    Args:
        name: "fashion_mnist", or "cifar10" (JPEG copies: never quote an accuracy on them as CIFAR-10's).
        side: pixels, a divisor of the original's.
        n_train, n_validation: drawn from the training images, the same ones always.
    """
    x, y = _fashion() if name == "fashion_mnist" else _cifar()
    order = np.random.default_rng(0).permutation(len(y))[: n_train + n_validation]
    x, y = x[order], y[order]
    by = x.shape[2] // side
    n, c = x.shape[:2]
    x = x.reshape(n, c, side, by, side, by).astype(np.float32).mean(axis=(3, 5))
    train, validation = Split(x[:n_train], y[:n_train]), Split(x[n_train:], y[n_train:])
    digest = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    scaled = train.x / 255
    spec = DataSpec(
        name=f"{name} {side}x{side}", kind="image", input_shape=x.shape[1:], n_classes=10,
        class_names=tuple(map(str, range(10))), sizes={"train": n_train, "validation": n_validation, "test": 0},
        digest=digest, split_digest=digest, mean=tuple(scaled.mean(axis=(0, 2, 3)).tolist()),
        std=tuple(scaled.std(axis=(0, 2, 3)).tolist()), scale=255.0,
    )  # fmt: skip
    return Arrays(spec, train, validation)


def _fashion() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from engine.data import idx

    folder = test_data() / "images" / "fashion_mnist"
    x = idx.read(folder / "train-images-idx3-ubyte.gz", 3)
    return x[:, None], idx.read(folder / "train-labels-idx1-ubyte.gz", 1).astype(np.int64)


def _cifar() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The training images, decoded once and kept in the cache."""
    from PIL import Image

    path = CACHE / "cifar10_train.npz"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        found: dict[str, list[NDArray[np.uint8]]] = {}
        with tarfile.open(test_data() / "images" / "cifar10" / "cifar10_jpeg.tar.xz") as archive:
            for member in archive:
                split, *rest = member.name.split("/")[1:] or [""]
                if member.isfile() and split == "train" and len(rest) == 2 and (file := archive.extractfile(member)):
                    found.setdefault(rest[0], []).append(np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB")))
        names = sorted(found)
        x = np.concatenate([np.stack(found[n]) for n in names]).transpose(0, 3, 1, 2)
        y = np.repeat(np.arange(len(names)), [len(found[n]) for n in names])
        part = path.with_name(f".{os.getpid()}.npz")
        np.savez(part, x=x, y=y)
        part.replace(path)
    with np.load(path, allow_pickle=False) as held:
        return held["x"], held["y"]


def stand_alone(arrays: Arrays, space: Any, architecture: Architecture, *, epochs: int, seed: int) -> float:
    """Validation accuracy of one network trained by itself with the product's own recipe."""
    import torch

    from engine.config import Recipe
    from engine.network.build import build
    from engine.training.device import choose_device, repeatable
    from engine.training.loop import DeviceData, Trainer

    device, setting, recipe = choose_device(), fast(), Recipe(batch_size=128)
    with repeatable(device, 1):
        data = DeviceData.of(arrays, recipe, setting, device)
        trainer = Trainer(
            build(space.plan(architecture), seed=seed), data, recipe=recipe, setting=setting, device=device,
            epochs=epochs, seed=seed,
        )  # fmt: skip
        torch.manual_seed(seed)
        return trainer.run(epochs, lambda event: None, lambda: None).accuracy


def fast() -> Any:
    """The faster setting of this kind of machine, fixed so that runs can be compared."""
    from engine.training.device import Setting, choose_device

    info = Path("/proc/cpuinfo")
    bf16 = choose_device().type == "cuda" or (info.exists() and "avx512_bf16" in info.read_text())
    return Setting(precision="bfloat16" if bf16 else "float32", layout="channels_last")


def supernet(
    arrays: Arrays,
    space: Any,
    method: str,
    options: Mapping[str, Any],
    *,
    seed: int,
    recipe: Mapping[str, Any] | None = None,
) -> tuple[Any, list[dict[str, Any]], Any]:
    """Trains one supernet. Returns its learner, the rows of its epochs, and the data on the device."""
    from engine import catalog
    from engine.config import Recipe
    from engine.supernets.nets.learner import Setup
    from engine.supernets.nets.training import SupernetTrainer
    from engine.training.device import choose_device, repeatable
    from engine.training.loop import DeviceData

    cls = catalog.get("strategy", method)
    device, setting, augmented = choose_device(), fast(), Recipe(**recipe or {})
    given = {k: v for k, v in options.items() if k in cls.Options.model_fields}
    with repeatable(device, 1):
        data = DeviceData.of(arrays, augmented, setting, device)
        setup = Setup(
            space=space, options=cls.Options(**given), device=device, setting=setting, seed=seed,
            epochs=int(options["epochs"]), samples=len(arrays.train), latency_ms=options.get("latency_ms", {}),
        )  # fmt: skip
        trainer = SupernetTrainer(cls.learner(setup), data, augmented, {})
        trainer.run(lambda event: None, lambda: None)
        return trainer.learner, trainer.progress.rows, data


def pieces(
    work: Callable[[Mapping[str, Any]], Any], asked: Sequence[Mapping[str, Any]], *, name: str, processes: int
) -> Iterator[tuple[Mapping[str, Any], Any]]:
    """Does pieces in processes of one thread each; finished ones are found again in the cache.

    Args:
        work: a function of a module, of one piece (JSON) to JSON.
        asked: the pieces.
        name: of the benchmark.
        processes: side by side.

    Yields:
        (piece, result) as they are done.
    """
    folder = CACHE / name
    folder.mkdir(parents=True, exist_ok=True)
    open_: list[tuple[Mapping[str, Any], Path]] = []
    for piece in asked:
        key = hashlib.sha256(json.dumps(piece, sort_keys=True).encode()).hexdigest()[:24]
        path = folder / f"{key}.json"
        if path.exists():
            yield piece, json.loads(path.read_text())
        else:
            open_.append((piece, path))
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, mp_context=get_context("forkserver")) as pool:
        running = {pool.submit(_kept, work, piece, path): piece for piece, path in open_}
        try:
            for done in as_completed(running):
                yield running[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _kept(work: Callable[[Mapping[str, Any]], Any], piece: Mapping[str, Any], path: Path) -> Any:
    """Does a piece and writes what came of it, in the process that did it: another piece's failure loses nothing."""
    result = work(piece)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(result))
    part.replace(path)
    return result
