"""Downloads: the verified bundle and its single files."""

from __future__ import annotations

import zipfile

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.utils.text import slugify
from django.views.decorators.http import require_GET

from searches.models import Artifact, Trial
from searches.selectors.searches import trial_get

#: a file of a bundle larger than this is only handed out inside the zip
MOST_BYTES = 64 * 2**20


def _bundle(trial: Trial) -> Artifact | None:
    if trial.final_state != Trial.FinalState.DONE:
        return None
    return trial.artifacts.filter(kind=Artifact.Kind.BUNDLE).order_by("-id").first()


def bundle_files(trial: Trial) -> list[dict[str, object]]:
    """Names and sizes of the files in a trial's bundle; empty where there is none."""
    bundle = _bundle(trial)
    if bundle is None or not default_storage.exists(bundle.name):
        return []
    with default_storage.open(bundle.name) as file, zipfile.ZipFile(file) as archive:
        return [
            {"name": i.filename.rsplit("/", 1)[-1], "bytes": i.file_size} for i in archive.infolist() if not i.is_dir()
        ]


@require_GET
def bundle(request: HttpRequest, id: int, number: int) -> FileResponse:
    """The zip; only a bundle that passed its checks is ever stored."""
    trial = trial_get(user=request.user, id=id, number=number)
    found = _bundle(trial)
    if found is None or not default_storage.exists(found.name):
        raise Http404(trial.final_reason or "this trial has no verified bundle")
    name = f"{slugify(trial.search.name) or 'search'}-{trial.number}.zip"
    answer = FileResponse(default_storage.open(found.name), as_attachment=True, filename=name)
    answer["Content-Type"] = "application/zip"
    return answer


@require_GET
def bundle_file(request: HttpRequest, id: int, number: int, name: str) -> HttpResponse:
    """One file out of the bundle, always as an attachment (`?show` answers text for the page)."""
    trial = trial_get(user=request.user, id=id, number=number)
    found = _bundle(trial)
    if found is None or not default_storage.exists(found.name):
        raise Http404(trial.final_reason or "this trial has no verified bundle")
    with default_storage.open(found.name) as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.filename.rsplit("/", 1)[-1] == name and info.file_size <= MOST_BYTES:
                content = archive.read(info)
                break
        else:
            raise Http404("no such file in the bundle")
    answer = HttpResponse(content, content_type="application/octet-stream")
    if "show" in request.GET and name in ("model.py", "predict.py", "MODEL_CARD.md", "architecture.json"):
        answer["Content-Type"] = "text/plain; charset=utf-8"
    else:
        answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer
