"""The pieces of a weight-sharing search: jobs without a trial that train a supernet, score subnets, measure operations.

A piece is launched by the conductor (`engine.log.Launch`) and told to it again (`PieceDone`). What pages show of it is
stored here: an epoch of a supernet when it is reported, subnets when their batch is done. The weights of a supernet are
an artifact of the search and stay with it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import catalog
from engine.config import SearchConfig
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.evaluation.base import Report
from engine.log import Launch, PieceDone
from engine.spaces.base import SearchSpace, make_space
from searches.models import Artifact, Job, Search, Subnet, SupernetEpoch
from searches.services import states
from searches.services.checkpoints import checkpoint_fetch
from searches.services.jsonable import jsonable
from searches.services.writing import Rejected, Write, writing

#: kinds of jobs that are pieces
PIECES = (Job.Kind.SUPERNET, Job.Kind.SCORE, Job.Kind.MEASURE)
#: what the decision log keeps of the row of an epoch: what the method derived
_DECIDING = ("epoch", "derived", "choices", "ended")


def is_sharing(config: Mapping[str, Any]) -> bool:
    """Whether a stored config names a weight-sharing method."""
    return str(config.get("strategy", {}).get("name", "")) in catalog.plugins("supernet")


def piece_start(write: Write, launch: Launch) -> Job:
    """Makes the job of a piece; one that scores finds the weights of its supernet in its checkpoint."""
    payload = {**launch.payload, "piece": launch.piece, "why": launch.why}
    checkpoint = ""
    if "supernet" in payload:
        checkpoint = _job_of(write.search.pk, int(payload["supernet"])).checkpoint
    job = states.job_new(
        write, kind=launch.kind, fidelity=int(payload.get("epochs", 0)), payload=payload, checkpoint=checkpoint
    )
    write.line(launch.kind, launch.why)
    write.event("job", {"job": job.pk, "kind": job.kind, "state": job.state})
    return job


def _job_of(search_id: int, piece: int) -> Job:
    """The job of a piece.

    Raises:
        EngineError: there is none.
    """
    job = Job.objects.filter(search_id=search_id, kind__in=PIECES, payload__piece=piece).order_by("-id").first()
    if job is None:
        raise EngineError(f"piece {piece} of the search has no job; was the database changed by hand?")
    return job


def epochs_add(write: Write, job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    """Stores epochs of a supernet, each once whoever reports it, and announces the new ones."""
    wanted = {int(row["epoch"]): row for row in rows}
    have = set(SupernetEpoch.objects.filter(job_id=job.pk, epoch__in=wanted).values_list("epoch", flat=True))
    new = [SupernetEpoch(job_id=job.pk, epoch=n, row=jsonable(row)) for n, row in wanted.items() if n not in have]
    SupernetEpoch.objects.bulk_create(new)
    for row in new:
        write.event("supernet", {"job": job.pk, "epoch": row.epoch})


def piece_told(write: Write, job: Job, report: Report) -> None:
    """What becomes of a piece that is done or failed; inside the fenced transaction that ends its job."""
    piece = int(job.payload["piece"])
    rows = report.rows
    if report.failure is None and job.kind == Job.Kind.SUPERNET:
        epochs_add(write, job, [{k: v for k, v in row.items() if k != "choices"} for row in rows])
        Artifact.objects.filter(search_id=job.search_id, name=job.checkpoint).update(kind=Artifact.Kind.SUPERNET)
        rows = tuple({k: row[k] for k in _DECIDING if k in row} for row in rows)
    elif report.failure is None and job.kind == Job.Kind.SCORE:
        _subnets_add(write, job, rows)
        write.event("subnets", {"piece": piece, "n": len(rows)})
    write.event("job", {"job": job.pk, "kind": job.kind, "state": "failed" if report.failure else "done"})
    told = replace(report, correct=None, curve=(), artifacts={}, rows=rows)
    write.entry(PieceDone(piece, told).to_json())


def _subnets_add(write: Write, job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    search = Search.objects.only("config", "data_spec").get(pk=job.search_id)
    config = SearchConfig.parse(search.config)
    space = make_space(config, DataSpec.model_validate(search.data_spec))
    Subnet.objects.bulk_create(
        Subnet(
            search_id=job.search_id,
            job_id=job.pk,
            supernet=int(job.payload["supernet"]),
            piece=int(job.payload["piece"]),
            position=i,
            accuracy=row.get("accuracy"),
            loss=row.get("loss"),
            duration_s=float(row.get("duration_s") or 0.0),
            **_about(space, config, choices),
        )
        for i, (choices, row) in enumerate(zip(job.payload["architectures"], rows, strict=True), start=1)
    )


def _about(space: SearchSpace, config: SearchConfig, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Columns that follow from an architecture, as of a trial."""
    architecture = space.validate(choices)
    key = architecture.key if config.duplicates == "written" else space.canonical_key(architecture)
    costs = space.costs(architecture)
    return {
        "name": space.short_name(architecture)[:80],
        "architecture": dict(choices),
        "key": hashlib.sha256(key.encode()).hexdigest(),
        "n_params": costs.n_params,
        "n_macs": costs.n_macs,
    }


def piece_extra(job: Job, folder: Path) -> dict[str, Any]:
    """What the child of a piece is told beside the payload: measured latencies, the supernet it begins with."""
    out = dict(job.payload)
    if "latency" in out:
        out["latency_ms"] = _job_of(job.search_id, int(out["latency"])).result.get("rows", [])
    if digest := out.get("start"):
        owner = Search.objects.values_list("owner_id", flat=True).get(pk=job.search_id)
        mine = Artifact.objects.filter(kind=Artifact.Kind.SUPERNET, digest=digest, search__owner_id=owner)
        name = mine.values_list("name", flat=True).first()
        path = checkpoint_fetch(name, folder / "start.safetensors") if name else None
        if path is None:
            raise EngineError(f"the supernet {digest[:12]} to begin with is not in the storage any more")
        out["start_path"] = str(path)
    return out


def pieces_cancel(write: Write, reason: str) -> None:
    """The search phase is over: pieces under way end."""
    jobs = list(Job.objects.filter(search_id=write.search.pk, kind__in=PIECES, state__in=Job.OPEN).only("id"))
    states.jobs_cancel(write, jobs, reason)


def supernet_enough(*, search: Search, by: Any) -> None:
    """Ends the training of the supernet after its current epoch; the search goes on with what there is.

    Raises:
        Rejected: none is being trained.
    """
    with writing(search.pk) as write:
        running = Job.objects.filter(search_id=search.pk, kind=Job.Kind.SUPERNET, state=Job.State.RUNNING, order="")
        if not running.update(order="enough"):
            raise Rejected("No supernet is being trained at this moment.")
        write.line("supernet", f"{by} has seen enough: it ends after this epoch")


def pieces_copy(old: Search, new: Search) -> list[Job]:
    """Gives a continued search the pieces of the old one, with their epochs, subnets and weights.

    Returns:
        Jobs of pieces that were under way: they begin anew, and wait for a message.
    """
    again: list[Job] = []
    for job in Job.objects.filter(search_id=old.pk, kind__in=PIECES).order_by("id"):
        before, done = job.pk, job.state == Job.State.DONE
        if not done and Job.objects.filter(search_id=new.pk, payload__piece=job.payload["piece"]).exists():
            continue
        job.pk, job.search_id = None, new.pk
        if not done:
            job.state, job.claim, job.failures, job.losses, job.order, job.progress = Job.State.WAITING, 0, 0, 0, "", {}
            job.worker, job.reason, job.traceback, job.started_at, job.ended_at = "", "", "", None, None
            if job.kind == Job.Kind.SUPERNET:
                job.checkpoint = ""
        job.save(force_insert=True)
        if not done:
            again.append(job)
            continue
        for model in (SupernetEpoch, Subnet):
            rows = list(model.objects.filter(job_id=before))
            for row in rows:
                row.pk, row.job_id = None, job.pk
                if isinstance(row, Subnet):
                    row.search_id = new.pk
            model.objects.bulk_create(rows)
        for artifact in Artifact.objects.filter(search_id=old.pk, kind=Artifact.Kind.SUPERNET, name=job.checkpoint):
            artifact.pk, artifact.search_id = None, new.pk
            artifact.save(force_insert=True)
    return again
