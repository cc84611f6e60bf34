"""Downloads: the bundle, its files, and the reason where there is none."""

import io
import zipfile

import pytest
from django.core.files.storage import default_storage
from django.urls import reverse

pytestmark = pytest.mark.django_db


def address(trial, *name):
    return reverse("searches:bundle_file" if name else "searches:bundle", args=[trial.search_id, trial.number, *name])


@pytest.fixture
def trial(seeded):
    found = seeded(final=True, name="Ma <b>recherche</b>: digits").best
    yield found
    for artifact in found.artifacts.all():
        default_storage.delete(artifact.name)


def test_the_zip_is_an_attachment_and_whole(page, trial):
    response = page.get(address(trial))
    content = b"".join(response)
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == f'attachment; filename="ma-brechercheb-digits-{trial.number}.zip"'
    assert response["X-Content-Type-Options"] == "nosniff"
    assert int(response["Content-Length"]) == len(content)
    names = {name.rsplit("/", 1)[-1] for name in zipfile.ZipFile(io.BytesIO(content)).namelist()}
    assert names == {
        "model.py",
        "weights.safetensors",
        "model.onnx",
        "architecture.json",
        "MODEL_CARD.md",
        "predict.py",
    }


def test_single_files_are_attachments(page, trial):
    response = page.get(address(trial, "model.py"))
    assert response["Content-Disposition"] == 'attachment; filename="model.py"'
    assert response["Content-Type"] == "application/octet-stream"
    assert b"class Network" in response.content


def test_sources_can_be_read_on_the_page_as_plain_text(page, trial):
    response = page.get(address(trial, "model.py") + "?show")
    assert response["Content-Type"] == "text/plain; charset=utf-8"
    assert "Content-Disposition" not in response
    assert page.get(address(trial, "weights.safetensors") + "?show")["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize("name", ["nothing.txt", "..", "%2e%2e%2fsettings.py", "digits"])
def test_no_such_file(page, trial, name):
    assert page.get(address(trial).replace("bundle.zip", f"bundle/{name}")).status_code == 404


def test_without_a_full_training_there_is_none(page, seeded):
    search = seeded()
    assert page.get(address(search.best)).status_code == 404
    assert page.get(address(search.best, "model.py")).status_code == 404


def test_a_bundle_that_failed_its_checks_gives_the_reason(page, trial):
    trial.artifacts.all().delete()
    trial.final_reason = "model.onnx differs by 0.2"
    trial.save()
    for where in (address(trial), address(trial, "model.py")):
        response = page.get(where)
        assert response.status_code == 404
        assert "model.onnx differs by 0.2" in str(response.context["exception"])


def test_a_file_lost_from_the_storage_is_a_404_not_an_error(page, trial):
    default_storage.delete(trial.artifacts.get().name)
    assert page.get(address(trial)).status_code == 404
    assert page.get(address(trial, "model.py")).status_code == 404
    assert page.get(reverse("searches:trial", args=[trial.search_id, trial.number])).status_code == 200


def test_a_training_that_runs_again_hides_the_old_bundle(page, trial):
    trial.final_state = "running"
    trial.save()
    assert page.get(address(trial)).status_code == 404


def test_somebody_elses_bundle_is_not_there(client, jonas, trial):
    client.force_login(jonas)
    assert client.get(address(trial)).status_code == 404
    assert client.get(address(trial, "model.py")).status_code == 404


def test_nobody_downloads_without_logging_in(client, trial):
    assert client.get(address(trial))["Location"].startswith("/login/")
