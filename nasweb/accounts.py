"""The local person of an embedded stack, and links that log them in once."""

from datetime import datetime

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core import signing
from django.utils import timezone

_SALT = "nasweb.login-once"


def ensure_local_user() -> User:
    """The person who owns what is made on this machine without logging in by password; made on first use."""
    user, created = get_user_model().objects.get_or_create(
        username=settings.LOCAL_USERNAME, defaults={"is_staff": True, "is_superuser": True}
    )
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def login_token(user: User) -> str:
    """A signed text that logs `user` in once, within ``LOGIN_ONCE_MAX_AGE_S``.

    Nothing is stored: it names the moment of the last login and is worth nothing after the next one.
    """
    return signing.dumps({"user": user.pk, "last": _moment(user.last_login)}, salt=_SALT, compress=False)


def login_token_consume(token: str) -> User | None:
    """The person whom `token` logs in, and never again; None if it is forged, used or too old.

    The conditional UPDATE decides between two requests that bring the same token at once.
    """
    try:
        claim = signing.loads(token, salt=_SALT, max_age=settings.LOGIN_ONCE_MAX_AGE_S)
        pk, last = int(claim["user"]), str(claim["last"])
    except (signing.BadSignature, KeyError, TypeError, ValueError):
        return None
    users = get_user_model().objects.filter(pk=pk, is_active=True)
    user = users.first()
    if user is None or _moment(user.last_login) != last:
        return None
    unused = users.filter(last_login=user.last_login) if user.last_login else users.filter(last_login__isnull=True)
    now = timezone.now()
    if unused.update(last_login=now) != 1:
        return None
    user.last_login = now
    return user


def login_once_url(user: User, *, port: int, host: str = "127.0.0.1") -> str:
    """The whole link to print for `user`, for a stack that listens on `port`."""
    return f"http://{host}:{port}/login/once/{login_token(user)}/"


def _moment(value: datetime | None) -> str:
    return value.isoformat() if value else ""
