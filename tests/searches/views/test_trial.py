"""One trial's page."""

import pytest
from django.urls import reverse

from searches.models import Job, LogLine, Search, Trial

pytestmark = pytest.mark.django_db
EVIL = "<script>alert(1)</script>"


def address(trial, name="trial"):
    return reverse(f"searches:{name}", args=[trial.search_id, trial.number])


def text_of(page, trial):
    response = page.get(address(trial))
    assert response.status_code == 200
    return response.content.decode()


def test_a_quick_score_is_called_that(page, seeded):
    search = seeded()
    text = text_of(page, search.best)
    assert "a quick score after 6 epochs" in text and "validation, quick score" in text
    assert "sealed test, after" not in text
    assert "Train fully" in text and "Download opens when" not in text.split("page-acts")[0]


def test_each_accuracy_has_its_right_name(page, seeded):
    trial = seeded(final=True).best
    text = text_of(page, trial)
    assert "98.6 % on the sealed test" in text and ", 5 of 360 wrong" in text
    names = ("sealed test, after full training", "validation, after full training", "validation, quick score")
    order = [text.index(f">{name}<") for name in names]
    assert order == sorted(order)
    assert "opened once" in text and "12 epochs" in text


def test_the_bundle_with_its_checks_and_files(page, seeded):
    trial = seeded(final=True).best
    text = text_of(page, trial)
    assert text.count(": passed</span>") == 6
    for name in ("model.py", "weights.safetensors", "model.onnx", "architecture.json", "MODEL_CARD.md", "predict.py"):
        assert reverse("searches:bundle_file", args=[trial.search_id, trial.number, name]) in text


def test_a_check_that_failed_leaves_a_reason_and_no_download(page, seeded):
    trial = seeded(final=True).best
    trial.artifacts.all().delete()
    trial.bundle_checks[3]["ok"] = False
    trial.final_reason = "model.onnx differs from the trained network by 0.2, more than 1e-4"
    trial.save()
    text = text_of(page, trial)
    assert "differs from the trained network by 0.2" in text
    assert ": failed</span>" in text and "bundle.zip" not in text
    assert "98.6 % on the sealed test" in text  # the number is true all the same


def test_where_it_comes_from_and_what_came_of_it(page, seeded):
    search = seeded(n_trials=30, seed=3)
    child = search.trials.exclude(parents=[]).first()
    parent = search.trials.get(number=child.parents[0])
    assert child.why[:20] in text_of(page, child).replace("&#x27;", "'")
    text = text_of(page, parent)
    assert "Its own children" in text and address(child) in text


def test_a_failed_trial_has_its_whole_traceback(page, seeded):
    trial = seeded().trials.get(number=2)
    trial.state, trial.reason = Trial.State.FAILED, "it ran out of memory"
    trial.traceback = f"Traceback (most recent call last):\n  {EVIL}\nMemoryError"
    trial.accuracy = None
    trial.save()
    text = text_of(page, trial)
    assert "it ran out of memory" in text and "MemoryError" in text
    assert "&lt;script&gt;alert(1)" in text and EVIL not in text


def test_texts_are_escaped(page, seeded):
    trial = seeded().trials.get(number=1)
    Trial.objects.filter(pk=trial.pk).update(name=EVIL, why=EVIL, worker=EVIL, final_reason=EVIL)
    LogLine.objects.create(search=trial.search, trial=trial, at=trial.created_at, what="x", message=EVIL)
    assert EVIL not in text_of(page, trial)
    assert EVIL not in page.get(address(trial) + "?part=live").content.decode()


def test_the_live_part_alone(page, seeded):
    trial = seeded(running=1).trials.get(state="running")
    text = page.get(address(trial) + "?part=live").content.decode()
    assert "<html" not in text and "Learning curve" in text


def test_its_curves(page, seeded):
    search = seeded(final=True)
    found = page.get(address(search.best, "trial_figure")).json()
    named = {t.get("name"): t for t in found["data"]}
    assert len(named["quick score"]["x"]) == 6 and len(named["full training"]["x"]) == 12
    assert "sealed test 98.6 %" in found["summary"]
    assert page.get(address(search.trials.exclude(pk=search.best_id).first(), "trial_figure")).json()["data"]


def test_train_fully_asks_for_a_job(page, seeded):
    search = seeded()
    response = page.post(address(search.best, "train"))
    assert response.status_code == 302 and response["Location"] == address(search.best)
    search.best.refresh_from_db()
    assert search.best.final_state == Trial.FinalState.WAITING
    assert Job.objects.filter(trial=search.best, kind=Job.Kind.FINAL).count() == 1


def test_changes_need_a_post(page, seeded):
    search = seeded()
    assert page.get(address(search.best, "train")).status_code == 405
    assert page.get(address(search.best, "trial_cancel")).status_code == 405


@pytest.mark.parametrize("name", ["trial", "trial_figure", "bundle"])
def test_somebody_elses_trial_is_not_there(page, seeded, jonas, name):
    search = seeded(owner=jonas, final=True)
    assert page.get(address(search.best, name)).status_code == 404
    assert page.post(address(search.best, "train")).status_code == 404
    assert page.post(address(search.best, "trial_cancel")).status_code == 404
    assert Search.objects.get(pk=search.pk).best.final_state == Trial.FinalState.DONE


@pytest.mark.parametrize("number", ["0", "99", "9" * 30])
def test_no_such_trial(page, seeded, number):
    search = seeded()
    for tail in ("", "figure/", "bundle.zip", "bundle/model.py"):
        assert page.get(f"/searches/{search.pk}/trials/{number}/{tail}").status_code == 404


def test_queries_do_not_grow_with_the_trials(seeded, n_queries):
    few, many = seeded(n_trials=10, seed=1), seeded(n_trials=80, seed=1)
    assert n_queries(address(many.trials.get(number=1))) <= n_queries(address(few.trials.get(number=1))) <= 24


def test_weights_it_began_with_stand_beside_its_score(page, seeded):
    trial = seeded().best
    trial.cost |= {
        "inherited": {"trial": 4, "how": "matching", "tensors": 12, "of": 14, "why": ""}, "inherited_epochs": 18,
    }  # fmt: skip
    trial.save()
    text = text_of(page, trial)
    assert "<dt>began with</dt><dd>12 of 14 tensors from #4</dd>" in text
    assert "a quick score after 6 epochs on top of 18 inherited" in text
    assert "6 epochs on top of 18 inherited</span>" in text, "in the table of accuracies, too"
    gone = {"trial": 4, "how": "seed", "tensors": 0, "of": 14, "why": "the weights of #4 are gone"}
    trial.cost |= {"inherited": gone, "inherited_epochs": 0}
    trial.save()
    text = text_of(page, trial)
    assert "<dd>from its seed: the weights of #4 are gone</dd>" in text and "on top of" not in text


def test_every_parent_can_be_looked_at(page, seeded):
    search = seeded()
    trial = search.trials.get(number=3)
    trial.parents = [1, 2]
    trial.save()
    for parent in trial.parents:
        assert f'href="{address(search.trials.get(number=parent))}">#{parent}</a>' in text_of(page, trial)
