"""The picture of a mobile space: one place a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.spaces._mobile.options import SKIP, MobileOptions, Stage
from engine.spaces._mobile.process import Process, StageProcess
from engine.spaces._outline import Outline, input_words

if TYPE_CHECKING:
    from engine.data.spec import DataSpec
    from engine.spaces.base import SearchSpace

_EACH = {
    "op": "operation", "kernel": "kernel", "expansion": "expansion", "se": "squeeze-excite",
}  # fmt: skip


def outline(space: SearchSpace, o: MobileOptions, process: Process, data: DataSpec | None) -> dict[str, Any]:
    """Input, resizing, stem, stages, head, each with what is decided there."""
    draw = Outline(space)
    draw.part("input", "input", *input_words("image", data.input_shape if data else ()))
    if o.resolution:
        sizes = f"{min(o.resolution)} px" if len(o.resolution) == 1 else f"{len(o.resolution)} sizes"
        draw.part("resize", "other", "resize", sizes, decide=["resolution"])
    half = ", half the size" if o.stem_stride == 2 else ""
    draw.part("stem", "conv", "stem", f"conv 3×3, {o.stem_width} channels{half}")
    for i, (stage, decided) in enumerate(zip(o.stages, process.stages, strict=True), start=1):
        least, most = min(stage.depth), max(stage.depth)
        times = f"{least} to {most} times" if least < most else f"{most} times" if most > 1 else "once"
        draw.part(
            f"stage{i}", "cell", f"stage {i}", _detail(o, stage), decide=_decide(decided),
            repeat=times if most > 1 else None,
        )  # fmt: skip
    if o.head_conv:
        draw.part("head", "conv", "conv", f"1×1, {o.head_conv} channels")
    draw.part("global", "pool", "global avg")
    if o.head_dense:
        draw.part("dense", "dense", "dense", str(o.head_dense))
    if o.dropout:
        draw.part("dropout", "drop", "dropout", f"{o.dropout:g}")
    draw.part("output", "output", "linear", f"{data.n_classes} classes" if data else "")
    draw.chain()
    return draw.done()


def _detail(o: MobileOptions, stage: Stage) -> str:
    width = f"{stage.width[0]} channels" if len(stage.width) == 1 else f"{min(stage.width)} to {max(stage.width)}"
    found = o.blocks_of(stage)
    only = found[0].words if len(found) == 1 and found[0] is not None else "MBConv"
    return f"{only}, {width}{', half the size' if stage.stride == 2 else ''}"


def _decide(stage: StageProcess) -> list[Any]:
    """Whole-stage decisions by name; those of blocks by what they decide, apart where blocks offer different things."""
    out: list[Any] = [d.name for d in stage.before]
    groups: dict[tuple[str, tuple[Any, ...]], list[str]] = {}
    for block in stage.blocks:
        for d in block:
            groups.setdefault((d.name.rsplit("_", 1)[1], d.options), []).append(d.name)
    for (knob, options), names in groups.items():
        several = len({k for k, _ in groups if k == knob}) < sum(k == knob for k, _ in groups)
        first = names[0].endswith(f"_block1_{knob}")
        where = "first block" if several and first else "further blocks" if several else "each block by itself"
        said = _EACH[knob] + (" or skipped" if SKIP in options else "")
        out.append((names, f"{said}, {where}"))
    return out
