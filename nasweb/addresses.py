"""Addresses of the database and of Redis, from one URL each to what Django, Celery and Channels want to hear."""

import hashlib
import os
import tempfile
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

# A unix socket's path lives in a buffer of 108 bytes; a longer one is silently cut by Redis.
SOCKET_PATH_LIMIT = 107

_POSTGRES_SCHEMES = {"postgres", "postgresql"}


def database_from_url(url: str) -> dict[str, object]:
    """Django's settings for one PostgreSQL database, from ``postgres://user:password@host:port/name?option=value``.

    A socket directory is given as ``?host=/run/postgresql``; other query values become connection options.

    Raises:
        ImproperlyConfigured: The URL is not a PostgreSQL one or lacks the database's name.
    """
    parts = urlsplit(url)
    if parts.scheme not in _POSTGRES_SCHEMES:
        raise ImproperlyConfigured(
            f"NASWEB_DATABASE_URL must start with postgres:// (SQLite is the default without it); "
            f"got {parts.scheme or 'no scheme'!r}."
        )
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(
            "NASWEB_DATABASE_URL names no database; it looks like postgres://user:password@host:5432/name."
        )
    try:
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"NASWEB_DATABASE_URL has no valid port: {error}.") from None
    options: dict[str, object] = dict(parse_qsl(parts.query))
    host = str(options.pop("host", "") or unquote(parts.hostname or ""))
    options.setdefault("connect_timeout", 5)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
        "OPTIONS": options,
    }


def sqlite_database(path: Path, *, test_path: Path) -> dict[str, object]:
    """Django's settings for the SQLite file at `path`: WAL, IMMEDIATE, synchronous NORMAL, 20 s of patience.

    Without IMMEDIATE a transaction that reads and then writes fails at once with "database is locked" when another
    one wrote in between; with it, it waits.
    """
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
        # A file, not memory: concurrent processes and threads are what the tests are about.
        "TEST": {"NAME": test_path},
    }


def embedded_socket(data_dir: Path) -> Path:
    """Where the private Redis of `data_dir` listens: inside it, or in a short temporary path."""
    socket = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(socket)) <= SOCKET_PATH_LIMIT:
        return socket
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"nasweb-{os.getuid()}-{digest}" / "redis.sock"
    if len(os.fsencode(short)) > SOCKET_PATH_LIMIT:
        raise ImproperlyConfigured(
            f"No path for Redis' socket fits into {SOCKET_PATH_LIMIT} bytes: {socket} and {short} are too long. "
            "Set NASWEB_DATA_DIR (or TMPDIR) to a shorter path."
        )
    return short


def check_redis_url(url: str) -> str:
    """`url` itself, if redis-py, Celery and Channels can all use it.

    Raises:
        ImproperlyConfigured: The scheme is none of redis, rediss, unix, or a socket's path is not absolute.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"redis", "rediss", "unix"}:
        raise ImproperlyConfigured(
            f"NASWEB_REDIS_URL must start with redis://, rediss:// or unix:///; got {parts.scheme or 'no scheme'!r}."
        )
    if parts.scheme == "unix" and not parts.path.startswith("/"):
        raise ImproperlyConfigured("NASWEB_REDIS_URL with unix:// needs an absolute path: unix:///run/redis.sock.")
    return url


def redis_database(redis_url: str) -> str:
    """The number of the database `redis_url` means, as text ("0" where it names none)."""
    parts = urlsplit(redis_url)
    in_path = "" if parts.scheme == "unix" else parts.path.strip("/")
    return dict(parse_qsl(parts.query)).get("db") or in_path or "0"


def celery_broker_url(redis_url: str) -> str:
    """The same Redis in Celery's spelling (``redis+socket:///path?virtual_host=1`` for a socket)."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    password = f":{parts.password}@" if parts.password else ""
    return f"redis+socket://{password}{parts.path}?virtual_host={redis_database(redis_url)}"


def channel_prefix(redis_url: str) -> str:
    """A prefix for channel names: publish/subscribe ignores Redis' databases, so the number goes into the name."""
    return f"nasweb{redis_database(redis_url)}"
