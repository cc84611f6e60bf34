"""Supernets that a person has trained and another search may begin with."""

from __future__ import annotations

from django.contrib.auth.models import AbstractBaseUser

from engine.catalog import in_words
from searches.forms.fields import Choice
from searches.models import Artifact

#: offered in a form at most
MOST = 30


def supernet_choices(*, user: AbstractBaseUser, space: str, chosen: str) -> list[Choice]:
    """Supernets over a family of spaces, the newest first, as choices of the field `strategy.start`.

    Args:
        user: whose.
        space: name of the family: weights fit where name, operation and shapes agree.
        chosen: digest that the form names; one that is not there any more is shown, too.
    """
    mine = Artifact.objects.filter(
        kind=Artifact.Kind.SUPERNET, search__owner_id=user.pk, search__config__space__name=space
    )
    rows = mine.order_by("-id").values_list("digest", "search__name", "search__config__strategy__name", "created_at")
    out = [Choice("", "its seed", not chosen)]
    seen: set[str] = set()
    for digest, name, method, made in rows[:MOST]:
        if digest not in seen:
            seen.add(digest)
            out.append(Choice(digest, f"{name} ({in_words(method)}, {made:%d %b %H:%M})", digest == chosen))
    if chosen and chosen not in seen:
        out.append(Choice(chosen, f"{chosen[:12]}…, not among your supernets", True))
    return out
