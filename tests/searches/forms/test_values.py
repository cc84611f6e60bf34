"""One value behind form, YAML and clone."""

import re

import pytest
from django.http import QueryDict

from engine.errors import InvalidConfig
from searches.forms import values as v
from searches.forms import yaml_text
from searches.forms.check import check
from searches.forms.sections import build

pytestmark = pytest.mark.django_db


def as_post(form):
    """What a browser would send for this form."""
    post = QueryDict(mutable=True)
    post["form:whole"] = "1"
    for name, value in form.marks.items():
        post[name] = value
    for field in form.every():
        if field.kind in ("checks", "select", "segmented", "methods"):
            for choice in field.choices:
                if choice.chosen:
                    post.appendlist(field.name, choice.value)
        elif field.kind != "check" or field.value:
            post[field.name] = field.value
    return post


def config(**changes):
    return checked(v.fresh() | {"name": "Digits"} | changes)


def checked(values):
    found = check(values)
    assert found.ok, found.problems
    return found.config


CONFIGS = [
    {},
    {"limits": {"n_macs": 5_000_001.0, "n_params": 123_456.0}},
    {"objectives": [{"metric": "n_macs", "direction": "minimize"}, {"metric": "accuracy", "direction": "maximize"}]},
    {"space": {"name": "layers", "depth": [3], "skip": [True], "dropout": [0.0, 0.25]}},
    {"strategy": {"name": "random"}, "schedule": {"name": "successive_halving", "eta": 2.5, "keep": 0.4}},
    {
        "training": {"flip": True, "learning_rate": 1e-05},
        "final": {"enabled": False},
        "seed": 2**62,
        "duplicates": "written",
    },
    {"budget": {"trials": 7, "epochs": 3, "minutes": 1.5, "target": 0.99, "patience": 4}, "parallelism": 3},
    {"data": {"name": "digits", "split_seed": 5}},
]


@pytest.mark.parametrize("changes", CONFIGS)
def test_a_search_survives_the_form_and_the_yaml(changes):
    wanted = config(**changes)
    values = v.from_config(wanted.to_json())
    form = build(values, check(values))
    assert checked(v.from_post(as_post(form))) == wanted
    text = "\n".join(line.text for line in yaml_text.lines(values, check(values)))
    assert checked(v.from_yaml(text)) == wanted


def test_name_and_start_are_enough():
    values = v.from_post(QueryDict("name=Mine"))
    checked = check(values)
    assert checked.ok, checked.problems
    assert checked.config.name == "Mine"
    assert checked.config.strategy.name == v.DEFAULTS["strategy"]


def test_options_of_another_plug_in_are_not_taken_over():
    form = build(values := v.fresh() | {"name": "x"}, check(values))
    post = as_post(form)
    post["space.name"] = "nasbench201"  # the boxes that are ticked belong to `layers`
    assert v.from_post(post)["space"]["name"] == "nasbench201"
    assert "depth" not in v.from_post(post)["space"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [1, 2", "not YAML in line"),
        ("a: &x [1]\nb: [*x, *x]", "aliases"),
        ("- 1\n- 2", "mapping of fields, not list"),
        ("x" * 100_001, "at most 100,000 characters"),
        ("[" * 3_000, "YAML|deeply"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
    ],
)
def test_what_is_pasted_is_refused_with_a_reason(text, says):
    with pytest.raises(InvalidConfig, match=says):
        v.from_yaml(text)


def test_every_problem_stands_at_its_field():
    values = v.complete(
        v.fresh()
        | {
            "name": "",
            "space": {"name": "layers", "depth": [3, 99], "width": []},
            "budget": {"trials": 0, "epochs": "x", "nope": 1},
            "limits": {"n_params": "abc"},
            "data": {"name": "digits", "split_seed": -1},
            "unknown": 1,
        }
    )
    form = build(values, check(values))
    at = form.by_field
    for name in (
        "name",
        "space.depth",
        "space.width",
        "budget.trials",
        "budget.epochs",
        "limits.n_params",
        "data.split_seed",
    ):
        assert at[name], name
    assert at["budget.trials"] == ["Must be at least 1 (received '0')."]
    assert {text.split(":")[0] for text in at[""]} == {"budget.nope", "unknown"}
    # the lines of the YAML carry them too
    assert any(line.problem for line in yaml_text.lines(values, check(values)) if line.path[0] == "budget")


def test_a_limit_that_no_network_meets_names_the_smallest_and_a_way_out():
    values = v.fresh() | {"name": "x", "limits": {"n_macs": 50_000.0}}
    ((path, text),) = check(values).problems
    assert path == ("limits", "n_macs")
    assert "66,976" in text
    assert re.search(r"Raise the limit, or add (depth|width) \d: then it has 0\.0[1-4]\d* million", text)


@pytest.mark.parametrize(
    "part",
    [
        {"space": {"name": "layers", "width": [10**9]}},
        {"space": {"name": "layers", "depth": [10**6]}},
        {"space": {"name": "layers", "depth": []}},
        {"training": {"learning_rate": float("nan")}},
        {"budget": {"trials": 10**30, "epochs": 25}},
        {"space": {"name": "nowhere"}},
        {"strategy": {"name": "<script>"}},
        {"data": {"name": "../../etc/passwd"}},
        {"objectives": []},
    ],
)
def test_absurd_values_are_errors_at_a_field(part):
    values = v.complete(v.fresh() | {"name": "x"} | part)
    checked = check(values)
    assert not checked.ok
    assert build(values, checked).by_field
