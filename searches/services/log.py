"""The decision log: the only inputs of a search's conductor, in the order recorded."""

from __future__ import annotations

from engine.log import Entry
from searches.services.writing import writing


def entry_append(*, search_id: int, entry: Entry) -> None:
    """Appends one entry, inside the caller's transaction where there is one, and asks for the next decision."""
    with writing(search_id) as write:
        write.entry(entry.to_json())
