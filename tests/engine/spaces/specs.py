"""Data specifications to try spaces on; no arrays behind them."""

from engine.data.spec import Column, DataSpec


def data_spec(
    shape: tuple[int, ...],
    n_classes: int = 10,
    name: str = "made up",
    *,
    vocabulary: int = 0,
    columns: tuple[Column, ...] = (),
) -> DataSpec:
    channels = shape[0] if len(shape) > 1 or not vocabulary else 1
    return DataSpec(
        name=name,
        kind={1: "text" if vocabulary else "table", 2: "signal", 3: "image"}[len(shape)],
        input_shape=shape,
        n_classes=n_classes,
        class_names=tuple(map(str, range(n_classes))),
        sizes={"train": 1077, "validation": 360, "test": 360},
        digest="0" * 64,
        split_digest="1" * 64,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        vocabulary=vocabulary,
        columns=columns,
    )


def _column(i: int, categories: int) -> Column:
    return Column(name=f"column {i}", categories=tuple(f"category {k}" for k in range(categories)))


DIGITS = data_spec((1, 8, 8), name="digits")
PHOTOS = data_spec((3, 18, 13), n_classes=7, name="odd photos")
SIGNAL = data_spec((2, 65), n_classes=3, name="signal")
TEXT = data_spec((11,), n_classes=6, name="text", vocabulary=40)
TABLE = data_spec((12,), n_classes=2, name="table")
MIXED = data_spec(
    (7,), n_classes=2, name="mixed table", columns=tuple(_column(i, k) for i, k in enumerate((0, 0, 0, 3, 9, 2, 300)))
)
ALL = (DIGITS, PHOTOS, SIGNAL, TEXT, TABLE, MIXED)
CIFAR = data_spec((3, 32, 32), name="CIFAR size")
