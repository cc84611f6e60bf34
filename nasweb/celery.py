"""The Celery application: two queues on one Redis, nothing but JSON, and nothing that waits long for a dead Redis.

``control`` carries what moves searches on (`advance_search`, `reap`), ``trials`` what workers compute (`run_job`). A
message is acknowledged before its task runs and is never redelivered: lost work is found by the reaper, from the
database. That is also why no worker fetches a message it has no free slot for.
"""

import os

from celery import Celery
from celery.signals import setup_logging, task_postrun, task_prerun, worker_init, worker_ready
from kombu import Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")

from django.conf import settings  # noqa: E402

from nasweb.addresses import celery_broker_url  # noqa: E402

app = Celery("nasweb", set_as_current=True)
app.conf.update(
    broker_url=celery_broker_url(settings.REDIS_URL),
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    # Measured: with these a publisher notices a refused Redis after 2 ms and a frozen one within 1.5 s.
    broker_transport_options={
        "socket_timeout": 0.5,
        "socket_connect_timeout": 0.5,
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.1,
    },
    task_publish_retry_policy={
        "max_retries": 1,
        "interval_start": 0,
        "interval_step": 0.1,
        "interval_max": 0.2,
    },
    # An exchange each: where a message goes depends on nothing that Celery fills in.
    task_queues=[Queue(name, Exchange(name), routing_key=name) for name in ("control", "trials")],
    task_create_missing_queues=False,
    task_default_queue="control",
    task_routes={"searches.tasks.run_job": {"queue": "trials"}},
    task_acks_late=False,
    task_ignore_result=True,
    task_store_errors_even_if_ignored=False,
    result_backend=None,
    task_serializer="json",
    accept_content=["json"],
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    worker_enable_remote_control=False,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    timezone="UTC",
    # The beat schedule lives in memory: it holds nothing but intervals.
    beat_scheduler="celery.beat:Scheduler",
    beat_max_loop_interval=max(0.1, min(5.0, settings.REAP_S)),
    beat_schedule={
        "reap": {
            "task": "searches.tasks.reap",
            "schedule": settings.REAP_S,
            # A reap that waited out a whole interval is not worth running: the next one is there.
            "options": {"expires": max(1.0, 2 * settings.REAP_S)},
        }
    },
)
# Celery would close the database connection before and after every task; `_keep_connections` does better.
app.conf.CELERY_DB_REUSE_MAX = 2**62
app.autodiscover_tasks()


@setup_logging.connect
def _keep_django_logging(**_kwargs: object) -> None:
    """Leave logging to Django's settings: a receiver of this signal is how Celery is told to."""


@worker_init.connect
def _keep_connections(**_kwargs: object) -> None:
    """Let each worker thread keep its database connection for a minute, instead of Celery's one for each task.

    The web process must not: under ASGI every request may run in another thread.
    """
    from django.db import connections

    for alias in connections:
        connections.settings[alias]["CONN_MAX_AGE"] = 60
        connections.settings[alias]["CONN_HEALTH_CHECKS"] = True
    # Django's own way of dropping connections that are too old or broken; it looks at this thread's alone.
    for moment in (task_prerun, task_postrun):
        moment.connect(_drop_old_connections, weak=False)


@worker_ready.connect
def _collect_less(**_kwargs: object) -> None:
    """Take what was imported out of the garbage collector's rounds, and make these rarer.

    A task makes some thousand short-lived objects of the ORM; each round would look at those of all modules again.
    """
    import gc

    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def _drop_old_connections(**_kwargs: object) -> None:
    from django.db import close_old_connections

    close_old_connections()
