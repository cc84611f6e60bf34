"""What the settings promise: safe to serve or not started, and one strict policy on every answer."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.db import connection
from django.test import Client

PROJECT = Path(__file__).resolve().parents[2]
GOOD_SECRET = "kJ8-2hS0dPq_vX7mZr4TtLw9YbNcEf3GuAi6oHs1RxVlQ5DzMpBk"


def settings_in_a_fresh_process(
    tmp_path: Path, expression: str = "'started'", **env: str
) -> subprocess.CompletedProcess[str]:
    """What `expression` over `settings` gives under the environment `env`."""
    code = f"from django.conf import settings; settings.DEBUG; print({expression})"
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NASWEB_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=clean | {"DJANGO_SETTINGS_MODULE": "nasweb.settings", "NASWEB_DATA_DIR": str(tmp_path / "d"), **env},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"NASWEB_ALLOWED_HOSTS": "nas.example"}, "NASWEB_SECRET_KEY.*not set"),
        ({"NASWEB_ALLOWED_HOSTS": "nas.example", "NASWEB_SECRET_KEY": "changeme" * 8}, "KEY.*placeholder"),
        ({"NASWEB_ALLOWED_HOSTS": "nas.example", "NASWEB_SECRET_KEY": "a" * 60}, "NASWEB_SECRET_KEY.*repetitive"),
        (
            {"NASWEB_ALLOWED_HOSTS": "nas.example", "NASWEB_SECRET_KEY": GOOD_SECRET, "NASWEB_DEBUG": "1"},
            "NASWEB_DEBUG must be off",
        ),
        ({"NASWEB_HOST": "0.0.0.0", "NASWEB_SECRET_KEY": GOOD_SECRET}, "NASWEB_ALLOWED_HOSTS must name"),
        ({"NASWEB_PRODUCTION": "1", "NASWEB_SECRET_KEY": GOOD_SECRET}, "NASWEB_ALLOWED_HOSTS must name"),
        ({"NASWEB_ALLOWED_HOSTS": "*", "NASWEB_SECRET_KEY": GOOD_SECRET}, "not '\\*'"),
        ({"NASWEB_LEASE_S": "5", "NASWEB_HEARTBEAT_S": "4"}, "at most half of NASWEB_LEASE_S"),
        ({"NASWEB_DATABASE_URL": "mysql://x/y"}, "NASWEB_DATABASE_URL"),
        ({"NASWEB_PORT": "http"}, "NASWEB_PORT must be a whole number"),
    ],
)
def test_refuses_to_start(tmp_path: Path, env: dict[str, str], says: str) -> None:
    done = settings_in_a_fresh_process(tmp_path, **env)
    assert done.returncode != 0
    assert "ImproperlyConfigured" in done.stderr
    assert re.search(says, done.stderr), done.stderr


def test_serves_others_when_all_is_given(tmp_path: Path) -> None:
    done = settings_in_a_fresh_process(
        tmp_path,
        "settings.PRODUCTION, settings.SESSION_COOKIE_SECURE, settings.CSRF_TRUSTED_ORIGINS, settings.ALLOWED_HOSTS[2]",
        NASWEB_ALLOWED_HOSTS="nas.example,.lab.example",
        NASWEB_SECRET_KEY=GOOD_SECRET,
        NASWEB_HOST="0.0.0.0",
    )
    assert done.stdout.strip() == "True True ['https://nas.example', 'https://*.lab.example'] localhost", done.stderr


def test_the_secret_is_made_once_and_for_its_owner_only(tmp_path: Path) -> None:
    first = settings_in_a_fresh_process(tmp_path, "settings.SECRET_KEY").stdout
    assert len(first.strip()) >= 50
    assert settings_in_a_fresh_process(tmp_path, "settings.SECRET_KEY").stdout == first
    assert settings_in_a_fresh_process(tmp_path / "other", "settings.SECRET_KEY").stdout != first
    assert stat.S_IMODE((tmp_path / "d" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["secret_key"]


def test_two_stacks_do_not_share_cookies(tmp_path: Path) -> None:
    names = {
        settings_in_a_fresh_process(tmp_path / name, "settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME").stdout
        for name in ("a", "b")
    }
    assert len(names) == 2


@pytest.mark.django_db
@pytest.mark.skipif(bool(settings.DATABASE_URL), reason="about SQLite")
def test_sqlite_is_set_up_for_many_writers() -> None:
    with connection.cursor() as cursor:
        values = {name: cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert values == {"journal_mode": "wal", "synchronous": 1}
    assert connection.settings_dict["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert connection.settings_dict["OPTIONS"]["timeout"] == 20
    assert connection.settings_dict["ATOMIC_REQUESTS"] is False


POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "connect-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/login/", "/", "/healthz", "/no/such/page/", "/static/vendor/htmx.min.js"])
def test_every_answer_carries_the_policy(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff" or path.startswith("/static/")
    if not path.startswith("/static/"):
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["X-Frame-Options"] == "DENY"


def test_scripts_come_from_the_installed_packages_and_nothing_else_does() -> None:
    assert finders.find("vendor/plotly.min.js").endswith("plotly/package_data/plotly.min.js")
    assert finders.find("vendor/htmx.min.js").endswith("htmx-2.min.js")
    assert not finders.find("vendor/widgetbundle.js")
    assert not finders.find("vendor/../plotly.min.js")
    assert not finders.find("django_htmx/htmax-4.js")


def test_collected_files_are_hashed_compressed_and_immutable(tmp_path: Path) -> None:
    """A browser asks for Plotly's 4.8 MB once in its life, and gets 1.3."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("NASWEB_")}
    env |= {"NASWEB_DATA_DIR": str(tmp_path / "d")}
    code = """
import django; django.setup()
from django.core.management import call_command
call_command("collectstatic", verbosity=0, interactive=False)
from django.test import Client
from django.templatetags.static import static
url = static("vendor/plotly.min.js")
answer = Client().get(url, HTTP_ACCEPT_ENCODING="gzip, br")
print(answer.status_code, answer["Content-Encoding"], answer["Cache-Control"], len(b"".join(answer)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env=env | {"DJANGO_SETTINGS_MODULE": "nasweb.settings"},
        capture_output=True,
        text=True,
        check=True,
    )
    status, encoding, *cache, size = done.stdout.split()
    assert (status, encoding) == ("200", "br")
    assert "immutable" in cache
    assert int(size) < 1_300_000
