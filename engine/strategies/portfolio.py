"""A bandit that shares the budget among strategies."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from engine import catalog
from engine.catalog import in_words
from engine.errors import InvalidConfig
from engine.history import TrialEntry
from engine.strategies._delegating import Delegating
from engine.strategies._views import bars, lines, thinned, view
from engine.strategies.base import Arrays, Context, Exhausted, Group, Proposal, Strategy, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report

#: results that a new one is compared with, and the place among them that earns credit, as a share
RECENT, GOOD = 20, 0.25
#: trials that are kept for people
KEPT = 400


class Options(BaseModel):
    """Who shares the budget, and how long what somebody earned counts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[str, ...] = Field(
        ("gaussian_process", "regularized_evolution", "local_search", "random"),
        min_length=1,
        max_length=8,
        description="Strategies that share the budget, each with its own default options.",
    )
    memory: int = Field(30, ge=2, le=10_000, description="Trials after which what somebody earned counts a third.")

    @field_validator("members")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        have = catalog.plugins("strategy")
        if unknown := [n for n in value if n not in have or n == "portfolio"]:
            raise ValueError(f"no strategy that can be a member is called {unknown[0]!r}; there are {', '.join(have)}")
        if len(set(value)) < len(value):
            raise ValueError("each member once")
        if heirs := [n for n in value if have[n].inherits]:
            raise ValueError(f"{heirs[0]} hands on weights and must run a search alone")
        return value


class Portfolio(Delegating):
    """Whose turn it is, a discounted Thompson sampler says; everybody learns from all results.

    For each member i, S_i and F_i count what its trials earned and did not earn, both multiplied by gamma = 1 - 1 /
    `memory` at each result (Raj and Kalyani 2017, Algorithm 1: what worked at the beginning need not work at the end).
    A proposal draws theta_i from Beta(1 + S_i, 1 + F_i) and asks the members in the order of their draws; who waits or
    has nothing left is passed over. Hoffman et al. 2011 shared a budget among acquisition functions like this.

    A trial earns credit if its first result is among the best quarter of the last 20 of the search, the members'
    together: improvements of the best are too rare to tell members apart. With several objectives "best" is by
    non-domination, then crowding. A failed trial earns none.

    **Deviations**: members count the trials of the search, not their own, so that their random starts are shared. A
    trial is told to every member. Members that do not serve the space or the objectives are left out.
    """

    name = "portfolio"
    summary = "Several strategies share the budget; who finds good networks gets more of it"
    reference = "Raj and Kalyani 2017, Taming Non-stationary Bandits; Hoffman, Brochu and de Freitas 2011"
    group: ClassVar[Group] = "across"
    guide = (
        "A safe choice for hundreds of trials in a space nobody knows, since no single method has to be right. "
        "Where one of its members is known to work, that one alone is faster."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        refused = []
        for name in self.options.members:
            cls = catalog.get("strategy", name)
            if (reason := cls.supports(context.space, context.objectives)) is not None:
                refused.append(f"{name}: {reason}")
            else:
                self.members[name] = cls(cls.Options(), context)
        if not self.members:
            raise InvalidConfig([(("strategy", "members"), f"none of them serves this search ({'; '.join(refused)})")])
        n = len(self.members)
        self.earned, self.missed = np.zeros(n), np.zeros(n)  # S and F, discounted
        self.recent: deque[int] = deque(maxlen=RECENT)
        self.records: deque[tuple[int, int, int]] = deque(maxlen=KEPT)  # (trial, member, credit)

    # -- asked -------------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """Asks the members in the order of their draws."""
        names = list(self.members)
        draws = rng.beta(1 + self.earned, 1 + self.missed)
        waiting: list[str] = []
        for i in np.argsort(-draws, kind="stable"):
            member = self.members[names[i]]
            member.asked = number - 1
            answer = self.delegate(member, rng)
            if isinstance(answer, Proposal):
                return replace(answer, by=names[i], why=answer.why or in_words(names[i]))
            if isinstance(answer, Wait):
                waiting.append(f"{in_words(names[i])}: {answer.reason}")
        if waiting and self.under_way:
            return Wait("; ".join(waiting))
        found = self.draw(rng)
        if found is None:
            return self.nothing_new()
        return Proposal(found, why="random: no member has anything left", by="random")

    # -- told --------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """Tells everybody; the first result of a member's trial earns or does not."""
        super().tell(entry, report)
        if len(entry.reports) > (report.failure is None):
            return  # a later rung
        credit = report.failure is None and self._good(entry)
        if report.failure is None:
            self.recent.append(entry.number)
        names = list(self.members)
        if entry.proposal.by in self.members:
            i = names.index(entry.proposal.by)
            gamma = 1 - 1 / self.options.memory
            self.earned, self.missed = gamma * self.earned, gamma * self.missed
            (self.earned if credit else self.missed)[i] += 1
            self.records.append((entry.number, i, int(credit)))

    def _good(self, entry: TrialEntry) -> bool:
        """Whether it is among the best quarter of the recent ones and itself."""
        history = self.context.history
        ranked = self.rank([*(history[n] for n in self.recent), entry])
        best = ranked[: max(1, round(GOOD * len(ranked)))]
        return any(e.number == entry.number for e in best)

    def recommend(self, k: int) -> list[int]:
        """As the first member does that has a model of what is noise; else the best measured ones."""
        for member in self.members.values():
            if type(member).recommend is not Strategy.recommend:
                return member.recommend(k)
        return super().recommend(k)

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: Any, objectives: Sequence[Any]) -> str | None:
        """Everything: members that do not serve it are left out."""
        return None

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "30 trials shared by 4 strategies: gaussian process, ..., random"."""
        members: tuple[str, ...] = getattr(options, "members", ())
        return f"{budget.trials:,} trials shared by {len(members)} strategies: {', '.join(map(in_words, members))}"

    def state(self) -> dict[str, Any]:
        """That of each member, and what they are compared with."""
        return {**super().state(), "recent": list(self.recent)}

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.recent.extend(int(n) for n in state["recent"])

    def arrays(self) -> Arrays:
        """S, F and the last trials, and each member's behind its name."""
        records = np.array(self.records, dtype=np.int64).reshape(-1, 3)
        return {**super().arrays(), "earned": self.earned, "missed": self.missed, "records": records}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        self.earned, self.missed = arrays["earned"].copy(), arrays["missed"].copy()
        self.records.extend((int(a), int(b), int(c)) for a, b, c in arrays["records"])

    def views(self) -> dict[str, dict[str, Any]]:
        """Shares of the last 20 trials over time, who earned what, and what each member believes."""
        if not self.records:
            return {}
        names = [in_words(name) for name in self.members]
        rows = list(self.records)
        steps = thinned([[at] for at in range(len(rows))], KEPT // len(names))
        shares = []
        for (at,) in steps:
            window = [member for _, member, _ in rows[max(0, at - RECENT + 1) : at + 1]]
            shares += [[at + 1, round(window.count(i) / len(window), 3), name] for i, name in enumerate(names)]
        chance = (1 + self.earned) / (2 + self.earned + self.missed)
        earned = [
            [name, round(float(chance[i]), 3), sum(m == i for _, m, _ in rows), sum(m == i and c for _, m, c in rows)]
            for i, name in enumerate(names)
        ]
        out = {
            "shares": view(
                "Who gets the budget", ["trials", "share", "strategy"], shares,
                chart=lines("trials", "share", series="strategy"), note=f"of the last {RECENT} trials",
            ),
            "earned": view(
                "Who earns it", ["strategy", "chance", "trials", "earned"], earned, chart=bars("strategy", "chance"),
                note=f"chance that its next trial is among the best quarter of {RECENT}, as it is believed now",
            ),
        }  # fmt: skip
        for name, member in self.members.items():
            for key, shown in member.views().items():
                out[f"{name}_{key}"] = {**shown, "title": f"{in_words(name)}: {shown['title']}"}
        return out
