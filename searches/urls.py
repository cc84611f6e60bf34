"""All addresses of the pages. One module of views per page."""

from django.urls import path

from searches.api.events import events
from searches.views import (
    actions,
    architectures,
    arena,
    canvas,
    canvas_parts,
    compare,
    create,
    datasets,
    download,
    figures,
    insight,
    listing,
    methods,
    minis,
    overview,
    spaces,
    trial,
    trials,
    workers,
)

app_name = "searches"

urlpatterns = [
    # -- list, form, things beside the searches
    path("", listing.search_list, name="list"),
    path("searches/do/<slug:action>/", actions.bulk, name="bulk"),
    path("searches/new/", create.new, name="new"),
    path("searches/new/<slug:part>/", create.part, name="form_part"),
    path("searches/<int:id>/edit/", create.edit, name="edit"),
    path("searches/<int:id>/do/<slug:action>/", actions.action, name="action"),
    path("datasets/", datasets.dataset_list, name="datasets"),
    path("methods/", methods.methods, name="methods"),
    path("methods/measured/", methods.measured, name="methods_measured"),
    path("workers/", workers.worker_list, name="workers"),
    # -- the arena
    path("arena/", arena.arena, name="arena"),
    path("arena/new/", arena.race_new, name="arena_new"),
    path("arena/tables/new/", arena.table_new, name="arena_table"),
    path("arena/tables/<int:id>/do/<slug:action>/", arena.table_action, name="arena_table_action"),
    path("arena/<int:id>/", arena.race, name="race"),
    path("arena/<int:id>/figures/<slug:name>/", arena.race_figure, name="race_figure"),
    path("arena/<int:id>/do/<slug:action>/", arena.race_action, name="race_action"),
    # -- search spaces
    path("spaces/", spaces.space_list, name="spaces"),
    path("spaces/new/", canvas.space_new, name="space_new"),
    path("spaces/size/", spaces.card_size, name="space_size"),
    path("spaces/import/", spaces.space_import, name="space_import"),
    path("spaces/of-trials/", spaces.of_trials, name="space_of_trials"),
    path("spaces/save/", canvas.save, name="space_save"),
    path("spaces/canvas/<slug:part>/", canvas_parts.part, name="space_part"),
    path("spaces/shared/<str:token>/", spaces.shared, name="space_shared"),
    path("spaces/shared/<str:token>/copy/", spaces.shared_copy, name="space_shared_copy"),
    path("spaces/<int:id>/", canvas.space, name="space"),
    path("spaces/<int:id>/space.yaml", spaces.space_export, name="space_export"),
    path("spaces/<int:id>/do/<slug:action>/", spaces.space_action, name="space_action"),
    path("architectures/", architectures.architecture, name="architecture"),
    path("architectures/propose/", architectures.propose, name="architecture_propose"),
    # -- the search page
    path("searches/<int:id>/", overview.detail, name="detail"),
    path("searches/<int:id>/trials/", trials.trial_table, name="trials"),
    path("searches/<int:id>/trials.csv", trials.export, name="export"),
    path("searches/<int:id>/insight/", insight.insight, name="insight"),
    path("searches/<int:id>/figures/<slug:name>/", figures.figure, name="figure"),
    path("searches/<int:id>/beliefs/<str:name>/", figures.belief, name="belief"),
    path("searches/<int:id>/parts/<slug:tab>/", overview.parts, name="parts"),
    path("searches/<int:id>/pictures/<int:number>/", overview.winner_picture, name="picture"),
    path("searches/<int:id>/minis/", minis.minis, name="minis"),
    path("minis/", minis.minis_of, name="minis_of"),
    path("searches/<int:id>/log/", overview.log, name="log"),
    path("searches/<int:id>/events", events, name="events"),
    # -- one trial, several trials
    path("searches/<int:id>/trials/<int:number>/", trial.trial, name="trial"),
    path("searches/<int:id>/trials/<int:number>/figure/", trial.figure, name="trial_figure"),
    path("searches/<int:id>/trials/<int:number>/train/", trial.train, name="train"),
    path("searches/<int:id>/trials/<int:number>/cancel/", trial.cancel, name="trial_cancel"),
    path("searches/<int:id>/trials/<int:number>/bundle.zip", download.bundle, name="bundle"),
    path("searches/<int:id>/trials/<int:number>/bundle/<str:name>", download.bundle_file, name="bundle_file"),
    path("compare/", compare.compare, name="compare"),
    path("compare/figure/", compare.figure, name="compare_figure"),
]
