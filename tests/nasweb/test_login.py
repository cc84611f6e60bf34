"""Who gets in: nobody without logging in, once per link, and not by trying."""

import re
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.core import signing
from django.core.cache import cache
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from nasweb.accounts import ensure_local_user, login_once_url, login_token
from nasweb.throttle import WINDOW_S

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _forget_failures() -> None:
    cache.clear()


@pytest.fixture
def local() -> User:
    """The local person."""
    return ensure_local_user()


def link(user: User) -> str:
    """The path of a fresh one-time link."""
    return login_once_url(user, port=8000).removeprefix("http://127.0.0.1:8000")


def every_path(resolver: URLResolver, prefix: str = "") -> list[str]:
    """One address for each pattern of the site, with arguments filled in."""
    found = []
    for entry in resolver.url_patterns:
        here = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            if not here.startswith("admin/"):
                found += every_path(entry, here)
        elif isinstance(entry, URLPattern):
            for old, new in {"<int:id>": "1", "<int:number>": "1", "<int:pk>": "1"}.items():
                here = here.replace(old, new)
            found.append("/" + re.sub(r"<\w+:\w+>", "x", here))
    return found


def test_every_page_but_the_named_ones_asks_who_is_there(client: Client) -> None:
    open_to_all = {"/healthz", "/login/", "/login/once/x/", "/logout/"}
    paths = [path for path in every_path(get_resolver()) if path not in open_to_all]
    assert "/" in paths
    for path in paths:
        if path.startswith("/admin"):
            continue
        for answer in (client.get(path), client.post(path)):
            refused = answer.status_code in {401, 403} or (
                answer.status_code == 302 and answer["Location"].startswith("/login/")
            )
            assert refused, (path, answer.status_code)


def test_the_local_user_is_made_once_and_has_no_password(local: User) -> None:
    assert ensure_local_user() == local
    assert local.is_superuser
    assert not local.has_usable_password()


def test_a_link_logs_in_once(client: Client, local: User) -> None:
    path = link(local)
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert client.session["_auth_user_id"] == str(local.pk)
    assert Client().get(path).status_code == 403  # someone else finds it in the scrollback
    assert client.get(path)["Location"] == "/"  # Back, for the one who used it
    second = Client()
    assert second.get(link(User.objects.get(pk=local.pk))).status_code == 302  # a fresh one works


def test_all_links_printed_before_a_login_are_spent_by_it(client: Client, local: User) -> None:
    earlier, later = link(local), link(local)
    assert client.get(later).status_code == 302
    assert Client().get(earlier).status_code == 403


@pytest.mark.django_db
def test_a_link_gets_too_old(client: Client, local: User, monkeypatch: pytest.MonkeyPatch, settings) -> None:
    path = link(local)
    now = time.time()
    monkeypatch.setattr("django.core.signing.time.time", lambda: now + settings.LOGIN_ONCE_MAX_AGE_S + 1)
    answer = client.get(path)
    assert answer.status_code == 403
    assert "login_link" in answer.content.decode()


def test_forged_and_foreign_links_are_refused(client: Client, local: User) -> None:
    other_salt = signing.dumps({"user": local.pk, "last": ""}, salt="something.else")
    for token in ("x", login_token(local)[:-2] + "xx", other_salt):
        assert client.get(f"/login/once/{token}/").status_code == 403
    gone = login_token(local)
    User.objects.filter(pk=local.pk).update(is_active=False)
    assert client.get(f"/login/once/{gone}/").status_code == 403


def test_a_password_cannot_be_guessed_by_trying(client: Client) -> None:
    User.objects.create_user("ada", password="correct horse battery")
    for _ in range(5):
        assert client.post("/login/", {"username": "ada", "password": "wrong"}).status_code == 200
    answer = client.post("/login/", {"username": "ada", "password": "correct horse battery"})
    assert answer.status_code == 200
    assert f"Too many wrong passwords. Try again in {WINDOW_S // 60} minutes" in answer.content.decode()
    # Someone else at another address is not locked out by that.
    elsewhere = Client(REMOTE_ADDR="10.0.0.7")
    assert elsewhere.post("/login/", {"username": "ada", "password": "correct horse battery"}).status_code == 302


def test_the_admin_has_no_second_door(client: Client) -> None:
    assert client.get("/admin/login/?next=/admin/")["Location"] == "/login/?next=/admin/"


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example/", "javascript:alert(1)"])
def test_login_leads_nowhere_else(client: Client, target: str) -> None:
    User.objects.create_user("ada", password="correct horse battery")
    answer = client.post("/login/", {"username": "ada", "password": "correct horse battery", "next": target})
    assert answer["Location"] == "/"


def test_posting_needs_the_token() -> None:
    assert Client(enforce_csrf_checks=True).post("/login/", {"username": "a", "password": "b"}).status_code == 403


def test_a_login_long_ago_keeps_its_moment(client: Client, local: User) -> None:
    """The token names the last login to the microsecond, as the database gives it back."""
    User.objects.filter(pk=local.pk).update(last_login=timezone.now() - timedelta(days=3, microseconds=7))
    assert client.get(link(User.objects.get(pk=local.pk))).status_code == 302
