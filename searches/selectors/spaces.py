"""Reads of saved spaces, and the gallery of what the catalog brings."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import log10
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.http import Http404
from django.utils import timezone
from pydantic import ValidationError

from engine import catalog
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import EngineError
from engine.spaces.base import SearchSpace, space_of
from searches.bounded import TookTooLong, within
from searches.models import Search, Space, SpaceVersion
from searches.selectors.listing import age

#: seconds that counting one card of the gallery may take
COUNT_SECONDS = 0.5
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
KINDS = {"image": "Images", "signal": "Audio and series", "text": "Text", "table": "Tables"}
#: data of each kind that says which spaces it is for, where no data set of that kind is registered
_TYPICAL = {
    "image": {"input_shape": (3, 32, 32)},
    "signal": {"input_shape": (1, 1024)},
    "text": {"input_shape": (64,), "vocabulary": 1000},
    "table": {"input_shape": (16,)},
}


class SpaceNotFound(Space.DoesNotExist, Http404):
    """No such space, or somebody else's: over HTTP both are a 404."""


def spaces_of(user: AbstractBaseUser | AnonymousUser) -> QuerySet[Space]:
    """A person's own spaces."""
    return Space.objects.filter(owner_id=user.pk)


def space_get(*, user: AbstractBaseUser | AnonymousUser, id: int) -> Space:
    """One of the person's own spaces. One query.

    Raises:
        SpaceNotFound: there is none, or it belongs to another person.
    """
    found = spaces_of(user).filter(pk=id).first() if 0 < id < 2**63 else None
    if found is None:
        raise SpaceNotFound("no such space")
    return found


def version_get(*, user: AbstractBaseUser | AnonymousUser, id: int, number: int | None = None) -> SpaceVersion:
    """A version of one of the person's own spaces, the newest by default, with its space.

    Raises:
        SpaceNotFound: no such space or version, or it belongs to another person.
    """
    return version_of(space_get(user=user, id=id), number)


def version_of(space: Space, number: int | None = None) -> SpaceVersion:
    """A version of this space, the newest by default.

    Raises:
        SpaceNotFound: it has no version of this number.
    """
    versions = space.versions.order_by("-number")
    found = versions.first() if number is None else versions.filter(number=number).first() if number < 2**31 else None
    if found is None:
        raise SpaceNotFound("no such version")
    found.space = space
    return found


def shared_get(token: str) -> SpaceVersion:
    """The newest version of the space that is shared under this token.

    Raises:
        SpaceNotFound: nobody shares anything under it (any more).
    """
    space = Space.objects.select_related("owner").filter(share_token=token).first() if 16 <= len(token) <= 64 else None
    if space is None:
        raise SpaceNotFound("nothing is shared under this address")
    return version_of(space)


def newest_versions(
    *, user: AbstractBaseUser | AnonymousUser, also: int | None = None, limit: int = 50
) -> dict[int, SpaceVersion]:
    """The newest version of each of the person's spaces by its id, and another one of theirs. Two queries."""
    newest = SpaceVersion.objects.filter(space=OuterRef("pk")).order_by("-number")
    listed = spaces_of(user).filter(archived=False).annotate(newest_id=Subquery(newest.values("pk")[:1]))
    ids = [pk for pk in listed.values_list("newest_id", flat=True)[:limit] if pk] + ([also] if also else [])
    found = SpaceVersion.objects.filter(space__owner_id=user.pk, pk__in=ids).select_related("space")
    return {v.pk: v for v in found.order_by("space__name", "number")}


def state_of(version: SpaceVersion) -> dict[str, Any]:
    """The version as a canvas reads it."""
    return {"space": dict(version.config), "data": dict(version.data)}


@dataclass(frozen=True)
class SpaceRow:
    """One line of the list."""

    space: Space
    family: str
    size: str
    data: str
    n_versions: int
    n_searches: int
    age: str
    note: str


def space_rows(*, user: AbstractBaseUser | AnonymousUser, archived: bool = False, query: str = "") -> list[SpaceRow]:
    """A person's spaces, the one changed last first. Two queries."""
    newest = SpaceVersion.objects.filter(space=OuterRef("pk")).order_by("-number")
    found = (
        spaces_of(user)
        .filter(archived=archived)
        .annotate(
            n_versions=Count("versions", distinct=True),
            n_searches=Count("versions__searches", distinct=True),
            newest_id=Subquery(newest.values("pk")[:1]),
        )
        .order_by("-changed_at", "-id")  # a grouped query does not take the model's own order
    )
    if query:
        found = found.filter(name__icontains=query[:200].replace("\x00", ""))
    listed = list(found[:500])
    versions = SpaceVersion.objects.defer("config").in_bulk([s.newest_id for s in listed if s.newest_id])
    now = timezone.now()
    out = []
    for s in listed:
        version = versions.get(s.newest_id)
        if version is None:
            continue
        out.append(
            SpaceRow(
                space=s, family=version.family, size=size_words(version.size, version.exact_size),
                data=str(version.data.get("name", "")), n_versions=s.n_versions, n_searches=s.n_searches,
                age=age((now - s.changed_at).total_seconds()), note=version.note,
            )
        )  # fmt: skip
    return out


def size_text(size: int) -> str:
    """For storing: all digits of a number of up to a few hundred of them, "1.2e5000" above."""
    if size.bit_length() <= 1200:
        return str(size)
    exponent = int(size.bit_length() * log10(2)) - 2
    lead = size // 10**exponent
    while lead >= 10:
        lead, exponent = lead // 10, exponent + 1
    return f"{lead}e{exponent}"


def size_words(size: str | int, exact: bool = True) -> str:
    """ "5,308,416", "about 2.81 × 10²¹", "at most 1.20 × 10³⁰", "–" for what is not known."""
    text = size_text(size) if isinstance(size, int) else size
    digits = text.isdigit()
    if not digits and "e" not in text:
        return "–"
    if digits and len(text) <= 15:
        short = f"{int(text):,}"
    else:
        lead, power = (f"{text[0]}.{text[1:3]}", len(text) - 1) if digits else text.split("e")
        short = f"{lead} × 10{str(power).translate(_RAISED)}"
    if not exact:
        return f"at most {short}"
    return short if digits and len(text) <= 15 else f"about {short}"


def versions_of(space: Space) -> list[SpaceVersion]:
    """All versions, the newest first, each with the number of searches that use it. One query."""
    return list(space.versions.annotate(n_searches=Count("searches")).defer("config").order_by("-number"))


def searches_with(space: Space, limit: int = 20) -> list[Search]:
    """The newest searches that began with a version of this space."""
    found = Search.objects.filter(space_version__space=space, owner_id=space.owner_id).select_related("space_version")
    return list(found.only("name", "state", "space_version").order_by("-created_at")[:limit])


# -- the gallery -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Card:
    """One ready-made space.

    Attributes:
        family, preset: its name ("" = the space as it suits the data).
        data: the data set that "Open" draws it for.
        also: other kinds of data it serves.
        reason: why it does not serve the data it was looked at for, or "".
    """

    family: str
    preset: str
    title: str
    summary: str
    reference: str
    data: str
    also: tuple[str, ...] = ()
    reason: str = ""

    @property
    def key(self) -> str:
        """For addresses: `darts.nasnet`."""
        return f"{self.family}.{self.preset}" if self.preset else self.family


@dataclass
class Group:
    """Cards for one kind of data."""

    kind: str
    title: str
    cards: list[Card] = field(default_factory=list)


def preset_options(family: str, preset: str, data: DataSpec | None) -> dict[str, Any]:
    """Options of a card, as far as they are not the defaults.

    Raises:
        InvalidConfig: no such family.
        SpaceNotFound: it has no such preset.
    """
    cls = catalog.get("space", family)
    if not preset:
        return dict(cls.suggested(data)) if data is not None and cls.fits(data) is None else {}
    for ready in cls.presets:
        if ready.name == preset:
            return dict(ready.options)
    raise SpaceNotFound(f"{family} has no preset {preset}")


def gallery(data: str = "") -> list[Group]:
    """All cards by kind of data; with a data set, its kind first, and what does not serve it last with the reason."""
    specs = _specs()
    groups = {kind: Group(kind, title) for kind, title in KINDS.items()}
    wanted = specs.get(data)
    for family, cls in catalog.plugins("space").items():
        reason = (cls.fits(wanted) or "") if wanted is not None else ""
        serves = [k for k in KINDS if cls.fits(_typical(k)) is None]
        if not serves:
            continue
        first = cls.presets[0].kind if cls.presets else ""
        usual = first if first in serves else serves[0]
        for preset, made_for, title, summary, reference in _ready(cls):
            home = made_for if made_for in serves else usual
            home = wanted.kind if wanted is not None and wanted.kind in serves else home
            fitting = [n for n, s in specs.items() if s.kind == home and cls.fits(s) is None]
            opened = data if wanted is not None and not reason else next(iter(fitting), "")
            also = tuple(KINDS[k].lower() for k in serves if k != home)
            groups[home].cards.append(Card(family, preset, title, summary, reference, opened, also, reason))
    for group in groups.values():
        group.cards = _well_known_first(group.cards)
    out = [g for g in groups.values() if g.cards]
    if wanted is not None:
        out.sort(key=lambda g: g.kind != wanted.kind)
        for group in out:
            group.cards.sort(key=lambda c: bool(c.reason))
    return out


def _well_known_first(cards: list[Card]) -> list[Card]:
    """The first preset of each family, then the families themselves, then the other presets."""
    seen: set[str] = set()
    order = []
    for card in cards:
        first = bool(card.preset) and card.family not in seen
        seen |= {card.family} if card.preset else set()
        order.append((0 if first else 2 if card.preset else 1, card))
    return [card for _, card in sorted(order, key=lambda pair: pair[0])]


def _ready(cls: type[SearchSpace]) -> list[tuple[str, str, str, str, str]]:
    """(preset, kind of data it was made for, title, summary, reference), the space as it suits the data first."""
    usual = ("", "", cls.name.replace("_", " "), cls.summary, cls.reference)
    return [usual, *((p.name, p.kind, p.title, p.summary, p.reference) for p in cls.presets)]


def _space(family: str, preset: str, spec: DataSpec) -> SearchSpace:
    cls = catalog.get("space", family)
    return space_of(cls, cls.Options.model_validate(preset_options(family, preset, spec)), spec)


@cache
def _specs() -> Mapping[str, DataSpec]:
    """Specs of all data sets, those that are ready first."""
    out: dict[str, DataSpec] = {}
    info = registry.datasets()
    for name in sorted(info, key=lambda n: not info[n].available):
        try:
            out[name] = registry.spec(name)
        except (EngineError, OSError):
            continue
    return out


@cache
def _typical(kind: str) -> DataSpec:
    plain: dict[str, Any] = _TYPICAL[kind]
    channels = plain["input_shape"][0] if kind in ("image", "signal") else 1
    return DataSpec(
        name=kind, kind=kind, n_classes=10, class_names=tuple(map(str, range(10))),  # type: ignore[arg-type]
        sizes={"train": 1000, "validation": 100, "test": 100}, digest="", split_digest="",
        mean=(0.0,) * channels, std=(1.0,) * channels, **plain,
    )  # fmt: skip


def usual_data(family: str) -> str:
    """The first data set that the family serves, those that are ready first."""
    cls = catalog.get("space", family)
    return next((name for name, spec in _specs().items() if cls.fits(spec) is None), "digits")


_sizes: dict[tuple[str, str, str], str] = {}
_counting = threading.Lock()


def card_size(family: str, preset: str, data: str) -> str:
    """Number of architectures of a card, counted once and for at most `COUNT_SECONDS`.

    Raises:
        SpaceNotFound, InvalidConfig: no such card.
    """
    key = (family, preset, data)
    if key not in _sizes:
        spec = _specs().get(data)
        if spec is None:
            raise SpaceNotFound("no such data set")
        preset_options(family, preset, spec)
        with _counting:  # one at a time: a gallery asks for all of them
            _sizes[key] = _count(family, preset, spec)
    return _sizes[key]


def _count(family: str, preset: str, spec: DataSpec) -> str:
    def count() -> str:
        space = _space(family, preset, spec)
        return size_words(space.size(), space.exact_size)

    try:
        return within(COUNT_SECONDS, count)
    except TookTooLong:
        return "too many to count here"
    except (EngineError, ValidationError, ValueError, RecursionError):
        return "–"
