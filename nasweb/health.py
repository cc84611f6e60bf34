"""Is the database there, is Redis there, how many workers? Answered in bounded time, whatever hangs."""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import redis.asyncio
from django.conf import settings
from django.db import connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

log = logging.getLogger(__name__)

_REDIS_TIMEOUT_S = 0.7
_DATABASE_TIMEOUT_S = 1.5

# A pool of its own: a database that hangs uses up these threads and no others.
_database_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="healthz")


async def health() -> dict[str, object]:
    """``{"database": "ok", "redis": "ok", "workers": N}``; in place of "ok" the reason, of an unknown N None."""
    (database, workers), redis_state = await asyncio.gather(_check_database(), _check_redis())
    return {"database": database, "redis": redis_state, "workers": workers}


async def _check_database() -> tuple[str, int | None]:
    """The database's state and the number of workers that it has seen lately."""
    answer = asyncio.get_running_loop().run_in_executor(_database_threads, _count_workers)
    try:
        return "ok", await asyncio.wait_for(answer, _DATABASE_TIMEOUT_S)
    except TimeoutError:
        return f"no answer within {_DATABASE_TIMEOUT_S:g} s", None
    except Exception as error:  # whatever a driver raises is the reason to show
        log.warning("healthz: database: %s", error)
        return _reason(error), None


def _count_workers() -> int:
    from searches.selectors.workers import workers_online

    try:
        return len(workers_online())
    finally:
        connection.close()


async def _check_redis() -> str:
    client = redis.asyncio.from_url(
        settings.REDIS_URL,
        socket_timeout=_REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        async with asyncio.timeout(_REDIS_TIMEOUT_S):
            await client.ping()
    except TimeoutError:
        return f"no answer within {_REDIS_TIMEOUT_S:g} s"
    except (redis.exceptions.RedisError, OSError) as error:
        return _reason(error)
    else:
        return "ok"
    finally:
        await client.aclose()


def _reason(error: Exception) -> str:
    """The first line of an error: enough to act on, and nothing of a driver's query or traceback."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
