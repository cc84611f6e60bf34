"""What will happen if this is started: the headline and the three lines beside the form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AbstractBaseUser

from engine import catalog
from engine.config import SearchConfig
from engine.errors import EngineError
from searches.charts.insight import clock
from searches.charts.spread import Histogram, histogram, si
from searches.forms.check import Checked
from searches.forms.sections import Form
from searches.models import Job, Search
from searches.selectors.preflight import estimate, preflight_status, preflights_done
from searches.selectors.spaces import size_words
from searches.services.preflight import TOKEN, preflight_request
from searches.services.supernets import is_sharing

#: parts of a search that decide what one epoch costs: a measurement holds while they stay the same
MEASURED = ("data", "space", "evaluator", "training", "limits", "seed")
#: earlier measurements of a person that are looked through
EARLIER = 20


@dataclass
class Time:
    """What is known of the time.

    Attributes:
        state: none, waiting, running, done, failed, offline, or nothing (nothing is trained).
        fact, rest: the first words in bold, then the rest.
        short: for the headline, or "".
        note: where it was measured.
    """

    state: str = "none"
    fact: str = ""
    rest: str = ""
    short: str = ""
    note: str = ""

    @property
    def polls(self) -> bool:
        """Whether the page should ask again soon."""
        return self.state in ("waiting", "running")

    @property
    def can_ask(self) -> bool:
        """Whether a button to measure makes sense."""
        return self.state in ("none", "failed")


@dataclass
class Summary:
    """Everything beside the form."""

    lead: str
    fact: str
    caveat: str
    time: Time
    space_fact: str = ""
    space_rest: str = ""
    strategy_fact: str = ""
    strategy_rest: str = ""
    histograms: list[Histogram] = field(default_factory=list)
    outline: dict[str, Any] = field(default_factory=dict)
    why_not: str = ""


def summarise(form: Form, checked: Checked, time: Time, *, slots: int, n_workers: int, earlier: int = 0) -> Summary:
    """The words for these values, with so many earlier searches to learn from."""
    config, facts = checked.config, checked.facts
    wrong = form.n_wrong
    needs = f"{_count(wrong)} {'field needs' if wrong == 1 else 'fields need'} you." if wrong else ""
    on = f" on {n_workers} {'worker' if n_workers == 1 else 'workers'}" if n_workers else ""
    trials = f"{config.budget.trials:,} {'trial' if config.budget.trials == 1 else 'trials'}" if config else ""
    if config and time.short:
        out = Summary(f"About {time.short}", f" for {trials}{on}.", needs, time)
    elif config:
        caveat = needs or {
            "offline": "No worker is online.",
            "waiting": "The time is being measured.",
            "running": "The time is being measured.",
        }.get(time.state, "")
        out = Summary(trials, f"{on}.", caveat, time)
    else:
        out = Summary("", "", needs, time)
        out.lead, out.caveat = needs, ""
    if facts:
        size = size_words(facts.size, facts.exact_size)
        out.space_fact = f"{size[0].upper()}{size[1:]} architectures."
        middle = {m: [si(facts.quantile(m, share)) for share in (0.05, 0.95)] for m in ("n_params", "n_macs")}
        out.space_rest = (
            f"{facts.n_sampled:,} sampled: {' to '.join(middle['n_params'])} parameters, "
            f"{' to '.join(middle['n_macs'])} multiply-adds (middle 90 %)."
        )
        out.histograms = [
            histogram("parameters", facts.costs["n_params"]),
            histogram("multiply-adds", facts.costs["n_macs"]),
        ]
        out.outline = facts.outline
    if config:
        out.strategy_fact, out.strategy_rest = strategy_words(config, earlier)
    if wrong:
        names = [
            f"the limit of {f.before.removesuffix(' at most')}" if f.before else f"“{f.label}”"
            for f in form.every()
            if f.errors
        ]
        out.why_not = (
            f"Start opens when {_list(names[:3])} {'is' if len(names) == 1 else 'are'} right."
            if names
            else "Start opens when the problem above is solved."
        )
    return out


def strategy_words(config: SearchConfig, earlier: int) -> tuple[str, str]:
    """What strategy and schedule will do: the first clause, and the rest with a full stop."""
    try:
        text = catalog.get("strategy", config.strategy.name).plan(config, earlier=earlier)
        then = catalog.get("schedule", config.schedule.name).sentence(config.options("schedule"), config.budget.epochs)
    except (EngineError, ValueError) as e:
        return "", str(e)
    text = str(text).rstrip(".")
    head, comma, tail = text.partition(", ")
    return head, f"{comma}{tail}; {str(then).rstrip('.')}." if tail else f"; {str(then).rstrip('.')}."


# -- time --------------------------------------------------------------------------------------------
def measured_key(config: SearchConfig) -> str:
    """Equal for searches whose networks cost the same to train."""
    plain = _measured(config.to_json())
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def time_of(*, owner: AbstractBaseUser, checked: Checked, kept: dict[str, Any], slots: int, ask: bool) -> Time:
    """The time this search will take, from the preflight of this form; asks for one where `ask` says so.

    Args:
        kept: `{"id", "key"}` of the form's last preflight; changed in place when a new one is asked for.
        slots: trials that the workers online can run at once.
        ask: measure where nothing fitting has been measured yet.
    """
    config = checked.config
    if config is None or not checked.ok:
        return Time("none", rest="Measured when the form is right.")
    if catalog.get("evaluator", config.evaluator.name).inline:
        return Time("nothing", "nothing is trained", ": the numbers come from a table.")
    key = measured_key(config)
    if kept.get("key") == key:
        found = _found(owner, config, int(kept.get("id", 0)), slots)
        if found is not None:
            return _meanwhile(found, owner, config, slots)
    if not ask:
        return Time("none", rest="Not measured yet.")
    if not slots:
        return Time(
            "offline",
            "no worker is online",
            ", so nothing can be measured. Start one with “make run” or “manage.py worker”.",
        )
    try:
        search = preflight_request(owner=owner, config=config)
    except EngineError as e:
        return Time("failed", rest=f"Cannot be measured: {e}")
    kept.update(id=search.pk, key=key)
    found = _found(owner, config, search.pk, slots) or Time("waiting", rest="The measurement is on its way.")
    return _meanwhile(found, owner, config, slots)


def _meanwhile(time: Time, owner: AbstractBaseUser, config: SearchConfig, slots: int) -> Time:
    """While a measurement waits for a worker: what an earlier one of the same networks says, where there is one."""
    if time.state != "waiting":
        return time
    wanted = _alike(config.to_json())
    for job in preflights_done(user=owner, most=EARLIER):
        if _alike(job.search.config) == wanted:
            status = estimate(config, job.payload, job.result, slots=slots)
            if "lines" in status:
                fact, comma, rest = str(status["lines"][0]).partition(",")
                note = "by an earlier measurement, until a worker is free"
                return Time("waiting", fact.rstrip("."), f"{comma}{rest}" or ".", clock(status["search_s"]), note)
    return time


def _alike(plain: dict[str, Any]) -> dict[str, Any]:
    """What two searches share whose measurements may stand for each other: another seed samples other networks only."""
    return {k: v for k, v in _measured(plain).items() if k != "seed"}


def _measured(plain: dict[str, Any]) -> dict[str, Any]:
    """What decides what is measured; of a weight-sharing method also itself, for its supernet is measured, too."""
    out = {k: plain.get(k) for k in MEASURED}
    return {**out, "strategy": plain["strategy"]} if is_sharing(plain) else out


def _found(owner: AbstractBaseUser, config: SearchConfig, id: int, slots: int) -> Time | None:
    search = Search.objects.filter(pk=id, owner_id=owner.pk, submit_token__startswith=TOKEN).first()
    if search is None:
        return None
    status = preflight_status(search=search)
    state = status["state"]
    if state == "none":
        return None
    if state == "done":
        job = Job.objects.filter(search=search, kind=Job.Kind.PREFLIGHT).order_by("-id").first()
        if job is not None:
            status |= estimate(config, job.payload, job.result, slots=slots)
    if status.get("state") == "failed" or "lines" not in status:
        return Time("failed", rest=f"The measurement failed: {status.get('reason') or 'no reason was recorded'}")
    first = status["lines"][0] if status["lines"] else ""
    if state != "done":
        return Time(state, rest=f"{first[:1].upper()}{first[1:]}…" if first else "")
    fact, comma, rest = first.partition(",")
    more = " ".join(status["lines"][1:])
    ago = f"{status['age_s']:.0f} s" if status["age_s"] < 60 else f"{status['age_s'] / 60:.0f} min"
    return Time(
        "done",
        fact.rstrip("."),
        f"{comma}{rest} {more}" if comma else f". {more}",
        clock(status["search_s"]),
        f"last preflight {ago} ago on {status['worker']}" if status["worker"] else "",
    )


def _count(n: int) -> str:
    return {1: "One", 2: "Two", 3: "Three", 4: "Four", 5: "Five"}.get(n, str(n))


def _list(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
