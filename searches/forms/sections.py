"""The five sections of the form, generated from the catalog and filled with what a person typed so far."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from engine import catalog
from engine.config import SearchConfig
from engine.data import registry
from searches.forms import fields
from searches.forms import values as forms_values
from searches.forms.check import Checked, Problem
from searches.forms.fields import Choice, Field, Path
from searches.forms.methods import methods
from searches.forms.pieces import Fold, Section, model_rows, option_rows, summary_of
from searches.forms.values import Values
from searches.forms.words import WRITTEN, data_short, data_words, first, schedule_words

IN_VIEW = 2  # options of a space that are not folded, where it does not say which
SCHEDULES = {"successive_halving": "stop weak ones early", "full": "train every network fully"}
OBJECTIVES = (("accuracy", "maximize"), ("n_macs", "minimize"), ("n_params", "minimize"))
METRICS = {
    "accuracy": "accuracy",
    "n_macs": "multiply-adds",
    "n_params": "parameters",
    "activation_bytes": "activation memory",
}
LIMIT_ROWS = (("n_macs", "million"), ("n_params", "million"), ("activation_bytes", "MB"))
#: options of weight-sharing methods that are not folded
SHARED_IN_VIEW = ("epochs", "scores")
BUDGET_FOLDED = ("minutes", "target", "patience")


@dataclass
class Form:
    """The whole form.

    Attributes:
        errors: problems that belong to no field, for the top.
        marks: hidden fields that say which plug-ins' options are shown.
    """

    sections: list[Section]
    errors: list[str]
    marks: dict[str, str]

    def every(self) -> Iterable[Field]:
        """All fields of all sections."""
        for section in self.sections:
            yield from section.every()

    @property
    def by_field(self) -> dict[str, list[str]]:
        """Problems by the field's name, those without one under ""."""
        out = {f.name: f.errors for f in self.every() if f.errors}
        return out | ({"": self.errors} if self.errors else {})

    @property
    def n_wrong(self) -> int:
        """Number of fields (or other places) with a problem."""
        return sum(1 for f in self.every() if f.errors) + len(self.errors)

    @property
    def folds(self) -> dict[str, str]:
        """What each fold's line says."""
        return {fold.id: fold.summary for section in self.sections for fold in section.folds}

    @property
    def helps(self) -> dict[str, str]:
        """The line under each row in view, by its id: some speak of values that other rows hold."""
        rows = (f for section in self.sections for f in section.fields)
        return {f"{f.id}-help": f.help for f in rows if f.help and not f.quiet}


def build(
    values: Values, checked: Checked, *, slots: int = 0, saved: Sequence[Choice] = (), earlier: Sequence[Choice] = (),
    supernets: Sequence[Choice] = (),
) -> Form:  # fmt: skip
    """The form for these values; problems stand at their fields.

    Args:
        saved: the person's saved spaces, to be chosen beside the families.
        earlier: ended searches that a strategy may learn from.
        supernets: that a weight-sharing method may begin with.
    """
    v = forms_values.complete(values)
    sections = [
        _name_and_data(v, checked),
        _space(v, checked, saved),
        _strategy(v, checked, earlier, supernets),
        _goal(v),
        _budget(v, slots),
    ]
    marks = {f"{kind}:for": str(v[kind]["name"]) for kind in ("data", *forms_values.KINDS)}
    if mark := next((c.value.rpartition(":")[2] for c in saved if c.chosen), ""):
        marks["saved:for"] = mark
    if earlier:
        marks["learn:for"] = "shown"
    form = Form(sections=sections, errors=[], marks=marks)
    _place(form, checked.problems)
    return form


def _place(form: Form, problems: list[Problem]) -> None:
    every = {f.path: f for f in form.every()}
    for path, text in problems:
        spot = _nearest(path, every, text)
        if spot is None:
            where = ".".join(map(str, path))
            form.errors.append(f"{where}: {text}" if where else text)
        else:
            said = (
                text
                if spot.path[: len(path)] == path or len(path) <= len(spot.path)
                else f"{_rest(path, spot.path)}: {text}"
            )
            spot.errors.append(said)


def _rest(path: Path, at: Path) -> str:
    return ".".join(str(p + 1 if isinstance(p, int) else p) for p in path[len(at) :])


def _nearest(path: Path, every: dict[Path, Field], text: str) -> Field | None:
    if not path:
        return None
    for end in range(len(path), 0, -1):
        if path[:end] in every:
            return every[path[:end]]
    if path == ("limits",):
        named = [f for f in every.values() if f.path[0] == "limits" and str(f.path[-1]) in text]
        return named[0] if named else every.get(("limits", "n_macs"))
    return every.get((path[0], "name")) if len(path) == 1 else None


# -- the sections ----------------------------------------------------------------------------------
def _name_and_data(v: Values, checked: Checked) -> Section:
    every = registry.datasets()
    now = str(v["data"]["name"])
    choices = [
        Choice(n, i.title if here else f"{i.title}: {i.how}", n == now, disabled=not here, title=i.summary)
        for n, i in every.items()
        for here in [i.available or i.fetched]
    ]
    if now not in every:
        choices.append(Choice(now, now, True))
    info = every.get(now)
    about = data_words(checked.data) if checked.data else (info.summary if info else "")
    if info and not info.available:
        about = f"{about}; {info.how}"
    section = Section("data", "Name and data")
    section.fields = [
        Field(("name",), "name", "text", fields.show(v["name"]), placeholder=forms_values.default_name(v)),
        Field(("data", "name"), "dataset", "select", choices=choices, help=about),
    ]
    folded = option_rows("data", now, v["data"], all_folded=True)
    if folded:
        section.folds = [Fold("fold-data", summary_of(folded), folded)]
    return section


def _space(v: Values, checked: Checked, saved: Sequence[Choice] = ()) -> Section:
    now = str(v["space"]["name"])
    serve, not_serve = [], []
    for name, cls in sorted(catalog.plugins("space").items(), key=lambda item: item[0] in WRITTEN):
        reason = cls.fits(checked.data) if checked.data is not None else None
        label = f"{name}: {re.split(r'[,:;] ', first(cls.summary))[0]}"
        choice = Choice(
            name, label if not reason else f"{name}: {reason}", name == now, bool(reason), reason or cls.summary
        )
        (not_serve if reason else serve).append(choice)
    section = Section("space", "Space")
    if checked.data is not None:
        section.note = f"{len(serve)} of {len(serve) + len(not_serve)} spaces serve {data_short(checked.data)}"
    help_text = ""
    if checked.facts:
        low, high = checked.facts.active
        act = f"{low} to {high}" if low != high else str(low)
        help_text = f"{checked.facts.n_decisions:,} decisions, of which {act} act in one network"
    choices = serve + not_serve
    if any(c.chosen for c in saved):
        choices = [replace(c, chosen=False) for c in choices]
    choices = [*saved, *choices]
    if not any(c.chosen for c in choices):
        choices.append(Choice(now, now, True))
    section.fields = [Field(("space", "name"), "search space", "select", choices=choices, help=help_text)]
    base = forms_values.suggested(now, checked.data)
    rows = option_rows("space", now, v["space"], base=base)
    if rows and not any(r.folded for r in rows):
        for row in rows[IN_VIEW:]:
            row.folded = len(rows) > IN_VIEW + 1
    section.fields += [r for r in rows if not r.folded]
    folded = [r for r in rows if r.folded]
    if folded:
        changed = [r.label for r in folded if not r.at_default]
        state = (
            f"{', '.join(changed)} changed"
            if changed
            else "all at their defaults"
            if len(folded) > 1
            else "at its default"
        )
        noun = "more options" if len(folded) > 1 else "more option"
        section.folds = [Fold("fold-space", f"{len(folded)} {noun}, {state}", folded)]
    return section


def _strategy(v: Values, checked: Checked, earlier: Sequence[Choice], supernets: Sequence[Choice]) -> Section:
    now, schedule = str(v["strategy"]["name"]), str(v["schedule"]["name"])
    section = Section("strategy", "Strategy")
    section.fields.append(methods(checked, now))
    if earlier:
        about = "Their results are frozen when this search is made; how much each counts shows as it goes on."
        section.fields.append(Field(("learn",), "learn from", "checks", choices=list(earlier), help=about))
    schedules = catalog.plugins("schedule")
    ordered = [n for n in SCHEDULES if n in schedules] + [n for n in schedules if n not in SCHEDULES]
    choices = [
        Choice(n, SCHEDULES.get(n, n.replace("_", " ")), n == schedule, title=schedules[n].summary) for n in ordered
    ]
    if schedule not in schedules:
        choices.append(Choice(schedule, schedule, True))
    section.fields.append(
        Field(("schedule", "name"), "schedule", "segmented", choices=choices, help=schedule_words(v, checked))
    )
    folded = option_rows("strategy", now, v["strategy"], all_folded=True)
    if now in catalog.plugins("supernet"):
        section.fields[1:1] = [replace(row, folded=False) for row in folded if row.path[-1] in SHARED_IN_VIEW]
        folded = [row for row in folded if row.path[-1] not in SHARED_IN_VIEW]
        for row in folded:
            if row.path[-1] == "start":
                row.kind, row.label, row.choices = "select", "begin with", list(supernets)
                row.help = "Weights of an earlier supernet, where places and shapes agree; the rest begins anew."
    folded += option_rows("schedule", schedule, v["schedule"], all_folded=True)
    info = SearchConfig.model_fields
    folded.append(fields.make(("seed",), info["seed"], v["seed"], folded=True))
    folded[-1].help = "Same seed, same search."
    same = fields.make(("duplicates",), info["duplicates"], v.get("duplicates", "canonical"), folded=True)
    words = {"canonical": "the same network", "written": "the same choices", "allowed": "nothing is a duplicate"}
    same.choices = [Choice(c.value, words.get(c.value, c.label), c.chosen) for c in same.choices]
    same.help = "What counts as a duplicate and is not tried twice."
    again = fields.make(("replicates",), info["replicates"], v.get("replicates", 0), folded=True)
    section.folds = [Fold("fold-strategy", summary_of(folded[:-1]), [*folded, same, again])]
    return section


def _goal(v: Values) -> Section:
    section = Section("goal", "Goal")
    chosen = [(str(o.get("metric", "")), str(o.get("direction", "maximize"))) for o in v["objectives"]]
    rows = [*chosen, *(o for o in OBJECTIVES if o[0] not in {metric for metric, _ in chosen})]
    words = {"maximize": "higher", "minimize": "lower"}
    section.fields.append(
        Field(
            ("objectives",),
            "objectives",
            "checks",
            choices=[Choice(f"{m}:{d}", f"{METRICS.get(m, m)}, {words.get(d, d)}", (m, d) in chosen) for m, d in rows],
            help="The first one decides who is best; with several, the Pareto front is kept."
            if len(chosen) > 1
            else "",
        )
    )
    for i, (metric, unit) in enumerate(LIMIT_ROWS):
        row = Field(
            ("limits", metric),
            "limits" if i == 0 else "",
            "number",
            forms_values.limit_text(metric, v["limits"][metric]) if metric in v["limits"] else "",
            before=f"{METRICS[metric]} at most",
            unit=unit,
            placeholder="no limit",
            at_default=metric not in v["limits"],
        )
        if metric == "activation_bytes" and row.at_default:
            row.label = "limit"
            section.folds = [Fold("fold-goal", "no limit for activation memory", [row])]
        else:
            section.fields.append(row)
    return section


def _budget(v: Values, slots: int) -> Section:
    section = Section("budget", "Budget")
    labels = {
        "trials": "trials",
        "epochs": "epochs per trial",
        "minutes": "running time",
        "target": "target",
        "patience": "patience",
    }
    units = {
        "minutes": "minutes",
        "target": "of the first objective, e.g. 0.99",
        "patience": "trials without a better one",
    }
    rows = {}
    for name, info in fields.model_fields(forms_values.PARTS["budget"]).items():
        row = fields.make(("budget", name), info, v["budget"].get(name, fields.default_of(info)))
        row.label, row.unit = labels.get(name, row.label), units.get(name, row.unit)
        row.help = "" if name in ("trials", "epochs") else row.help
        row.folded = name in BUDGET_FOLDED
        if row.folded:
            row.placeholder = "no limit" if name == "minutes" else "none"
        rows[name] = row
    together = fields.make(("parallelism",), SearchConfig.model_fields["parallelism"], v["parallelism"])
    together.label, together.help = "at the same time", ""
    together.unit = (
        f"{slots} {'slot' if slots == 1 else 'slots'} on the workers online" if slots else "no worker is online"
    )
    section.fields = [rows["trials"], rows["epochs"], together]
    folded = [r for r in rows.values() if r.folded]
    none = {"minutes": "no limit in minutes", "target": "no target value", "patience": "no patience"}
    says = [f"{r.label} {r.value}" if r.value else none.get(str(r.path[-1]), "") for r in folded]
    section.folds.append(Fold("fold-budget", ", ".join(s for s in says if s), folded))

    recipe = model_rows("training", v["training"])
    changed = [r for r in recipe if not r.at_default]
    about = summary_of(changed) if changed else "at its defaults"
    evaluator = str(v["evaluator"]["name"])
    evaluators = catalog.plugins("evaluator")
    ways = [Choice(n, f"{n}: {first(c.summary)}", n == evaluator, title=c.summary) for n, c in evaluators.items()]
    if evaluator not in evaluators:
        ways.append(Choice(evaluator, evaluator, True))
    recipe.append(Field(("evaluator", "name"), "numbers from", "select", choices=ways, folded=True))
    recipe += option_rows("evaluator", evaluator, v["evaluator"], all_folded=True)
    section.folds.append(Fold("fold-training", f"training recipe: {about}", recipe))

    final = model_rows("final", v["final"])
    for row in final:
        if row.path[-1] == "enabled":
            row.label = "train the winner"
        if row.path[-1] == "epochs":
            row.label, row.placeholder = "its epochs", "twice a trial's"
    on = v["final"].get("enabled", True)
    epochs = v["final"].get("epochs")
    says_final = (
        "the winner is not trained again"
        if on is False
        else f"the winner is trained fully{f', {epochs} epochs' if epochs else ''}"
    )
    section.folds.append(Fold("fold-final", says_final, final))
    return section
