"""The Supernet tab and what it is made of."""

import html
import re

import pytest
from django.urls import reverse

from benchmarks._seed_supernet import STAGES
from searches.models import Job, LogLine, SupernetEpoch
from searches.selectors import supernet as read
from searches.views.supernet_figures import FIGURES
from tests.searches.views.supernet_page import address, figure, parts, text_of

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("method", ["darts", "spos"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_its_page_its_figures_and_its_other_tabs(page, sharing, method, stage):
    search = sharing(method=method, stage=stage)
    for name in ("supernet", "derived", "detail", "trials", "insight"):
        assert page.get(address(search, name)).status_code == 200, name
    for name in FIGURES:
        out = figure(page, search, name).json()
        assert out["data"] or out["empty"], name


# -- who sees it -----------------------------------------------------------------------------------
def test_a_search_that_trains_no_supernet_has_no_such_tab(page, seeded):
    search = seeded(n_trials=3)
    assert "Supernet" not in page.get(address(search, "detail")).content.decode()
    wanted = [address(search), address(search, "derived"), reverse("searches:parts", args=[search.pk, "supernet"])]
    wanted += [reverse("searches:figure", args=[search.pk, name]) for name in FIGURES]
    for place in wanted:
        assert page.get(place).status_code == 404, place
    assert "supernet" not in parts(page, search, "overview")


def test_the_table_of_subnets_is_to_be_had_alone_in_the_same_order(page, sharing, seeded, jonas):
    search = sharing(method="spos", scores=60)
    whole = page.get(address(search, sort="macs", page=2, epoch=3)).content.decode()
    alone = page.get(address(search, sort="macs", page=2, epoch=3, rows="")).content.decode()
    assert alone.strip() and alone.strip() in whole and "<html" not in alone
    assert "epoch=3&amp;sort=macs&amp;page=1#subnets" in alone and "rows=" not in alone
    assert page.get(address(seeded(n_trials=3), rows="")).status_code == 404
    assert page.get(address(sharing(owner=jonas), rows="")).status_code == 404


def test_somebody_elses_is_not_there(page, sharing, jonas):
    search = sharing(owner=jonas)
    for place in (address(search), address(search, "derived"), reverse("searches:parts", args=[search.pk, "supernet"])):
        assert page.get(place).status_code == 404
    assert page.post(reverse("searches:action", args=[search.pk, "enough"])).status_code == 404


# -- words -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "stage", "sentence", "then"),
    [
        ("darts", "waiting", "Supernet 1 of 1 waits for a free slot.", "Then what it derives is trained alone"),
        ("darts", "supernet", "Supernet 1 of 1: epoch 8 of 12, loss 0.", "Then what it derives is trained alone"),
        ("spos", "supernet", "Supernet 1 of 1: epoch 8 of 12, loss 0.", "Then 20 subnets are scored with its weights"),
        ("spos", "score", "Supernet 1 of 1 is trained: 12 epochs", "Then the best are trained alone"),
        ("darts", "done", "Supernet 1 of 1 is trained: 12 epochs", ""),
    ],
)  # fmt: skip
def test_the_tab_says_how_it_stands_and_what_comes_next(page, sharing, method, stage, sentence, then):
    told = parts(page, sharing(method=method, stage=stage))["supernet_now"]
    assert sentence in told and then in told
    assert then or "Then" not in told


def test_skip_connections_are_counted_in_words(sharing):
    search = sharing(stage="supernet", skips=True)
    s = read.sharing(search)
    n = sum(v == "skip_connect" for v in s.now.last["derived"].values())
    assert s.sentence.endswith(f"what it derives has {n} of 6 skip connections.")


@pytest.mark.parametrize(
    ("stage", "states"),
    [
        ("waiting", ["waiting", "waiting", "waiting"]),
        ("supernet", ["running", "waiting", "waiting"]),
        ("score", ["done", "running", "waiting"]),
        ("trials", ["done", "done", "running"]),
        ("done", ["done", "done", "done"]),
    ],
)
def test_phases_have_their_states(sharing, stage, states):
    assert [p.state for p in read.sharing(sharing(method="spos", stage=stage)).phases] == states


def test_a_failed_and_an_early_ended_supernet_say_why(sharing):
    search = sharing(stage="supernet")
    row = SupernetEpoch.objects.filter(job__search=search).last()
    row.row["ended"] = "ended by a person"
    row.save()
    assert "ended early, after epoch 8 of 12: ended by a person" in read.sharing(search).sentence
    search.jobs.update(state=Job.State.FAILED, reason="loss is not finite.")
    s = read.sharing(search)
    assert s.sentence == "Supernet 1 of 1 failed: loss is not finite." and s.phases[0].state == "failed"


def test_a_method_that_measures_has_a_phase_for_it(sharing):
    search = sharing(stage="waiting")
    Job.objects.create(search=search, kind=Job.Kind.MEASURE, state=Job.State.RUNNING, payload={"piece": 1})
    assert read.sharing(search).phases[0].name == "measure" and read.sharing(search).phases[0].state == "running"


def test_of_several_supernets_the_newest_is_in_view_and_the_address_keeps_another(page, sharing):
    search = sharing(stage="supernet")
    search.config["strategy"]["runs"] = 2
    search.save()
    search.jobs.update(state=Job.State.DONE)
    second = Job.objects.create(search=search, kind=Job.Kind.SUPERNET, state=Job.State.RUNNING, fidelity=12)
    SupernetEpoch.objects.create(job=second, epoch=1, row={"epoch": 1, "train_loss": 9.0, "accuracy": 0.1})
    assert "Supernet 2 of 2: epoch 1 of 12, loss 9.00" in parts(page, search)["supernet_now"]
    assert figure(page, search, "supernet-loss").json()["data"][0]["y"] == [9.0]
    assert len(figure(page, search, "supernet-loss", run=1).json()["data"][0]["y"]) == 8
    body = page.get(address(search, run=1)).content.decode()
    assert "figures/supernet-loss/?run=1" in body and 'data-epoch="8"' in body
    for nonsense in ("0", "3", "x", "9" * 30):
        assert 'data-run="2"' in page.get(address(search, run=nonsense)).content.decode()


# -- epochs ----------------------------------------------------------------------------------------
def test_the_epoch_of_the_address_is_in_view(page, sharing):
    search = sharing()
    assert figure(page, search, "alphas", epoch=3).json()["notes"]["epoch"] == 3
    found = page.get(address(search, "derived", epoch=3)).json()
    row = SupernetEpoch.objects.get(job__search=search, epoch=3).row
    space = read.space_of(search)
    architecture = space.validate(row["derived"])
    assert found["epoch"] == 3 and found["name"] == space.short_name(architecture)
    assert f"{space.costs(architecture).n_params / 1e3:,.1f} k parameters" in found["costs"]
    assert found["picture"]["nodes"]
    newest = page.get(address(search, "derived")).json()
    assert newest["epoch"] == 12
    for nonsense in ("0", "-1", "x", "1e3", "99999999999"):
        assert page.get(address(search, "derived", epoch=nonsense)).json()["epoch"] == 12
    assert page.get(address(search, "derived", epoch=500)).json()["epoch"] == 12


def test_what_changed_against_the_epoch_before_is_told_and_the_trial_is_linked(page, sharing):
    search = sharing()
    space = read.space_of(search)
    rows = list(SupernetEpoch.objects.filter(job__search=search).order_by("epoch"))
    rows[4].row["derived"] = {**rows[3].row["derived"], "edge0_1": "skip_connect"}
    rows[3].row["derived"]["edge0_1"] = "nor_conv_3x3"
    SupernetEpoch.objects.bulk_update(rows, ["row"])
    found = page.get(address(search, "derived", epoch=5)).json()
    assert found["changed"] == "edge 0→1: conv 3×3 → skip"
    assert page.get(address(search, "derived", epoch=1)).json()["changed"] == ""
    trial = search.trials.get(number=1)
    rows[-1].row["derived"] = trial.architecture
    rows[-1].save()
    assert page.get(address(search, "derived")).json()["trial"] == 1
    assert space.validate(trial.architecture)


def test_a_method_that_searches_among_subnets_shows_the_best_of_them(page, sharing):
    waiting = page.get(address(sharing(method="spos", stage="supernet"), "derived")).json()
    assert "none was scored yet" in waiting["empty"]
    search = sharing(method="spos")
    best = search.subnets.order_by("-accuracy").first()
    found = page.get(address(search, "derived")).json()
    assert found["name"] == best.name and found["scored"] == f"{100 * best.accuracy:.1f} % with shared weights"
    body = page.get(address(search)).content.decode()
    assert 'id="epoch"' not in body and "alphas-chart" not in body  # there is nothing to scrub through


def test_tables_stand_in_the_order_of_the_space_whatever_the_database_keeps(page, sharing):
    search = sharing()
    for row in SupernetEpoch.objects.filter(job__search=search):
        row.row["tables"] = {n: dict(reversed(t.items())) for n, t in reversed(row.row["tables"].items())}
        row.save()
    out = figure(page, search, "alphas").json()
    assert [r[0] for r in out["table"]["rows"]] == [
        "edge 0→1", "edge 0→2", "edge 1→2", "edge 0→3", "edge 1→3", "edge 2→3",
    ]  # fmt: skip
    assert out["table"]["columns"] == ["decision", "none", "skip", "conv 1×1", "conv 3×3", "avg 3×3", "entropy"]


# -- alarm and orders ------------------------------------------------------------------------------
def test_the_alarm_is_shown_with_its_remedy_one_press_away(page, sharing):
    quiet = sharing(stage="supernet", epochs=30)
    assert "Collapse alarm" not in parts(page, quiet)["supernet_now"]
    search = sharing(epochs=30, skips=True)
    body = page.get(address(search)).content.decode()
    assert "Collapse alarm" in body
    links = [html.unescape(x) for x in re.findall(r'href="(/searches/new/[^"]+)"', body)]
    assert links and all(f"from={search.pk}" in link for link in links)
    for link in links:
        form = page.get(link)
        assert form.status_code == 200
    option = next(link for link in links if "options=" in link)
    assert "max_skips: 2" in page.get(option).content.decode()  # the form's YAML says so
    assert figure(page, search, "supernet-skips").json()["layout"]["shapes"]


def test_the_training_can_be_ended_while_it_runs(page, sharing):
    search = sharing(stage="supernet")
    assert "Stop training here and go on" in parts(page, search)["supernet_now"]
    place = reverse("searches:action", args=[search.pk, "enough"])
    answer = page.post(place, {"next": address(search)})
    assert answer.status_code == 302 and answer.url == address(search)
    assert search.jobs.get(kind=Job.Kind.SUPERNET).order == "enough"
    assert LogLine.objects.filter(search=search, message__contains="has seen enough").exists()
    told = parts(page, search)["supernet_now"]
    assert "Stop training here" not in told and "ends after this epoch" in told
    again = page.post(place, {"next": address(search)}, follow=True)
    assert "No supernet is being trained at this moment." in again.content.decode()
    assert page.get(place).status_code == 405


def test_the_weights_can_be_the_start_of_another_search(page, sharing):
    search = sharing()
    assert "Begin another search" not in parts(page, search)["supernet_now"]
    job = search.jobs.get(kind=Job.Kind.SUPERNET)
    job.checkpoint = "supernet/aa/weights"
    job.save()
    search.artifacts.create(kind="supernet", name=job.checkpoint, digest="a" * 64, bytes=1)
    body = page.get(address(search)).content.decode()
    link = html.unescape(re.search(r'href="(/searches/new/[^"]*start=[^"]*)"', body)[1])
    assert f"start: {'a' * 64}" in html.unescape(page.get(link).content.decode())


# -- subnets ---------------------------------------------------------------------------------------
def rows_of(client, search, **query):
    body = client.get(address(search, **query)).content.decode()
    table = body[body.index('id="subnet-table"') :]
    return [text_of(r).strip() for r in re.findall(r"<tr[^>]*>(.*?)</tr>", table, re.S)[1:]]


def test_subnets_are_sorted_by_what_the_address_allows(page, sharing):
    search = sharing(method="spos", pairs=2)
    names = {s: [r.split("  ")[0] for r in rows_of(page, search, sort=s)] for s in ("-accuracy", "macs", "order")}
    every = list(search.subnets.all())
    assert names["-accuracy"][0].startswith(max(every, key=lambda r: r.accuracy).name)
    assert names["order"][0].startswith(every[0].name)
    assert rows_of(page, search, sort="macs")[0].split()[-3] != ""
    for nonsense in ("architecture", "job__search", "-search__owner__password", ""):
        assert rows_of(page, search, sort=nonsense) == rows_of(page, search)


def test_pages_of_subnets_keep_the_epoch_and_refuse_nonsense(page, sharing):
    search = sharing(method="spos", scores=60, pairs=2)
    assert len(rows_of(page, search)) == 25
    body = page.get(address(search, epoch=3, sort="macs")).content.decode()
    assert "epoch=3&amp;sort=macs&amp;page=2#subnets" in body
    assert len(rows_of(page, search, page=99)) == search.subnets.count() % 25
    assert "<script" not in body[body.index('id="subnet-table"') : body.index("</table>", body.index("subnet-table"))]
    assert "alert" not in page.get(address(search, epoch='"><b>alert')).content.decode()


def test_a_subnet_that_was_trained_alone_leads_to_its_trial(page, sharing):
    search = sharing(method="spos", pairs=2)
    body = page.get(address(search)).content.decode()
    table = body[body.index('id="subnet-table"') :]
    for number in (1, 3):
        assert reverse("searches:trial", args=[search.pk, number]) in table
    assert "random partner" in table


def test_accuracy_under_shared_weights_stays_out_of_the_trials(page, sharing):
    search = sharing(method="spos", pairs=2)
    body = page.get(address(search, "trials")).content.decode()
    assert "shared weights" not in body
    drawn = figure(page, search, "best").json()
    seen = {round(v, 2) for t in drawn["data"] for v in t.get("y", []) if isinstance(v, float)}
    assert not seen & {round(100 * s.accuracy, 2) for s in search.subnets.all()}


# -- overview --------------------------------------------------------------------------------------
def test_the_overview_is_not_empty_while_the_supernet_trains(page, sharing):
    search = sharing(stage="supernet")
    body = page.get(address(search, "detail")).content.decode()
    told = text_of(body)
    assert "Supernet 1 of 1: epoch 8 of 12" in told and "training loss" in told
    assert address(search) in body and "data-spark" in body
    assert "the first result appears after the supernet, its scores and 8 epochs" in told
    assert "epoch 8 of 12" in parts(page, search, "overview")["supernet"]


def test_pieces_that_run_are_called_what_they_are(page, sharing):
    told = parts(page, sharing(method="spos", stage="score"), "overview")["running"]
    assert "Scores" in told and "subnet" in told and "12 of 64" in told
    claims = sharing(stage="supernet")
    job = claims.jobs.get()
    job.claims.create(search=claims, number=1, worker="cpu-1", started_at=job.started_at)
    assert "supernet" in str(figure(page, claims, "timeline").json()["table"]["rows"])


def test_the_header_says_whether_random_was_beaten(page, sharing, seeded):
    search = sharing(pairs=4)
    from searches.selectors.trust import against_random

    assert against_random(search).short in parts(page, search, "trials")["facts"]
    assert "derived" not in parts(page, seeded(n_trials=6), "trials")["facts"]


def test_what_a_controller_learns_from_is_shown_where_there_is_one(page, sharing):
    search = sharing(method="spos", stage="trials")
    assert "supernet-controller" not in page.get(address(search)).content.decode()
    for epoch in SupernetEpoch.objects.filter(job__search=search):
        epoch.row |= {"reward": 0.5, "entropy": 0.9}
        epoch.save()
    assert 'id="supernet-controller"' in page.get(address(search)).content.decode()
    assert len(figure(page, search, "supernet-controller").json()["data"]) == 2


def test_the_table_says_what_scores_are_measured_on(page, sharing):
    search = sharing(method="spos", stage="trials")
    assert "the validation split, at most 2,000 samples of it" in text_of(page.get(address(search)).content.decode())
    search.config["strategy"]["score_samples"] = None
    search.save(update_fields=["config"])
    assert "on the validation split; comparable" in text_of(page.get(address(search)).content.decode())


# -- cost ------------------------------------------------------------------------------------------
def test_queries_do_not_grow_with_what_was_trained(n_queries, sharing):
    small, large = (sharing(method="spos", epochs=e, scores=n, pairs=p) for e, n, p in ((5, 10, 2), (60, 300, 8)))
    for name, most in (("supernet", 32), ("derived", 12)):
        counts = [n_queries(address(s, name)) for s in (small, large)]
        assert counts[0] == counts[1] <= most, (name, counts)
    for name in FIGURES:
        counts = [n_queries(reverse("searches:figure", args=[s.pk, name])) for s in (small, large)]
        assert counts[0] == counts[1] <= 10, (name, counts)
    counts = [n_queries(reverse("searches:parts", args=[s.pk, "supernet"])) for s in (small, large)]
    assert counts[0] == counts[1] <= 28, counts
