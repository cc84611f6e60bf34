"""What tests need of the database, made by the services themselves."""

from __future__ import annotations

import itertools
from typing import Any

from django.contrib.auth import get_user_model

from engine.config import SearchConfig
from searches.models import Search
from searches.services import lifecycle

_numbers = itertools.count(1)


def user_make(name: str | None = None) -> Any:
    """A person."""
    return get_user_model().objects.create_user(username=name or f"person-{next(_numbers)}")


def config_make(**fields: Any) -> SearchConfig:
    """A small search that reads its numbers from the synthetic table."""
    return SearchConfig.parse(
        {
            "schema": 1,
            "name": "A search",
            "space": "layers",
            "strategy": "random",
            "evaluator": {"name": "tabular"},
            "budget": {"trials": 6, "epochs": 4},
            "parallelism": 2,
            "seed": 1,
            **fields,
        }
    )


def search_make(*, owner: Any = None, start: bool = True, **fields: Any) -> Search:
    """A search of `config_make(**fields)`, started."""
    return lifecycle.search_create(owner=owner or user_make(), config=config_make(**fields), start=start)
