"""``manage.py worker``: one more worker for the trials, on this machine or another one."""

import contextlib
import os
import secrets
import socket
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.utils import Error as DatabaseError

from nasweb.supervisor.machine import cores, cpu_model, gpus, memory_mb, versions
from nasweb.supervisor.plan import POOL


class Command(BaseCommand):
    """Take jobs from the trials queue until told to stop.

    SIGTERM or Ctrl-C lets running jobs write a checkpoint and hand themselves back; another worker goes on with them.
    """

    help = (
        "Run a worker for trials. On another machine, set NASWEB_DATABASE_URL and NASWEB_REDIS_URL to what the first "
        "one uses. On a machine with several GPUs, start one per GPU with CUDA_VISIBLE_DEVICES set."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--concurrency", type=int, default=None, help="trials at a time (default: one on a GPU, else one per core)"
        )
        parser.add_argument("--name", default=None, help="what people see; must be unique (default: host and a number)")
        parser.add_argument("--loglevel", default="INFO", help="default: INFO")

    def handle(self, *args: Any, **options: Any) -> None:
        devices = gpus() if os.environ.get("CUDA_VISIBLE_DEVICES") != "" else []
        if devices:
            # One job's tensors belong on one device; a worker that sees two would use the first alone.
            os.environ["CUDA_VISIBLE_DEVICES"] = devices[0][0]
        slots = options["concurrency"] if options["concurrency"] is not None else (1 if devices else cores())
        if not 1 <= slots <= 256:
            raise CommandError(f"--concurrency must be from 1 to 256; got {slots}.")
        host = socket.gethostname()
        name = options["name"] or f"{host}-{secrets.token_hex(2)}"
        if len(name) > 120 or not name.isprintable() or "@" in name:
            raise CommandError(f"--name must be at most 120 printable characters without '@'; got {name!r}.")

        from nasweb.celery import app
        from searches import worker_signals
        from searches.services.canary import canary_problem

        # a database that is away is waited for; each task looks again
        with contextlib.suppress(DatabaseError):
            if problem := canary_problem():
                raise CommandError(problem)
        os.environ["NASWEB_WORKER_NAME"] = name  # what the job runner writes on its claims
        worker_signals.connect(
            worker_signals.Presence(
                name=name,
                kind="cuda" if devices else "cpu",
                slots=slots,
                device={
                    "model": devices[0][1] if devices else cpu_model(),
                    "cores": cores(),
                    "memory_mb": memory_mb(),
                    "versions": versions(),
                },
                host=host,
            )
        )
        app.worker_main(
            ["worker", "--queues", "trials", *POOL[:-1], options["loglevel"]]
            + ["--concurrency", str(slots), "--hostname", f"{name}@%h"]
        )
