"""The model card: what this network is, on what it was measured, and what was checked."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.analysis.stats import wilson
from engine.architecture import Architecture
from engine.config import Recipe, SearchConfig
from engine.data.spec import DataSpec
from engine.evaluation.base import Report
from engine.export.diagram import diagrams
from engine.export.predict import example_file, plain
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
    recipe: Recipe | None = None,
    preprocessing: Mapping[str, Any] | None = None,
    picture: Mapping[str, Any] | None = None,
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
        recipe: what it was trained with; None = the search's.
        preprocessing: how raw input becomes a sample, see `data.registry.preprocessing`.
        picture: of the network, see `network.picture`; drawn as diagrams where there is one.
    """
    about = dict(preprocessing or {})
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
        f"python predict.py {example_file(data, about)}",
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
        inherited = quick.cost.get("inherited_epochs", 0)
        more = f" on top of {inherited} inherited with its weights" if inherited else ""
        rows.append(
            f"validation, in the search ({quick.fidelity} epochs{more}) | "
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
        f"- input: {_input(data)}; {data.n_classes} classes: {', '.join(escape(c) for c in data.class_names)}",
        *(f"- {line}" for line in _preprocessing(data, about)),
        f"- content `{data.digest}`",
        f"- split `{data.split_digest}`",
        "",
        "## Architecture",
        "",
    ]
    out += _table(["decision", "choice"], [f"{escape(k)} | {escape(v)}" for k, v in options_text.items()])
    if picture is not None:
        out += _drawn(picture)
    recipe = recipe or config.training
    cost = final.cost
    device = ", ".join(escape(str(cost[k])) for k in ("device_model", "precision", "layout") if cost.get(k))
    out += [
        "## Training",
        "",
        f"- {final.fidelity} epochs, {_optimizer(recipe)}, batch {recipe.batch_size}, "
        f"learning rate {recipe.learning_rate:g} (cosine, {100 * recipe.warmup:g} % warm-up), "
        f"weight decay {recipe.weight_decay:g}, label smoothing {recipe.label_smoothing:g}, "
        f"moving average of the weights {recipe.ema:g}",
        f"- augmentation: {_augmentation(data, recipe)}",
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


def _drawn(picture: Mapping[str, Any]) -> list[str]:
    """The network's diagrams under their headings, and what was too large to be drawn."""
    drawn, left_out = diagrams(picture)
    out = ["## Network", ""]
    if "" in left_out:
        out += [
            f"It has {len(picture['nodes']):,} steps, too many for a diagram that could be read here; `model.py` has "
            "them in their order.",
            "",
        ]
    for diagram in drawn:
        if diagram.title:
            out += [f"### Inside: {escape(diagram.title)}", ""]
        if diagram.caption:
            out += [f"{escape(diagram.caption[:1].upper() + diagram.caption[1:])}.", ""]
        out += ["```mermaid", diagram.text, "```", ""]
    if cells := [escape(title) for title in left_out if title]:
        out += [f"Not drawn for its size: {', '.join(cells)}. `model.py` has every step.", ""]
    return out


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:.6g}" for v in values)


def _input(data: DataSpec) -> str:
    shape = "×".join(map(str, data.input_shape))
    if data.kind == "text":
        return f"{shape} word numbers out of {data.vocabulary:,}"
    if data.kind == "table":
        named = sum(1 for n in data.cardinalities if n)
        return f"{shape} columns" + (f", {named} of them categories" if named else "")
    return f"{data.kind} {shape}"


def _preprocessing(data: DataSpec, about: Mapping[str, Any]) -> list[str]:
    """How raw input becomes a sample, a line each."""
    if data.kind == "text":
        return [
            f"preprocessing: lower-cased words and single signs, the first {data.input_shape[0]}, by number: "
            f"{data.vocabulary - 2:,} words of the training split (in architecture.json), 1 for any other, 0 behind "
            "the end"
        ]
    if data.kind == "table":
        names = ", ".join(escape(c.name) for c in data.columns)
        out = [f"columns: {names}"] if names else []
        out.append("preprocessing: numbers minus their column's mean, divided by its deviation (both in predict.py)")
        if any(data.cardinalities):
            out[-1] += "; categories by number, missing values and unknown ones with numbers of their own"
        return [*out, "a missing number is its column's mean"] if data.columns else out
    line = f"raw values / {data.scale:g}, minus {_numbers(data.mean)}, divided by {_numbers(data.std)}"
    if about.get("rate"):
        line = (
            f"16-bit samples, {about['rate']:,} a second, the first {about['length']:,} (silence behind a shorter "
            f"clip), the mean of every {about['stride']}; {line}"
        )
    return [f"preprocessing: {line}"]


def _optimizer(recipe: Recipe) -> str:
    if recipe.optimizer == "adamw":
        return "AdamW"
    return f"SGD with Nesterov momentum {recipe.momentum:g}" if recipe.momentum else "SGD without momentum"


def _augmentation(data: DataSpec, recipe: Recipe) -> str:
    if data.kind == "image":
        return f"shift {recipe.shift} px, flip {'yes' if recipe.flip else 'no'}, cutout {recipe.cutout} px"
    return f"shift in time, {recipe.shift} values at most" if data.kind == "signal" and recipe.shift else "none"
