"""Data specifications to try spaces on; no arrays behind them."""

from engine.data.spec import DataSpec


def data_spec(shape: tuple[int, ...], n_classes: int = 10, name: str = "made up") -> DataSpec:
    channels = shape[0] if len(shape) > 1 else 1
    return DataSpec(
        name=name,
        input_shape=shape,
        n_classes=n_classes,
        class_names=tuple(map(str, range(n_classes))),
        sizes={"train": 1077, "validation": 360, "test": 360},
        digest="0" * 64,
        split_digest="1" * 64,
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
    )


DIGITS = data_spec((1, 8, 8), name="digits")
PHOTOS = data_spec((3, 18, 13), n_classes=7, name="odd photos")
SIGNAL = data_spec((2, 65), n_classes=3, name="signal")
TABLE = data_spec((12,), n_classes=2, name="table")
ALL = (DIGITS, PHOTOS, SIGNAL, TABLE)
