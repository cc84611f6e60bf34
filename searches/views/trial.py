"""One trial: network, curve, metrics, why it was proposed, bundle, log."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from engine.analysis.stats import wilson
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.evaluation import inherited
from engine.spaces.base import make_space
from searches.charts.curves import trial_curve
from searches.models import Point, Search, Trial
from searches.selectors import compare, overview
from searches.selectors.searches import trial_get
from searches.services.finals import trial_train_fully
from searches.services.lifecycle import trial_cancel
from searches.services.writing import Rejected
from searches.views.download import bundle_files


@require_GET
def trial(request: HttpRequest, id: int, number: int) -> HttpResponse:
    """The page; `?part=live` answers what changes by itself."""
    shown = trial_get(user=request.user, id=id, number=number)
    context = trial_context(shown)
    if request.GET.get("part") == "live":
        return render(request, "trials/_live.html", context)
    return render(request, "trials/trial.html", context)


def trial_context(shown: Trial) -> dict[str, object]:
    """What the page says."""
    search: Search = shown.search
    config = overview.config_of(search)
    line, children = compare.ancestry(shown)
    answer = None
    if shown.final_state == Trial.FinalState.DONE and "test_accuracy" in shown.final.get("metrics", {}):
        answer = overview.sealed_answer(shown)
    choices: list[tuple[str, str]] = []
    if search.data_spec:
        space = make_space(config, DataSpec.model_validate(search.data_spec))
        choices = [(space.title(k), space.format(k, v)) for k, v in shown.architecture.items()]
    lines = list(shown.lines.order_by("-id")[:200])
    return {
        "search": search,
        "trial": shown,
        "config": config,
        "answer": answer,
        "accuracies": compare.accuracies(shown),
        "began_with": inherited.words(shown.cost.get("inherited", {})),
        "more_epochs": compare.more_epochs(shown),
        "rank": compare.rank_words(shown),
        "choices": choices,
        "line": line,
        "children": children,
        "winner_facts": overview.winner_facts(shown, config),
        "files": bundle_files(shown),
        "lines": lines[::-1],
        "n_lines": shown.lines.count(),
        "recipe": compare.recipe_words(config.training),
        "live": shown.state in ("waiting", "running", "paused") or shown.final_state in ("waiting", "running"),
        "page_title": f"#{shown.number} {search.name}",
        "float_bytes": 4 * shown.n_params if shown.n_params else None,
    }


@require_GET
def figure(request: HttpRequest, id: int, number: int) -> JsonResponse:
    """The trial's learning curves."""
    shown = trial_get(user=request.user, id=id, number=number)
    curves: dict[bool, list[tuple[int, float]]] = {False: [], True: []}
    points = Point.objects.filter(trial=shown, accuracy__isnull=False).order_by("epoch")
    for final, epoch, accuracy in points.values_list("final", "epoch", "accuracy"):
        curves[final].append((epoch, accuracy))
    metrics = shown.final.get("metrics", {}) if shown.final_state == Trial.FinalState.DONE else {}
    test = None
    if "test_accuracy" in metrics and metrics.get("n_test"):
        n = int(metrics["n_test"])
        low, high = wilson(round(metrics["test_accuracy"] * n), n)
        test = (float(metrics["test_accuracy"]), low, high)
    rungs = overview.rungs_of(overview.config_of(shown.search))
    drawn = trial_curve(curves[False], curves[True], test=test, rungs=[r for r in rungs if r < shown.target_epochs])
    answer = JsonResponse(drawn.to_json())
    answer["Cache-Control"] = "private, no-cache"
    return answer


@require_POST
def train(request: HttpRequest, id: int, number: int) -> HttpResponse:
    """Asks for the full training."""
    shown = trial_get(user=request.user, id=id, number=number)
    try:
        trial_train_fully(trial=shown, by=request.user)
    except (EngineError, Rejected) as e:
        messages.error(request, str(e))
    else:
        messages.success(request, f"#{shown.number} is trained fully as soon as a slot is free.")
    return redirect("searches:trial", id, number)


@require_POST
def cancel(request: HttpRequest, id: int, number: int) -> HttpResponse:
    """Stops one trial."""
    shown = trial_get(user=request.user, id=id, number=number)
    try:
        trial_cancel(trial=shown, by=request.user)
    except (EngineError, Rejected) as e:
        messages.error(request, str(e))
    return redirect("searches:trial", id, number)
