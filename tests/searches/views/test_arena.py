"""The arena over HTTP: what is shown, started, refused, and for whom."""

from __future__ import annotations

import gzip
import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from searches.forms import arena as race_forms
from searches.forms import arena_tables
from searches.models import Race, RaceTable
from searches.selectors import races as read
from searches.services import race_pieces, racing
from tests.engine.arena.small import OPTIONS, rows, text

SYNTHETIC = {"problem": "synthetic:cell-additive", "budget": "20", "seeds": "3", "entrants": ["random", "local_search"],
             "limit": "", "name": "", "token": "t" * 24}  # fmt: skip


@pytest.fixture(autouse=True)
def sent(monkeypatch, settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "storage"
    out = []
    for module in (race_pieces, racing):
        monkeypatch.setattr(module, "race_enqueue", lambda race_id, claim: out.append((race_id, claim)) or True)
    return out


@pytest.fixture
def small(mira, page):
    """A space of 729 architectures that mira has saved, to name tables of."""
    from searches.services.spaces import space_create

    state = {"space": {"name": "nasbench201", **OPTIONS}, "data": {"name": "digits"}}
    return f"saved:{space_create(owner=mira, name='three operations', state=state).space_id}"


def upload(page, content, name="small.csv", **more):
    sent = {"space": "nasbench201:published", "key": "key", "shape": "3, 32, 32", "classes": "", "name": "", **more}
    if content is not None:
        sent["file"] = SimpleUploadedFile(name, content)
    return page.post("/arena/tables/new/", sent)


def finished(mira, sent, **more):
    """A race that has been run."""
    given = {"name": "Small race <b>", "problem": {"synthetic": "cell-additive", "limit": ""}, "budget": 12, "seeds": 4,
             "entrants": ["random", "local_search", "size-written"]}  # fmt: skip
    race = racing.race_create(owner=mira, **given | more)
    for claim in range(20):
        race_pieces.race_piece(race_id=race.pk, claim=claim, seconds=20)
    race.refresh_from_db()
    assert race.state == "completed", race.reason
    return race


# -- starting ------------------------------------------------------------------------------------------
def test_an_empty_arena_says_what_to_do_first(page):
    said = page.get("/arena/").content.decode()
    assert "Race some strategies" in said and "/arena/new/" in said and 'aria-current="page">Arena' in said


def test_a_race_is_started_once_and_waits_for_the_control_worker(page, mira, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        first = page.post("/arena/new/", SYNTHETIC)
        second = page.post("/arena/new/", SYNTHETIC)
    race = Race.objects.get()
    assert first.url == second.url == f"/arena/{race.pk}/" and sent == [(race.pk, 0)]
    assert (race.owner, race.budget, race.seeds, race.entrants) == (mira, 20, 3, ["random", "local_search"])
    assert race.name == "2 strategies on Cell, additive" and race.table is None
    said = page.get(f"/arena/{race.pk}/").content.decode()
    assert "Nothing has finished yet" in said and "0 of 6" in said


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"budget": "4"}, "budget", "from 5 to 1,000, not “4”"),
        ({"budget": "1e3"}, "budget", "A whole number"),
        ({"seeds": "0"}, "seeds", "from 2 to 200"),
        ({"entrants": []}, "entrants", ""),
        ({"entrants": ["nobody<b>"]}, "entrants", "no strategy called “nobody&lt;b&gt;”"),
        ({"limit": "n_macs<9"}, "limit", "COLUMN&lt;=NUMBER"),
        ({"limit": "flops<=p50"}, "limit", "a limit is on one of n_params, n_macs"),
        ({"problem": "table:99"}, "problem", "not there any more"),
        ({"seeds": "200", "budget": "1000", "entrants": ["random", "local_search"]}, "seeds", "too many"),
    ],
)
def test_what_cannot_be_raced_is_said_at_its_field_before_anything_is_queued(page, sent, changes, field, says):
    answer = page.post("/arena/new/", {**SYNTHETIC, **changes})
    if changes == {"entrants": []}:  # nothing chosen: the usual ones are
        assert answer.status_code == 302
        return
    said = answer.content.decode()
    assert answer.status_code == 422 and field in answer.context["form"].errors and says in said
    assert not Race.objects.exists() and not sent


def test_a_strategy_that_cannot_serve_the_space_is_refused_with_its_reason(page, monkeypatch):
    from engine.strategies.local_search import LocalSearch

    monkeypatch.setattr(LocalSearch, "supports", classmethod(lambda cls, space, objectives: "it is too hilly"))
    answer = page.post("/arena/new/", SYNTHETIC)
    assert "local search cannot race here: it is too hilly" in answer.content.decode()


# -- tables --------------------------------------------------------------------------------------------
def test_an_uploaded_table_can_be_raced_on(page, mira, small):
    answer = upload(page, gzip.compress(text(rows(0.5))), name="../small.csv.gz", space=small)
    table = RaceTable.objects.get()
    assert answer.url == f"/arena/new/?problem=table:{table.pk}"
    assert (table.owner, table.name, table.n_rows, table.numbers) == (mira, "small.csv.gz", 729, ["a", "b", "c"])
    assert table.file == f"tables/{table.digest}.csv.gz"
    form = page.get(answer.url).content.decode()
    assert 'name="reward" value="a"' in form and 'name="report" value="c"' in form
    given = {**SYNTHETIC, "problem": f"table:{table.pk}", "reward": ["a", "b"], "report": ["a", "b", "c"]}
    race = Race.objects.get(pk=page.post("/arena/new/", given).url.split("/")[2])
    assert race.table == table and race.problem == {"limit": "", "reward": ["a", "b"], "report": ["a", "b", "c"]}
    missing = page.post("/arena/new/", {**given, "report": []})
    assert "Choose at least one report column" in missing.content.decode()
    twice = page.post("/arena/new/", {**given, "reward": ["a"], "report": ["a"], "token": "u" * 24})
    assert "leave nothing" in twice.content.decode()


def test_a_table_suggests_its_columns_by_their_names(page, small):
    named = [
        {"index": i, "key": r["key"], "flops_c10": i, "val_loss": r["a"], "val_acc": r["a"], "test_acc": r["b"]}
        for i, r in enumerate(rows(0.5))
    ]
    form = page.get(upload(page, text(named), space=small, key="key").url).context["form"]
    assert form.limit_example == "flops_c10 <= p50"
    assert [c.value for c in form.rewards] == ["flops_c10", "val_loss", "val_acc", "test_acc"]
    assert [c.value for c in form.rewards if c.chosen] == ["val_acc"]
    assert [c.value for c in form.reports if c.chosen] == ["test_acc"]


def test_a_wrong_key_column_names_those_whose_cells_fit(page, small):
    named = [{"index": i, "note": "x", **r} for i, r in enumerate(rows())]
    said = upload(page, text(named), space=small, key="note").content.decode()
    assert "the cells of key fit" in said


def test_one_seed_makes_nobody_a_leader(page, mira, sent):
    race = finished(mira, sent)
    for curve in race.figures["curves"]:
        curve["seeds"] = 1
    race.save()
    said = page.get(f"/arena/{race.pk}/").content.decode()
    assert "one seed so far" in said and "leads:" not in said and "± 0.00" not in said
    assert all(row.leader == "" for row in page.get("/arena/").context["rows"])


def test_names_are_those_of_the_methods_and_none_stands_twice(page):
    form = page.get("/arena/new/").context["form"]
    labels = [c.label for _, choices in form.groups for c in choices]
    assert "MCTS" in labels and "NSGA-II" in labels and len(labels) == len(set(labels))


def test_a_table_of_the_data_folder_can_be_taken(page, settings, tmp_path, small):
    settings.DATA_DIR = tmp_path
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "here.csv").write_bytes(text(rows()))
    (tmp_path / "secret.csv").write_bytes(text(rows()))
    assert "<option>here.csv</option>" in page.get("/arena/tables/new/").content.decode()
    assert upload(page, None, folder="../secret.csv", space=small).status_code == 422
    assert upload(page, None, folder="here.csv", space=small).status_code == 302
    assert RaceTable.objects.get().name == "here.csv"


@pytest.mark.parametrize(
    ("content", "changes", "field", "says"),
    [
        (None, {}, "file", "Choose a file"),
        (b"key,a,b\n000000,1,2\n000001,1\n", {}, "file", "row 3: 2 cells, but 3 columns"),
        ("key,a,b\n000000,1,ü\n".encode("latin-1"), {}, "file", "not UTF-8"),
        (b"\x1f\x8bnonsense", {}, "file", "cannot be unpacked"),
        (b"key,a\n000000,1\n", {}, "file", "two columns with a number in every row"),
        (b"key,a,b\n000000,1,nan\n", {}, "file", "two columns with a number in every row"),
        (b"key,a,b\n000009,1,2\n", {}, "key", "row 2: received"),
        (b"key,a,b\n000000,1,2\n000000,1,2\n", {}, "key", "row 3: the same architecture as row 2"),
        (b"key,a,b\n000000,1,2\n", {"key": "arch"}, "key", "no column “arch”"),
        (b"key,a,b\n000000,1,2\n", {"space": "nowhere:x"}, "space", "Choose the space"),
        (b"key,a,b\n000000,1,2\n", {"shape": "3, x"}, "shape", "whole numbers"),
        (b"key,a,b\n000000,1,2\n", {"shape": "3"}, "space", "does not serve"),
        (b"key,a,b\n000000,1,2\n", {"classes": "1"}, "classes", "from 2 to 100,000"),
    ],
)
def test_files_that_are_no_table_are_refused_at_their_field(page, content, changes, field, says):
    answer = upload(page, content, **changes)
    assert answer.status_code == 422 and field in answer.context["form"].errors
    assert says in answer.content.decode().replace("&#x27;", "'") and not RaceTable.objects.exists()


def test_large_files_and_bombs_are_refused(page, monkeypatch):
    monkeypatch.setattr(arena_tables, "MOST_BYTES", 100)
    assert "at most 0 MB can be sent" in upload(page, b"x" * 200).content.decode()
    monkeypatch.setattr(arena_tables, "MOST_BYTES", 1 << 20)
    bomb = gzip.compress(b"key,a,b\n" + b"000000,1,2\n" * 7_000_000)
    assert len(bomb) < 1 << 20
    assert "is larger than 64 MB" in upload(page, bomb).content.decode()


def test_reading_has_a_limit_on_its_time(page, monkeypatch, small):
    monkeypatch.setattr(arena_tables, "READ_S", 0.001)
    assert "took longer than" in upload(page, text(rows()), space=small).content.decode()


# -- looking at one ------------------------------------------------------------------------------------
def test_the_page_answers_in_words_and_tables(page, mira, sent):
    race = finished(mira, sent)
    said = page.get(f"/arena/{race.pk}/?at=10&against=size-written").content.decode()
    assert "Small race &lt;b&gt;" in said and "leads:" in said and "12 of 12" in said
    assert "After 10 queries" in said and "against largest first" in said and "4 seeds" in said
    first = read.standings(race, mark=10, against="size-written")[0]
    assert f"{first.report['mean']:.2f}" in said
    part = page.get(f"/arena/{race.pk}/", headers={"X-Part": "race"}).content.decode()
    assert "<nav" not in part and 'data-part="table"' in part and 'data-state="completed"' in part
    for odd in ("?at=7", "?at=x&against=nobody", "?at=99999999"):
        assert page.get(f"/arena/{race.pk}/{odd}").status_code == 200


def test_figures_are_drawn_from_what_is_stored(page, mira, sent, monkeypatch):
    race = finished(mira, sent)
    monkeypatch.setattr(race_pieces, "problem_of", lambda race: 1 / 0)  # the web process reads no table
    for name in ("queries", "cost", "ranks"):
        figure = page.get(f"/arena/{race.pk}/figures/{name}/").json()
        lines = {d["name"] for d in figure["data"] if "name" in d}
        assert lines == {"random", "local search", "largest first, as written"} and figure["table"]["rows"]
        json.dumps(figure, allow_nan=False)
    assert page.get(f"/arena/{race.pk}/figures/other/").status_code == 404


def test_verdicts_are_the_tests_in_words(page, mira, sent):
    race = finished(mira, sent, seeds=8)
    pair, sign = read.pair_of(race, "local_search", "random", 12)
    words, ahead = read.verdict(race, "local_search", "random", 12)
    if pair["p_wilcoxon"] < read.ALPHA:
        assert ahead == sign and ("ahead of random" if sign > 0 else "behind random") in words
    else:
        assert ahead == 0 and words.startswith("not to be told apart from random")
    race.figures["paired"] = [
        {"a": "random", "b": "local_search", "at": 12, "difference": 0.417, "p_wilcoxon": 0.0004, "n": 20}
    ]
    assert read.verdict(race, "random", "local_search", 12) == ("0.42 ahead of local search (p < 0.001, 20 seeds)", 1)
    assert read.verdict(race, "local_search", "random", 12) == ("0.42 behind random (p < 0.001, 20 seeds)", -1)


def test_stopping_and_deleting(page, mira, sent):
    race = racing.race_create(
        owner=mira,
        name="x",
        problem={"synthetic": "cell-additive", "limit": ""},
        entrants=["random"],
        budget=9,
        seeds=2,
    )
    assert page.post(f"/arena/{race.pk}/do/stop/").url == f"/arena/{race.pk}/"
    race.refresh_from_db()
    assert race.state == "stopped"
    assert "ended already" in page.post(f"/arena/{race.pk}/do/stop/", follow=True).content.decode()
    assert page.post(f"/arena/{race.pk}/do/explode/").status_code == 404
    page.post(f"/arena/{race.pk}/do/delete/")
    assert not Race.objects.exists()


def test_everything_of_another_person_is_not_there(page, jonas, sent):
    race = finished(jonas, sent)
    fields = {"space": {}, "data": {}, "key": [], "numbers": [], "n_rows": 1}
    table = racing.table_create(owner=jonas, name="his", content=b"x", fields=fields)
    for address in (f"/arena/{race.pk}/", f"/arena/{race.pk}/figures/queries/", "/arena/0/", f"/arena/{2**63}/"):
        assert page.get(address).status_code == 404
    for address in (f"/arena/{race.pk}/do/stop/", f"/arena/{race.pk}/do/delete/",
                    f"/arena/tables/{table.pk}/do/delete/"):  # fmt: skip
        assert page.post(address).status_code == 404
    assert "his" not in page.get("/arena/").content.decode()
    answer = page.post("/arena/new/", {**SYNTHETIC, "problem": f"table:{table.pk}", "reward": "a", "report": "b"})
    assert answer.status_code == 422 and Race.objects.count() == 1
    assert race_forms.race_form(jonas, page.get("/arena/new/").wsgi_request.GET).problems[1][1]


def test_the_list_takes_few_queries_however_long_it_is(page, mira, sent, n_queries):
    finished(mira, sent)
    one = n_queries("/arena/")
    for _ in range(4):
        finished(mira, sent)
    assert n_queries("/arena/") == one <= 8
