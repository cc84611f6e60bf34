"""The model card: what this network is, on what it was measured, and what was checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from engine.analysis.stats import wilson
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.evaluation.base import Report
from engine.export.predict import plain
from engine.export.verify import Check
from engine.network.plan import Costs


def escape(text: str) -> str:
    """A name from a person as Markdown text: nothing in it formats, links or becomes HTML."""
    return re.sub(r"([\\`*_{}\[\]<>#!|~&])", r"\\\1", plain(text, 200))


def measured(accuracy: float, n: int) -> str:
    """Cells of the metrics table: percent, wrong of n, 95 % Wilson interval."""
    right = round(accuracy * n)
    low, high = wilson(right, n)
    return f"{100 * accuracy:.2f} % | {n - right:,} of {n:,} | {100 * low:.1f} to {100 * high:.1f} %"


def duration(seconds: float) -> str:
    """Seconds as 1:05 or 2:03:04."""
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def _table(head: Sequence[str], rows: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(head)} |", "|" + " --- |" * len(head), *(f"| {row} |" for row in rows), ""]


def model_card(
    *,
    config: SearchConfig,
    data: DataSpec,
    architecture: Architecture,
    name: str,
    costs: Costs,
    quick: Report | None,
    final: Report,
    trial: int,
    checks: Sequence[Check],
    versions: Mapping[str, str],
    options_text: Mapping[str, str],
) -> str:
    """The text of MODEL_CARD.md.

    Args:
        config: the search it came from.
        data: what it was trained on.
        architecture: the choices.
        name: short name of the architecture.
        costs: exact costs of the plan.
        quick: report of the trial in the search, if any.
        final: report of the full training: "accuracy" on validation and, where the test split was opened,
            "test_accuracy" and "n_test".
        trial: the trial's number, 0 where there is none.
        checks: what the fresh process found.
        versions: package to version at the time of training.
        options_text: each decision's choice in people's words.
    """
    shape = "×".join(map(str, data.input_shape))
    sizes = data.sizes
    out = [
        f"# {escape(name)}",
        "",
        f"A network for {escape(data.name)} with {costs.n_params:,} parameters and {costs.n_macs:,} multiply-adds per "
        f"sample, found by the search “{escape(config.name)}”{f' (trial {trial})' if trial else ''}.",
        "",
        "## Use",
        "",
        "```",
        "pip install -r requirements.txt",
        f"python predict.py {'image.png' if len(data.input_shape) == 3 else 'sample.npy'}",
        "```",
        "",
        "`model.py` with `weights.safetensors` needs PyTorch, `model.onnx` any ONNX runtime (input `input`, output "
        "`logits`, any batch size). Both take preprocessed values; `predict.py` does the preprocessing.",
        "",
        "## Metrics",
        "",
    ]
    rows = []
    n_test = int(final.metrics.get("n_test", sizes["test"]))
    if "test_accuracy" in final.metrics:
        rows.append(f"**sealed test, after full training** | {measured(final.metrics['test_accuracy'], n_test)}")
    n_validation = final.n_samples or sizes["validation"]
    rows.append(
        f"validation, after full training ({final.fidelity} epochs) | "
        f"{measured(final.metrics['accuracy'], n_validation)}"
    )
    if quick is not None and "accuracy" in quick.metrics:
        rows.append(
            f"validation, in the search ({quick.fidelity} epochs) | "
            f"{measured(quick.metrics['accuracy'], quick.n_samples or sizes['validation'])}"
        )
    out += _table(["accuracy", "%", "wrong", "95 % interval (Wilson)"], rows)
    out += [
        "The search chose by the validation split, so its numbers are too good by a little; the sealed test split was "
        "opened once, after the full training, and chose nothing.",
        "",
        "## Data",
        "",
        f"- {escape(data.name)}: {sizes['train']:,} training, {sizes['validation']:,} validation, {sizes['test']:,} "
        "sealed test samples",
        f"- input {shape}, {data.n_classes} classes: {', '.join(escape(c) for c in data.class_names)}",
        f"- preprocessing: raw values / {data.scale:g}, minus {_numbers(data.mean)}, divided by {_numbers(data.std)}",
        f"- content `{data.digest}`",
        f"- split `{data.split_digest}`",
        "",
        "## Architecture",
        "",
    ]
    out += _table(["decision", "choice"], [f"{escape(k)} | {escape(v)}" for k, v in options_text.items()])
    recipe = config.training
    cost = final.cost
    device = ", ".join(escape(str(cost[k])) for k in ("device_model", "precision", "layout") if cost.get(k))
    out += [
        "## Training",
        "",
        f"- {final.fidelity} epochs, AdamW, batch {recipe.batch_size}, learning rate {recipe.learning_rate:g} (cosine, "
        f"{100 * recipe.warmup:g} % warm-up), weight decay {recipe.weight_decay:g}, label smoothing "
        f"{recipe.label_smoothing:g}, moving average of the weights {recipe.ema:g}",
        f"- augmentation: shift {recipe.shift} px, flip {'yes' if recipe.flip else 'no'}, cutout {recipe.cutout} px",
        f"- seed {final.seed} (search {config.seed}), {recipe.threads} thread{'s' if recipe.threads > 1 else ''}"
        + (f", {device}" if device else ""),
        f"- cost: {duration(float(cost.get('duration_s', 0)))} for the full training"
        + (f", {duration(float(quick.cost.get('duration_s', 0)))} in the search" if quick is not None else ""),
        f"- found by {escape(config.strategy.name.replace('_', ' '))} in the space {escape(config.space.name)}",
        "",
        "## Checks",
        "",
        "Run in a fresh process without the project that made this, on the full validation split.",
        "",
    ]
    out += _table(
        ["check", "result", "detail"],
        [f"{escape(c.name)} | {'ok' if c.ok else '**failed**'} | {escape(c.detail)}" for c in checks],
    )
    out += ["## Versions", "", ", ".join(f"{escape(k)} {escape(v)}" for k, v in versions.items()), ""]
    return "\n".join(out)


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:.6g}" for v in values)
