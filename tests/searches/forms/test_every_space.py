"""Every space of the catalog in the form: its fields, what they read back, and which one is offered for which data."""

from __future__ import annotations

import pytest
import yaml
from django.http import QueryDict

from engine import catalog
from engine.config import SearchConfig
from engine.data import registry
from searches.forms import sections, yaml_text
from searches.forms import values as forms_values
from searches.forms.check import check

SETS = ("digits", "wine", "iris")


def posted(values, checked):
    """What a browser sends of the form that shows these values."""
    form = sections.build(values, checked)
    post = QueryDict(mutable=True)
    post["form:whole"] = "1"
    for name, value in form.marks.items():
        post[name] = value
    for f in form.every():
        if f.kind in ("checks", "select", "segmented", "methods"):
            post.setlist(f.name, [c.value for c in f.choices if c.chosen])
        elif f.kind != "check" or f.value:
            post[f.name] = f.value
    post["name"] = "x"
    return post


def cases():
    for name, cls in catalog.plugins("space").items():
        data = next((d for d in SETS if cls.fits(registry.spec(d)) is None), None)
        if data:
            yield pytest.param(name, data, id=name)


@pytest.mark.parametrize(("name", "data"), list(cases()))
def test_the_form_shows_a_space_and_reads_back_what_it_showed(name, data):
    spec = registry.spec(data)
    values = forms_values.complete(
        {"name": "x", "data": {"name": data}, "space": {"name": name, **forms_values.suggested(name, spec)}}
    )
    checked = check(values)
    assert checked.ok, checked.problems
    again = check(forms_values.from_post(posted(values, checked)))
    assert again.ok, again.problems
    assert again.config.space == checked.config.space
    text = "\n".join(line.text for line in yaml_text.lines(values, checked))
    assert SearchConfig.from_yaml(text).space == checked.config.space, text
    assert yaml.safe_load(text)["space"]["name"] == name
    assert max(map(len, text.splitlines())) < 700


def test_a_recipe_is_searched_from_the_form():
    values = forms_values.fresh()
    post = posted(values, check(values))
    post.setlist("space.recipe.learning_rate", ["0.001", "0.01"])
    post.setlist("space.recipe.optimizer", ["adamw", "sgd"])
    read = check(forms_values.from_post(post))
    assert read.ok, read.problems
    assert read.config.options("space").recipe.learning_rate == (0.001, 0.01)
    assert read.facts.size == 4 * check(values).facts.size
    post.setlist("space.recipe.learning_rate", ["nonsense"])
    wrong = check(forms_values.from_post(post))
    assert [path[:3] for path, _ in wrong.problems] == [("space", "recipe", "learning_rate")]
    form = sections.build(forms_values.from_post(post), wrong)
    assert any(name.startswith("space.recipe.learning_rate") for name in form.by_field)


@pytest.mark.parametrize("data", ["wine", "digits"])
def test_other_data_brings_a_space_that_serves_it(data):
    values = forms_values.fresh()
    post = posted(values, check(values))
    post["data.name"] = data
    read = forms_values.from_post(post)
    assert catalog.get("space", read["space"]["name"]).fits(registry.spec(data)) is None
    checked = check(read)
    assert checked.ok, checked.problems
    form = sections.build(read, checked)
    field = next(f for f in form.every() if f.name == "space.name")
    serving = {c.value for c in field.choices if not c.disabled}
    assert serving == {n for n, c in catalog.plugins("space").items() if c.fits(registry.spec(data)) is None}
    assert all(c.label.count(":") for c in field.choices if c.disabled)


def test_a_written_space_with_a_mistake_says_where():
    post = posted(forms_values.fresh(), check(forms_values.fresh()))
    post["space.name"] = post["space:for"] = "custom"
    post["space.definition"] = "decisions: []\nnetwork: [{use: relu}]"
    wrong = check(forms_values.from_post(post))
    assert wrong.problems[0][0][:2] == ("space", "definition")
    for text in ("a: [", "&a [*a, *a]", "x" * 300_000, "12"):
        post["space.definition"] = text
        wrong = check(forms_values.from_post(post))
        assert wrong.problems and wrong.problems[0][0][:2] == ("space", "definition")
