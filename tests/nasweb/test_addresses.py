"""One URL each for the database and for Redis, in the spelling of everyone who needs it."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from nasweb.addresses import (
    SOCKET_PATH_LIMIT,
    celery_broker_url,
    channel_prefix,
    check_redis_url,
    database_from_url,
    embedded_socket,
)


def test_postgres_url_with_quoted_parts() -> None:
    found = database_from_url("postgresql://an%40na:p%2Fw@db.example:6432/nas?sslmode=require")
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "an@na",
        "p/w",
        "db.example",
        "6432",
        "nas",
    )
    assert found["OPTIONS"] == {"sslmode": "require", "connect_timeout": 5}


def test_postgres_socket_folder() -> None:
    found = database_from_url("postgres://me@/nas?host=/run/pg")
    assert found["HOST"] == "/run/pg"
    assert "host" not in found["OPTIONS"]


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://h/n", "must start with postgres://.*'mysql'"),
        ("nas", "no scheme"),
        ("postgres://h", "names no database"),
        ("postgres://h:port/n", "no valid port"),
    ],
)
def test_bad_database_urls(url: str, says: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=says):
        database_from_url(url)


@pytest.mark.parametrize(
    ("url", "broker", "prefix"),
    [
        ("redis://:pw@r.example:6380/2", "redis://:pw@r.example:6380/2", "nasweb2"),
        ("redis://r.example", "redis://r.example", "nasweb0"),
        ("unix:///run/r.sock", "redis+socket:///run/r.sock?virtual_host=0", "nasweb0"),
        ("unix://:pw@/run/r.sock?db=3", "redis+socket://:pw@/run/r.sock?virtual_host=3", "nasweb3"),
    ],
)
def test_one_redis_two_spellings(url: str, broker: str, prefix: str) -> None:
    assert check_redis_url(url) == url
    assert celery_broker_url(url) == broker
    assert channel_prefix(url) == prefix


@pytest.mark.parametrize("url", ["http://r.example", "localhost:6379", "unix://relative.sock"])
def test_bad_redis_urls(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="NASWEB_REDIS_URL"):
        check_redis_url(url)


def test_a_long_data_directory_gets_a_short_socket() -> None:
    short, long = Path("/srv/nas"), Path("/srv") / ("x" * 100)
    assert embedded_socket(short) == Path("/srv/nas/redis/redis.sock")
    found = embedded_socket(long)
    assert len(str(found)) <= SOCKET_PATH_LIMIT
    assert found != embedded_socket(Path("/srv") / ("y" * 100))
