"""A person's own architecture for a search: an entry of its decision log; the conductor makes it the next trial."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.architecture import Option
from engine.errors import InvalidArchitecture
from engine.log import Edit
from searches.models import Search
from searches.selectors.architectures import space_of_search, why_not
from searches.services.jsonable import jsonable
from searches.services.writing import Rejected, writing


def trial_propose(*, search: Search, by: Any, choices: Mapping[str, Option], parent: int | None = None) -> str:
    """Asks the search to try an architecture next.

    What can be known now is refused now; the conductor looks again when its turn comes (another trial may have been
    faster), and says so in the search's log.

    Args:
        choices: option by decision.
        parent: number of the trial it was made from by hand.

    Returns:
        What to say.

    Raises:
        Rejected: the search is not under way, or would not take it; the reason is for people.
        InvalidArchitecture: the choices are none of its space.
    """
    if reason := why_not(search, dict(choices)):
        raise Rejected(f"{reason}.")
    _, space = space_of_search(search)
    arch = space.validate(choices)
    payload: dict[str, Any] = {"choices": arch.choices}
    with writing(search.pk) as write:
        if write.search.state not in (Search.State.QUEUED, Search.State.RUNNING, Search.State.PAUSED) or (
            write.search.decided
        ):
            raise Rejected(f"It is {write.search.state}: nothing new is tried in it any more.")
        if parent is not None:
            made_from = write.search.trials.filter(number=parent).values_list("architecture", flat=True).first()
            if made_from is not None:
                payload["parents"] = [parent]
                payload["why"] = _why(space, made_from, arch)
        write.entry(jsonable(Edit("propose", payload).to_json()))
        name = space.short_name(arch)
        write.line("proposed", f"{name} proposed by {by}")
        paused = write.search.state == Search.State.PAUSED
    when = "when it goes on" if paused else "as soon as a slot is free"
    return f"{name} is the next trial of “{search.name}”, {when}."


def _why(space: Any, before: Mapping[str, Any], arch: Any) -> str:
    try:
        return f"by hand: {space.describe_change(space.validate(before), arch)}"[:300]
    except InvalidArchitecture:
        return "by hand"
