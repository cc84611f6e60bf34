"""The pages of spaces over HTTP: what is shown, what is kept, what is refused, and for whom."""

from __future__ import annotations

import json
import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from engine import catalog
from searches.forms import fields
from searches.forms.spaces import canvas
from searches.models import Search, Space
from searches.services import lifecycle
from searches.services import spaces as services
from searches.services.advance import advance_search
from tests.factories import config_make

DIGITS = {"name": "digits"}
SMALL = {"name": "layers", "depth": [1, 2], "width": [8], "skip": [False], "norm": ["batch"]}


def kept(owner, name="Small", **options):
    """A saved space."""
    state = canvas({"space": {**SMALL, **options}, "data": DIGITS}).full
    return services.space_create(owner=owner, name=name, state=state, size="12")


def posted(**changes):
    """The canvas's form as a browser sends it: `SMALL` with two operations, every other option at its default."""
    out = {"space.name": "layers", "space:for": "layers", "data.name": "digits", "data:for": "digits"}
    model = catalog.get("space", "layers").Options
    small = {**SMALL, "operation": ["conv3", "sep3"], "pool_after": [], "widen": [1], "activation": ["relu"],
             "dense": [0], "dropout": [0]}  # fmt: skip
    full = model.model_validate({k: v for k, v in small.items() if k != "name"}).model_dump(mode="json")
    for name, info in fields.model_fields(model).items():
        shape = fields.shape_of(info)
        if name in ("restrict", "recipe"):
            continue
        if shape.kind == "checks":
            out[f"space.{name}"] = [fields.show(v) for v in full[name]]
        elif shape.kind == "check":
            out |= {f"space.{name}": "on"} if full[name] else {}
        else:
            out[f"space.{name}"] = fields.show_many(full[name])
    return {**out, **changes}


def ask(page, part, state, **more):
    """A question as the scripts ask it."""
    body = json.dumps({"state": state, **more})
    return page.post(f"/spaces/canvas/{part}/", body, content_type="application/json")


# -- the list ----------------------------------------------------------------------------------------
def test_the_list_shows_own_spaces_and_every_family(page, mira, jonas, samples):
    kept(mira, "Mine <script>")
    kept(jonas, "Not mine")
    text = page.get("/spaces/").content.decode()
    assert "Mine &lt;script&gt;" in text and "Not mine" not in text
    for family, cls in catalog.plugins("space").items():
        assert f"family={family}" in text
        for preset in cls.presets:
            assert f"preset={preset.name}" in text


def test_a_preset_shows_its_own_options_and_not_the_suggested_ones(page):
    """DARTS has 36 channels and 20 layers, on whatever data it is drawn for."""
    shown = page.get("/spaces/new/?family=darts&preset=darts&data=digits").context["rows"]
    values = {f.name: f.value for f in shown.every()}
    assert (values["space.channels"], values["space.layers"]) == ("36", "20")
    link = "/searches/new/?family=darts&data=digits&o=" + json.dumps({"layers": 20})
    usual = catalog.get("space", "darts").Options().channels
    text = page.get(link).content.decode()
    assert f'name="space.channels" type="text" inputmode="decimal" value="{usual}"' in text


def test_a_card_is_counted_and_opens(page):
    assert page.get("/spaces/size/?family=nasbench201&data=digits").json() == {"size": "15,625"}
    assert page.get("/spaces/size/?family=none&data=digits").status_code == 404
    assert page.get("/spaces/size/?family=layers&preset=none&data=digits").status_code == 404
    assert page.get("/spaces/size/?family=layers&data=none").status_code == 404
    for group in page.get("/spaces/?data=digits").context["groups"]:
        for card in group.cards[:2]:
            if not card.reason and card.data:
                url = f"/spaces/new/?family={card.family}&preset={card.preset}&data={card.data}"
                assert page.get(url).status_code == 200, url


@pytest.mark.parametrize("url", ["/spaces/new/?family=none", "/spaces/new/?family=layers&preset=none",
                                 "/spaces/new/?family=layers&o=%5B1", "/spaces/99/", "/spaces/shared/abc/",
                                 "/spaces/canvas/none/", "/architectures/?s=none", "/architectures/?s=v99",
                                 "/architectures/?s=search99"])  # fmt: skip
def test_what_is_not_there_is_a_404(page, url):
    assert (page.post(url) if "canvas" in url else page.get(url)).status_code == 404


def test_everything_is_for_people_who_are_logged_in(client, db):
    for url in ("/spaces/", "/spaces/new/", "/architectures/", "/spaces/shared/abcdefghijklmnopqrst/"):
        assert client.get(url).status_code == 302


# -- the canvas --------------------------------------------------------------------------------------
def test_the_state_follows_the_form(page):
    answer = page.post("/spaces/canvas/state/", posted()).json()
    assert answer["ok"] and answer["errors"] == {}
    # depth 1 and 2, two operations a block
    assert answer["size"]["words"] == "6"
    assert [p["id"] for p in answer["outline"]["parts"]][:2] == ["input", "stem"]
    restricted = posted(**{"space.restrict": json.dumps({"block1_op": ["conv3"], "block2_op": ["conv3"]})})
    answer = page.post("/spaces/canvas/state/", restricted).json()
    assert answer["size"]["words"] == "2"
    (chip,) = answer["chips"]
    assert chip["names"] == ["block1_op", "block2_op"] and chip["kept"] == ["conv 3×3"] and chip["of"] == 2
    # the drawing still shows what could be put back
    block = next(p for p in answer["outline"]["parts"] if p["id"] == "block")
    assert ["conv3", "sep3"] in [d["values"] for d in block["decisions"]]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("space.width", ["1000000000"], "4096"),
        ("space.depth", ["1000000"], "64"),
        ("space.depth", [], "at least one"),
        ("space.dropout", ["nan"], "number"),
        ("space.dropout", ["1e999"], "finite"),
        ("space.recipe.learning_rate", ["7"], "at most 1"),
        ("space.name", "nonsense", "No space is called"),
        ("data.name", "nonsense", "No data set is called"),
    ],
)
def test_bad_input_stands_at_its_field(page, field, value, said):
    changes = {field: value}
    if field == "space.name":
        changes["space:for"] = value
    answer = page.post("/spaces/canvas/state/", posted(**changes))
    assert answer.status_code == 200
    errors = answer.json()["errors"]
    assert said in " ".join(errors[field]), errors
    assert not page.post("/spaces/save/", posted(**changes, name="Bad")).json()["ok"]
    assert not Space.objects.exists()


@pytest.mark.parametrize(
    ("restrict", "said"),
    [({"nothing": [1]}, "is no decision"), ({"norm": ["group"]}, "eep at least one"),
     ({"norm": []}, "eep at least one"), ({"norm": "batch"}, "tuple")],
)  # fmt: skip
def test_bad_restrictions_stand_at_theirs(page, restrict, said):
    answer = page.post("/spaces/canvas/state/", posted(**{"space.restrict": json.dumps(restrict)})).json()
    assert said in " ".join(answer["errors"]["space.restrict"])


def test_what_is_too_long_or_unreadable_is_refused(page):
    long = page.post("/spaces/canvas/paste/", {"yaml": "x" * (256 * 1024 + 1)})
    assert long.status_code == 422 and "at most 262,144 characters" in long.json()["said"][0]
    huge = ask(page, "chunk", {"space": {"name": "x" * 600_000}, "data": DIGITS}, chunk=0)
    assert huge.status_code == 413
    deep = page.post("/spaces/canvas/paste/", {"yaml": "[" * 20_000})
    assert deep.status_code == 422
    for text in ("a: [", "just text", "- 1", "data: digits", "space: 3", "space: &a {name: layers, depth: *a}"):
        answer = page.post("/spaces/canvas/paste/", {"yaml": text})
        assert answer.status_code == 422 and answer.json()["said"], text
    for body in ("[]", "{", "null", '{"state": 3}', '{"state": {"space": 1, "data": 2}}'):
        answer = page.post("/spaces/canvas/chunk/", body, content_type="application/json")
        assert answer.status_code == 422, body


def test_yaml_of_the_canvas_reads_back(page):
    first = page.post("/spaces/canvas/state/", posted(**{"space.restrict": json.dumps({"depth": [2]})})).json()
    again = page.post("/spaces/canvas/paste/", {"yaml": first["yaml"]}).json()
    assert again["key"] == first["key"] and again["yaml"] == first["yaml"]
    assert "html" in again
    whole_search = "name: A search\nspace: {name: nasbench201}\ndata: {name: digits}\nbudget: {trials: 3}\n"
    assert page.post("/spaces/canvas/paste/", {"yaml": whole_search}).json()["size"]["words"] == "15,625"


def test_samples_come_in_chunks_that_add_up(page):
    state = {"space": SMALL, "data": DIGITS}
    first = ask(page, "chunk", state, chunk=0, seen=None).json()
    assert len(first["seen"]["costs"]["n_params"]) == 40 and not first["done"]
    second = ask(page, "chunk", state, chunk=1, seen=first["seen"]).json()
    assert second["words"].startswith("80 sampled networks")
    assert sum(second["figures"]["n_macs"]["data"][0]["y"]) == 80
    assert ask(page, "chunk", state, chunk=0, seen=None).json() == first
    assert all(t["type"] == "bar" for f in second["figures"].values() for t in f["data"])
    for bad in ({"chunk": 99}, {"chunk": "0"}, {"chunk": 0, "seen": {"costs": 1}}):
        assert ask(page, "chunk", state, **bad).status_code == 422


def test_examples_are_the_same_every_time(page):
    state = {"space": {"name": "nasbench201"}, "data": DIGITS}
    first, again = (ask(page, "example", state, number=3).json() for _ in range(2))
    assert first == again and first["picture"]["nodes"] and first["costs"]["n_params"] > 0
    assert first["text"].startswith("|")
    assert ask(page, "example", state, number=-1).status_code == 422


def test_a_space_that_does_not_serve_the_data_says_why(page):
    answer = page.post("/spaces/canvas/fields/", {"space.name": "transformer", "data.name": "iris"}).json()
    assert not answer["ok"] and answer["errors"]["space.name"][0].startswith("It does not serve iris")


def test_rows_of_nodes_that_offer_more_and_more_are_one(page):
    state = {"space": {"name": "darts", "steps": [2, 3, 4]}, "data": {"name": "digits"}}
    answer = page.post("/spaces/canvas/paste/", {"yaml": json.dumps(state)}).json()
    rows = [d for p in answer["outline"]["parts"] for d in p["decisions"] if d["title"].startswith("normal inputs")]
    (row,) = rows
    assert row["name"] == row["names"][0] == "normal5_inputs"
    assert set(row["fewer"]["normal3_inputs"]) < set(row["values"]) and "normal5_inputs" not in row["fewer"]


# -- keeping ---------------------------------------------------------------------------------------
def test_saving_versions_and_copies(page, mira):
    made = page.post("/spaces/save/", posted(name="Tiny")).json()
    space = Space.objects.get(owner=mira)
    assert made["ok"] and made["url"] == f"/spaces/{space.pk}/" and made["number"] == 1
    version = space.versions.get()
    assert version.size == "6" and version.config["depth"] == [1, 2]
    ids = {"form:space": space.pk, "form:version": 1, "name": "Tiny"}
    same = page.post("/spaces/save/", posted(**ids)).json()
    assert same["ok"] and not same["new"]
    changed = page.post("/spaces/save/", posted(**ids, **{"space.depth": ["2"], "note": "deeper"})).json()
    assert changed["new"] and changed["number"] == 2
    assert page.post("/spaces/canvas/state/", posted(**ids)).json()["same_as"] == 1
    old = page.get(f"/spaces/{space.pk}/?version=1").content.decode()
    assert "version 1 of 2" in old
    assert page.get(f"/spaces/{space.pk}/?version=3").status_code == 404
    other = page.post("/spaces/save/", posted(**ids, do="copy")).json()
    assert other["url"] != made["url"] and Space.objects.count() == 2
    nameless = page.post("/spaces/save/", posted(name=" "))
    assert nameless.status_code == 422 and nameless.json()["errors"]["name"]


@pytest.mark.parametrize("action", ["rename", "archive", "delete", "share", "unshare", "copy"])
def test_another_users_space_is_a_404(page, jonas, action):
    theirs = kept(jonas).space
    assert page.get(f"/spaces/{theirs.pk}/").status_code == 404
    assert page.get(f"/spaces/{theirs.pk}/space.yaml").status_code == 404
    assert page.post(f"/spaces/{theirs.pk}/do/{action}/", {"name": "x"}).status_code == 404
    assert page.post("/spaces/save/", posted(**{"form:space": theirs.pk, "name": "x"})).status_code == 404
    assert page.get(f"/architectures/?s=v{theirs.pk}.1").status_code == 404
    assert page.get(f"/searches/new/?space={theirs.pk}.1").status_code == 404
    theirs.refresh_from_db()
    assert theirs.name == "Small" and theirs.versions.count() == 1 and not theirs.share_token


def test_rename_archive_delete(page, mira):
    space = kept(mira).space
    page.post(f"/spaces/{space.pk}/do/rename/", {"name": "Other"})
    page.post(f"/spaces/{space.pk}/do/archive/")
    assert page.get("/spaces/").context["rows"] == []
    assert [r.space.name for r in page.get("/spaces/?archived=1").context["rows"]] == ["Other"]
    assert page.get(f"/spaces/{space.pk}/do/delete/").status_code == 405
    page.post(f"/spaces/{space.pk}/do/delete/")
    assert not Space.objects.exists()


def test_a_shared_space_can_be_looked_at_and_copied(page, mira, jonas):
    version = kept(jonas, "Theirs")
    token = services.space_share(space=version.space)
    shown = page.get(f"/spaces/shared/{token}/").content.decode()
    assert "Theirs" in shown and "Save a copy" in shown and "of jonas" in shown
    assert "data-readonly" in shown and "Delete" not in shown
    page.post(f"/spaces/shared/{token}/copy/")
    assert Space.objects.get(owner=mira).versions.get().config == version.config
    services.space_unshare(space=version.space)
    assert page.get(f"/spaces/shared/{token}/").status_code == 404


def test_export_and_import(page, mira):
    version = kept(mira, "Ex/port", restrict={"block1_op": ["sep3"]})
    text = page.get(f"/spaces/{version.space_id}/space.yaml")
    assert "attachment" in text["Content-Disposition"] and "export-v1.yaml" in text["Content-Disposition"]
    page.post("/spaces/import/", {"text": text.content.decode()})
    file = SimpleUploadedFile("space.yaml", text.content)
    page.post("/spaces/import/", {"file": file})
    copies = Space.objects.exclude(pk=version.space_id)
    assert [s.name for s in copies] == ["Ex/port"] * 2
    assert all(s.versions.get().config == version.config for s in copies)
    answer = page.post("/spaces/import/", {"text": "space: {name: layers, depth: [1000000]}"}, follow=True)
    assert "Not imported: space.depth" in answer.content.decode()
    page.post("/spaces/import/", {"file": SimpleUploadedFile("x.yaml", b"\xff\xfe\x00")})
    page.post("/spaces/import/", {"file": SimpleUploadedFile("x.yaml", b"x" * (256 * 1024 + 1))})
    assert Space.objects.count() == 3


# -- searches --------------------------------------------------------------------------------------
def form_of(page, url):
    """Values of the search's form as the browser would send them."""
    text = page.get(url).content.decode()
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text))
    return text, hidden


def test_a_search_begins_with_a_saved_space_and_keeps_its_version(page, mira):
    version = kept(mira, "Mine")
    text, hidden = form_of(page, f"/searches/new/?space={version.space_id}.1")
    assert f'value="saved:{version.pk}" selected' in text
    assert hidden["saved:for"] == str(version.pk)
    whole = {k: v for k, v in hidden.items() if k != "csrfmiddlewaretoken"}
    config = version.config
    sent = {**whole, "name": "In it", "space.name": f"saved:{version.pk}", "do": "draft", "evaluator.name": "trained"}
    for name, value in config.items():
        if isinstance(value, list):
            sent[f"space.{name}"] = [str(v).lower() if isinstance(v, bool) else str(v) for v in value]
    sent |= {"objectives": ["accuracy:maximize"], "budget.trials": "3", "budget.epochs": "2"}
    answer = page.post("/searches/new/", sent)
    assert answer.status_code == 302, answer.context["form"].by_field
    search = Search.objects.get(owner=mira, name="In it")
    assert search.space_version == version and search.config["space"] == config
    services.version_create(space=version.space, state=canvas({"space": {"name": "layers"}, "data": DIGITS}).full)
    search.refresh_from_db()
    assert search.space_version.number == 1
    assert "In it" in page.get(f"/spaces/{version.space_id}/").content.decode()
    named = page.get(f"/searches/{search.pk}/").content.decode()
    assert f'href="/spaces/{version.space_id}/?version=1">Mine v1</a>' in named


def test_a_space_is_made_of_chosen_trials(page, mira, jonas):
    search = lifecycle.search_create(owner=mira, config=config_make(parallelism=3), start=True)
    advance_search(search_id=search.pk)
    theirs = lifecycle.search_create(owner=jonas, config=config_make(), start=True)
    advance_search(search_id=theirs.pk)
    page.post("/spaces/of-trials/", {"t": f"{search.pk}.1 {search.pk}.3 {theirs.pk}.1"})
    version = Space.objects.get(owner=mira).versions.get()
    assert version.family == "list" and version.note == "from #1, #3"
    entries = version.config["architectures"]
    assert [e["choices"] for e in entries] == [search.trials.get(number=n).architecture for n in (1, 3)]
    assert page.get(f"/spaces/{version.space_id}/").context["answer"]["size"]["words"] == "2"
    page.post("/spaces/of-trials/", {"t": "nonsense"})
    assert Space.objects.count() == 1
