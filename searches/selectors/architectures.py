"""What the page of one architecture reads: spaces, trials of the same network, searches that would take it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from engine import catalog
from engine.architecture import Architecture
from engine.config import SearchConfig
from engine.data import registry
from engine.data.spec import DataSpec
from engine.errors import CannotBuild, EngineError
from engine.spaces.base import SearchSpace, make_space, space_of
from searches.models import Search, Trial
from searches.selectors.searches import searches_of
from searches.selectors.spaces import spaces_of, usual_data

#: searches that are asked whether they would take an architecture
ASKED = 12


@dataclass
class ChoiceGroup:
    """A heading of the select, with `(value, words, chosen)`."""

    title: str
    choices: list[tuple[str, str, bool]] = field(default_factory=list)


def choices(user: AbstractBaseUser | AnonymousUser, now: str, title: str, *, own: bool) -> list[ChoiceGroup]:
    """Spaces to look at an architecture in: what is looked at now, saved ones, families with their presets."""
    saved = ChoiceGroup("yours", [(f"v{s.pk}", s.name, False) for s in spaces_of(user).filter(archived=False)[:100]])
    ready = ChoiceGroup("ready-made")
    for family, cls in catalog.plugins("space").items():
        ready.choices.append((family, family.replace("_", " "), now == family and not own))
        for p in cls.presets:
            key = f"{family}.{p.name}"
            ready.choices.append((key, f"{family.replace('_', ' ')}: {p.title}", now == key))
    groups = [g for g in (saved, ready) if g.choices]
    if not any(chosen for g in groups for _, _, chosen in g.choices):
        words = f"{title}, with options of its own" if own else title
        groups.insert(0, ChoiceGroup("this one", [(now, words, True)]))
    return groups


def read_elsewhere(text: str, data: str, but: str) -> tuple[str, str, str] | None:
    """The first ready-made space in which a text can be read: its address, its title, and data that it serves.

    Args:
        text: what was pasted.
        data: the data set that is looked at, kept where the space serves it.
        but: the family that does not read it.
    """
    now = _spec(data)
    for family, cls in catalog.plugins("space").items():
        if family in (but, "list", "custom"):
            continue
        fits = now is not None and cls.fits(now) is None
        name = data if fits else usual_data(family)
        spec = now if fits else _spec(name)
        if spec is None:
            continue
        words = family.replace("_", " ")
        ready = [(f"{family}.{p.name}", f"{words}: {p.title}", dict(p.options)) for p in cls.presets]
        for address, title, options in [*ready, (family, words, dict(cls.suggested(spec)))]:
            try:
                space = space_of(cls, cls.Options.model_validate(options), spec)
                space.planned(space.read(text))
            except (EngineError, ValueError):
                continue
            return address, title, name
    return None


def _spec(data: str) -> DataSpec | None:
    try:
        return registry.spec(data)
    except (EngineError, OSError):
        return None


def tried(user: AbstractBaseUser | AnonymousUser, canonical_key: str) -> list[Trial]:
    """The newest trials of the person's own searches that tried the same network."""
    if not canonical_key:
        return []
    key = hashlib.sha256(canonical_key.encode()).hexdigest()
    return list(
        Trial.objects.filter(key=key, search__in=searches_of(user))
        .select_related("search")
        .only("number", "name", "state", "accuracy", "search__name")
        .order_by("-id")[:6]
    )


@dataclass(frozen=True)
class Send:
    """A search that is under way.

    Attributes:
        reason: why it would not take the architecture, or "".
        here: the architecture comes from this search.
    """

    search: Search
    reason: str
    here: bool


def sends(user: AbstractBaseUser | AnonymousUser, family: str, arch: Architecture, here: Search | None) -> list[Send]:
    """The person's searches under way in spaces of this family, those that would take it first."""
    live = [Search.State.QUEUED, Search.State.RUNNING, Search.State.PAUSED]
    found = searches_of(user).filter(state__in=live, decided=False, archived=False).order_by("-created_at")
    out = []
    for search in found[: 4 * ASKED]:
        if search.config.get("space", {}).get("name") != family or len(out) >= ASKED:
            continue
        mine = here is not None and here.pk == search.pk
        out.append(Send(search, why_not(search, arch.choices), mine))
    return sorted(out, key=lambda s: (bool(s.reason), not s.here))


def space_of_search(search: Search) -> tuple[SearchConfig, SearchSpace]:
    """The config and the space of a search.

    Raises:
        EngineError: its data is not known yet, or its plug-ins are gone.
    """
    from searches.services.conductors import data_spec

    config = SearchConfig.parse(search.config)
    data = DataSpec.model_validate(search.data_spec) if search.data_spec else data_spec(config)
    return config, make_space(config, data)


def why_not(search: Search, choices: dict[str, Any]) -> str:
    """Why a search would not take these choices as a trial, as far as the database says; "" = it would."""
    try:
        config, space = space_of_search(search)
        arch = space.validate(choices)
        costs = space.costs(arch).as_metrics()
    except CannotBuild as e:
        return f"cannot be built: {e}"
    except EngineError as e:
        return str(e)
    for name, limit in config.limits.items():
        if costs[name] > limit:
            return f"over the limit: {name} {costs[name]:,.0f} > {limit:,.0f}"
    if config.duplicates != "allowed":
        text = arch.key if config.duplicates == "written" else space.canonical_key(arch)
        same = search.trials.filter(key=hashlib.sha256(text.encode()).hexdigest()).order_by("number").first()
        if same is not None:
            return f"duplicate of #{same.number}"
    if search.n_trials >= config.budget.trials + search.extra_trials:
        return f"its budget of {config.budget.trials + search.extra_trials:,} trials is used up; extend it first"
    return ""


def list_of_trials(trials: Sequence[Trial]) -> dict[str, Any]:
    """A `list` space of what these trials tried, for the data of the first; each trial has its search in it."""
    several = len({t.search_id for t in trials}) > 1
    entries, names = [], set()
    for t in trials:
        entry = _entry(t)
        name = f"#{t.number} {t.name}"[:60]
        name = f"{name} ({t.search.name})"[:80] if several else name
        if name in names:
            name = f"{name[:68]} {t.search_id}.{t.number}"
        names.add(name)
        entries.append({"name": name, **entry})
    return {
        "space": {"name": "list", "architectures": entries},
        "data": dict(trials[0].search.config["data"]),
    }


def _entry(trial: Trial) -> dict[str, Any]:
    """Its space and its choices; of a trial in a list those of the entry that it stands for."""
    space = trial.search.config["space"]
    if space["name"] != "list":
        return {"space": dict(space), "choices": dict(trial.architecture)}
    wanted = trial.architecture.get("architecture")
    for i, entry in enumerate(space["architectures"], start=1):
        if wanted == (entry.get("name") or f"#{i}"):
            return {k: v for k, v in entry.items() if k != "name"}
    return {"space": dict(space), "choices": dict(trial.architecture)}
