"""Counting failed logins, so that passwords cannot be guessed by trying.

The counts live in the web process's memory: there is one web process, and a restart forgives, no more often than it
restarts.
"""

from django.core.cache import cache

WINDOW_S = 300
_PER_NAME = 5
_PER_ADDRESS = 30


def _keys(username: str, address: str) -> dict[str, int]:
    """Cache keys and how many failures each of them bears."""
    from hashlib import sha256

    pair = sha256(f"{username.lower()}\0{address}".encode()).hexdigest()
    return {f"login:{pair}": _PER_NAME, f"login:{sha256(address.encode()).hexdigest()}": _PER_ADDRESS}


def login_blocked(username: str, address: str) -> bool:
    """Whether `username` from `address` has failed too often in the last five minutes to try again."""
    limits = _keys(username, address)
    counts = cache.get_many(limits)
    return any(counts.get(key, 0) >= limit for key, limit in limits.items())


def login_failed(username: str, address: str) -> None:
    """Count one failure."""
    for key in _keys(username, address):
        cache.add(key, 0, timeout=WINDOW_S)
        try:
            cache.incr(key)
        except ValueError:  # it ran out between the two calls
            cache.set(key, 1, timeout=WINDOW_S)
