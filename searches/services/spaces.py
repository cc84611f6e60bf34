"""What people do to their search spaces: save, rename, share, copy, archive, delete. A version never changes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from searches.models import Space, SpaceVersion
from searches.services.jsonable import jsonable
from searches.services.writing import Rejected

LONGEST_NAME = 200
LONGEST_NOTE = 400
#: spaces one person may keep, and versions of one space
MOST_SPACES = 1_000
MOST_VERSIONS = 1_000


def space_create(
    *, owner: Any, name: str, state: Mapping[str, Any], size: str = "", exact_size: bool = True, note: str = ""
) -> SpaceVersion:
    """Keeps a space under a name, as its version 1.

    Args:
        state: `{"space": {"name", options in full}, "data": {"name", options in full}}`, checked by the caller.
        size: number of architectures, where it is known.

    Raises:
        Rejected: no name, or a limit is reached.
    """
    name = _name(name)
    with transaction.atomic():
        if Space.objects.filter(owner=owner).count() >= MOST_SPACES:
            raise Rejected(f"You keep {MOST_SPACES:,} spaces already: delete some first.")
        space = Space.objects.create(owner=owner, name=name)
        return _version(space, 1, state, size, exact_size, note)


def version_create(
    *, space: Space, state: Mapping[str, Any], size: str = "", exact_size: bool = True, note: str = ""
) -> tuple[SpaceVersion, bool]:
    """Adds a version where something has changed against the newest one.

    Returns:
        The version, and whether it is new.

    Raises:
        Rejected: a limit is reached.
    """
    with transaction.atomic():
        locked = Space.objects.select_for_update().get(pk=space.pk)  # two savers at once: numbers without gaps
        last = locked.versions.order_by("-number").first()
        wanted = jsonable(state)
        if last is not None and (last.config, last.data) == (wanted["space"], wanted["data"]):
            return last, False
        number = last.number + 1 if last else 1
        if number > MOST_VERSIONS:
            raise Rejected(f"This space has {MOST_VERSIONS:,} versions: save it under another name.")
        made = _version(locked, number, state, size, exact_size, note)
        Space.objects.filter(pk=space.pk).update(changed_at=Now())
        return made, True


def _version(
    space: Space, number: int, state: Mapping[str, Any], size: str, exact_size: bool, note: str
) -> SpaceVersion:
    plain = jsonable(state)
    return SpaceVersion.objects.create(
        space=space,
        number=number,
        family=plain["space"]["name"],
        config=plain["space"],
        data=plain["data"],
        size=size[:400],
        exact_size=exact_size,
        note=note.strip()[:LONGEST_NOTE],
    )


def _name(name: str) -> str:
    name = name.strip()
    if not name:
        raise Rejected("A space needs a name.")
    if len(name) > LONGEST_NAME:
        raise Rejected(f"A name has at most {LONGEST_NAME} characters, this one has {len(name):,}.")
    return name


def space_rename(*, space: Space, name: str) -> None:
    """Gives it another name; its versions stay."""
    Space.objects.filter(pk=space.pk).update(name=_name(name))


def space_archive(*, space: Space, archived: bool = True) -> None:
    """Takes it out of the list, or puts it back."""
    Space.objects.filter(pk=space.pk).update(archived=archived)


def space_delete(*, space: Space) -> None:
    """Deletes it with its versions. Searches keep their options and lose the link only."""
    Space.objects.filter(pk=space.pk).delete()


def space_share(*, space: Space) -> str:
    """Makes a link that cannot be guessed; the one there is stays as it is. Returns its token."""
    with transaction.atomic():
        locked = Space.objects.select_for_update().get(pk=space.pk)
        if not locked.share_token:
            locked.share_token = secrets.token_urlsafe(24)
            locked.save(update_fields=["share_token"])
        return str(locked.share_token)


def space_unshare(*, space: Space) -> None:
    """Takes the link back, for good: a later link is another one."""
    Space.objects.filter(pk=space.pk).update(share_token=None)


def version_copy(*, version: SpaceVersion, owner: Any, name: str = "") -> SpaceVersion:
    """A space of one's own that begins as this version.

    Raises:
        Rejected: a limit is reached.
    """
    return space_create(
        owner=owner,
        name=name or version.space.name,
        state={"space": version.config, "data": version.data},
        size=version.size,
        exact_size=version.exact_size,
        note=f"copied from version {version.number} of “{version.space.name}”",
    )
