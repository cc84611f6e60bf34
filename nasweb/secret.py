"""The secret key, given or made once and kept beside the data; and what makes it unsafe to serve others."""

import contextlib
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path

from django.core.management.utils import get_random_secret_key

_SHORTEST_SECRET = 50
_FEWEST_CHARACTERS = 10
_PLACEHOLDERS = ("django-insecure-", "changeme", "change-me", "secret", "insecure", "default", "example")


def generated_secret(data_dir: Path) -> str:
    """The secret key kept in `data_dir` (readable by its owner only), made on first use.

    Two processes that start together agree: the file is linked into place complete, and the loser reads the winner's.
    """
    path = data_dir / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    data_dir.mkdir(parents=True, exist_ok=True)
    draft = data_dir / f".secret_key.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(get_random_secret_key())
    with contextlib.suppress(FileExistsError):
        path.hardlink_to(draft)
    draft.unlink()
    return path.read_text().strip()


def is_loopback(host: str) -> bool:
    """Whether `host` (a name, an address, or a pattern of ALLOWED_HOSTS) can be reached from this machine only."""
    name = host.strip("[]").lower()
    if name in {"localhost", ".localhost"}:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def production_problems(
    *, given_secret: str, debug: bool, given_hosts: Sequence[str], bind: str
) -> list[str]:
    """What keeps an installation that others can reach from being served; empty if nothing does.

    Args:
        given_secret: The value of NASWEB_SECRET_KEY, empty if not set.
        debug: Whether debug pages would be shown.
        given_hosts: The values of NASWEB_ALLOWED_HOSTS, empty if not set.
        bind: The address the web server listens on.
    """
    problems = []
    weak = (
        len(given_secret) < _SHORTEST_SECRET
        or len(set(given_secret)) < _FEWEST_CHARACTERS
        or given_secret.lower().startswith(_PLACEHOLDERS)
    )
    if weak:
        problems.append(
            f"NASWEB_SECRET_KEY must be a random text of at least {_SHORTEST_SECRET} characters "
            f"({'it is not set' if not given_secret else 'it is short, repetitive or a placeholder'}). Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(50))'"
        )
    if debug:
        problems.append("NASWEB_DEBUG must be off: debug pages show settings and source to everyone.")
    if not given_hosts:
        problems.append(f"NASWEB_ALLOWED_HOSTS must name the hosts this is served as (it listens on {bind}).")
    elif "*" in given_hosts:
        problems.append("NASWEB_ALLOWED_HOSTS must name the hosts, not '*': any Host header would be believed.")
    return problems
