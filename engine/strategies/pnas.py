"""Progressive search: networks grow stage by stage, a predictor picks who grows (Liu et al. 2018, PNAS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from engine.architecture import Architecture
from engine.history import TrialEntry
from engine.strategies._guided import ChoiceOptions, Guided, Rule, Worth
from engine.strategies._views import scatter, thinned, view
from engine.strategies.base import Arrays, Context, Exhausted, Proposal, Wait

if TYPE_CHECKING:
    from engine.config import Budget
    from engine.evaluation.base import Report
    from engine.objectives import Objective
    from engine.predictors.base import Predictor
    from engine.spaces.base import SearchSpace

#: networks of a stage at least, so that a beam means something; spaces of many stages grow by several at a time
FEWEST = 5
#: grown networks that the predictor ranks
MOST_GROWN = 500
#: of those that are only passed through, where networks grow by several stages at a time
BETWEEN = 20
#: draws from which a walk down begins, walks before there is nothing small left, draws that tell the last stage
PROBES = 8
#: changes of one walk down
STEPS = 200


class Options(ChoiceOptions):
    """The beam, the predictor, and how the search goes on after the last stage."""

    beam: int | None = Field(
        None,
        ge=1,
        le=1000,
        description="Networks tried per stage (K); empty = a share of the trials.",
    )
    predictor: Literal["sequence", "ensemble", "trees"] = Field(
        "sequence",
        description="What ranks the grown networks: recurrent networks as published, feed-forward ones, or trees.",
    )
    acquisition: Rule = Field(
        "its",
        description="After the last stage: independent Thompson sampling (its), expected improvement (ei), upper "
        "confidence bound (ucb), probability of improvement (pi).",
    )
    members: int = Field(5, ge=2, le=20, description="Members of the ensemble.")


class Pnas(Guided):
    """Tries K small networks, grows the best by one step in every way, tries the K most promising of these, and so on.

    Symbols (Algorithm 1): B = the stages of the space (`SearchSpace.stage`), K = `beam`, S_b = `members` of a stage,
    S'_b = everything that `SearchSpace.grow` makes of S_(b-1), pi = the predictor, fitted anew whenever enough is
    known. A stage ends when its K networks have results; what failed grows no further.

    **Deviations**: K, published as 256 for up to 1,280 trials, scales with the budget; where the space has more stages
    than the budget carries, networks grow by several at a time. The first stage is K networks reached by walking down
    from random ones, not all there are. Of very many grown networks 500 are drawn for the predictor to rank, and
    20 of those that are only passed through. Networks
    that turn out to be known ones written larger (a dead edge more) are grown on without being tried. The predictor is
    fitted anew within a stage too. When nothing grows any more, the rest of the budget goes to mutants of the best and
    random networks, chosen by the same predictor (`_guided.Guided`). A person's trial joins the stage during which its
    result is told.
    """

    name = "pnas"
    summary = "Progressive: from small networks to large ones, a predictor picks which grow"
    reference = "Liu et al. 2018, Progressive Neural Architecture Search"
    group = "model"
    guide = (
        "Where small networks are cheap to train and tell what large ones will give. "
        "Where small ones tell little, or with fewer than fifty trials, another predictor-guided strategy finds more."
    )
    Options = Options

    def __init__(self, options: BaseModel, context: Context) -> None:
        super().__init__(options, context)
        self.step, self.beam = sizes(self.options, context)
        self.round = 0  # stages begun
        self.left = 0  # networks of this stage still to propose
        self.further = 0  # steps it took beyond the usual ones until something new came of this stage's parents
        self.ended = False  # nothing grows any more
        self.waiting: list[str] = []  # identities of this stage without an answer
        self.members: list[int] = []  # trials of this stage that have a result
        self.parents: list[int] = []  # trials that grow into this stage
        self.grew: list[int] = []  # all that ever did
        self._grown: dict[str, tuple[Architecture, int]] | None = None

    def predictor(self) -> Predictor:
        """The one that is chosen."""
        from engine.predictors.ensemble import Ensemble
        from engine.predictors.sequence import SequencePredictor
        from engine.predictors.trees import Trees

        kinds: dict[str, type[Predictor]] = {"sequence": SequencePredictor, "ensemble": Ensemble, "trees": Trees}
        return self._make(kinds[self.options.predictor], members=self.options.members)

    @property
    def rule(self) -> Worth:
        """The predicted loss alone while networks grow."""
        return super().rule if self.ended else "mean"

    # -- asked -------------------------------------------------------------------------------------
    def propose(self, number: int, rng: np.random.Generator) -> Proposal | Wait | Exhausted:
        """The next network of this stage; between stages it waits; after the last one, guided by the predictor."""
        while not self.ended:
            if self.left:
                found = self._small(rng) if self.round == 1 else self._child(number, rng)
                if found is not None:
                    self.left -= 1
                    self.waiting.append(self.context.identity(found.architecture))
                    return found
                self.left = 0  # fewer than the beam are new
            if self.round and self.waiting and self.under_way:
                return Wait(f"stage {self.round} of growing: {len(self.waiting)} networks have no result yet")
            self._next_stage()
        if not self._learn(number):
            return self._random(rng, f"random: {self.results} results to learn from")
        return self._best(self._candidates(rng), rng) or self._random(rng, "random: nothing new near the best")

    def _next_stage(self) -> None:
        """The best of this stage become the parents of the next one, or growing ends."""
        history = self.context.history
        self.waiting.clear()  # what was refused before it became a trial
        if self.round:
            ranked = self.rank([history[n] for n in self.members])
            self.parents = [e.number for e in ranked[: self.beam]]
            self.further, self._grown = 0, None
            # what grew into a network that is known (of equal function, say) is grown on, until something is new
            while (children := self._children()) and not any(self.fresh(a) for a, _ in children.values()):
                self.further, self._grown = self.further + 1, None
            if not children:
                self.ended = True
                return
            self.grew += self.parents
        self.round, self.left, self.members = self.round + 1, self.beam, []

    def _small(self, rng: np.random.Generator) -> Proposal | None:
        """A network of the first stage: down from a random one by changes that do not let it grow."""
        space = self.context.space
        for _ in range(PROBES):
            at = min((space.sample(rng) for _ in range(PROBES)), key=space.stage)
            stage = space.stage(at)
            for _ in range(STEPS):
                if stage == 1 and self.fresh(at):
                    break
                other = space.mutate(at, 1, rng)
                if (of_other := space.stage(other)) <= stage:
                    at, stage = other, of_other
            if self.fresh(at):
                return Proposal(at, why=f"stage 1 of growing: a small network (size {stage})", by=self.name)
        return None

    def _child(self, number: int, rng: np.random.Generator) -> Proposal | None:
        """The grown network with the best predicted loss."""
        fresh = [a for a, _ in self._children().values() if self.fresh(a)]
        if not fresh:
            return None
        if self._learn(number):
            found = self._best(fresh, rng)
            assert found is not None
            return replace(found, why=f"stage {self.round} of growing: {found.why}")
        at = fresh[int(rng.integers(len(fresh)))]
        parent = self._parent(at)
        parents = (parent.number,) if parent else ()
        return Proposal(at, parents=parents, why=f"stage {self.round} of growing: too few results", by=self.name)

    def _children(self) -> dict[str, tuple[Architecture, int]]:
        """What the parents grow into, by key: the network, and from whom; a function of parents and stage."""
        if self._grown is None:
            rng = np.random.default_rng([self.context.seed, self.round, 3])
            at = {self.context.history[n].architecture.key: (self.context.history[n].architecture, n)
                  for n in reversed(self.parents)}  # fmt: skip
            for steps in range(self.step + self.further):
                grown = {}
                for architecture, n in at.values():
                    children = self.context.space.grow(architecture)
                    drawn = rng.permutation(len(children))[:MOST_GROWN]
                    grown.update({children[i].key: (children[i], n) for i in sorted(drawn.tolist())})
                if not grown and 0 < steps < self.step:
                    break  # the last stage is nearer than a whole step
                keys, most = list(grown), MOST_GROWN if steps == self.step + self.further - 1 else BETWEEN
                at = {keys[i]: grown[keys[i]] for i in sorted(rng.permutation(len(keys))[:most].tolist())}
            known = {self.context.history[n].architecture.key for n in self.parents}
            self._grown = {key: child for key, child in at.items() if key not in known}
        return self._grown

    def _parent(self, found: Architecture) -> TrialEntry | None:
        """Who was grown; after the last stage, the nearest of the best."""
        if self.ended:
            return super()._parent(found)
        child = self._children().get(found.key)
        return None if child is None else self.context.history[child[1]]

    # -- told --------------------------------------------------------------------------------------
    def tell(self, entry: TrialEntry, report: Report) -> None:
        """It has its answer, and may grow if that is a result."""
        super().tell(entry, report)
        if entry.identity in self.waiting:
            self.waiting.remove(entry.identity)
        if not self.ended and report.failure is None and len(entry.reports) == 1:
            self.members.append(entry.number)

    # -- about it ----------------------------------------------------------------------------------
    @classmethod
    def supports(cls, space: SearchSpace, objectives: Sequence[Objective]) -> str | None:
        """Spaces that say how networks grow."""
        return space.unavailable.get("grow")

    @classmethod
    def sentence(cls, options: BaseModel, budget: Budget) -> str:
        """E.g. "networks grow from the smallest, a share of 30 trials at each stage, then mutants of the best"."""
        beam: int | None = getattr(options, "beam", None)
        share = f"{beam:,} of {budget.trials:,} trials" if beam else f"an equal share of {budget.trials:,} trials"
        return f"networks grow from the smallest stage on, {share} at each; then the most promising near the best"

    def state(self) -> dict[str, Any]:
        """The stage, and who has no answer yet."""
        return {
            **super().state(),
            "round": self.round,
            "left": self.left,
            "further": self.further,
            "ended": self.ended,
            "waiting": self.waiting,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Takes up a state made by `state`."""
        super().load(state)
        self.round, self.left, self.ended = int(state["round"]), int(state["left"]), bool(state["ended"])
        self.further = int(state["further"])
        self.waiting = list(state["waiting"])

    def arrays(self) -> Arrays:
        """Those of the predictor, and who belongs to the stage, grows into it, and ever grew."""
        trials = {"members": self.members, "parents": self.parents, "grew": self.grew}
        return {**super().arrays(), **{name: np.array(numbers, dtype=np.int64) for name, numbers in trials.items()}}

    def load_arrays(self, arrays: Arrays) -> None:
        """Takes up what `arrays` gave."""
        super().load_arrays(arrays)
        self.members, self.parents, self.grew = (arrays[k].tolist() for k in ("members", "parents", "grew"))

    def views(self) -> dict[str, dict[str, Any]]:
        """Stages, with what was tried at each and what grew; then the predictor's."""
        history, objective = self.context.history, self.context.objectives[0]
        grew = set(self.grew)
        rows = [
            [e.number, self.context.space.stage(e.architecture), value, "grew" if e.number in grew else "did not grow"]
            for e in history
            if (value := e.metrics().get(objective.metric)) is not None and e.values and np.isfinite(value)
        ]
        if not rows:
            return {}
        stages = view(
            "Stages: what was tried, and what grew", ["trial", "stage", objective.metric, "then"], thinned(rows),
            chart=scatter("stage", objective.metric, label="trial", group="then"),
            note=f"stage of the space; at most {self.beam} networks a stage",
        )  # fmt: skip
        return {"stages": stages, **super().views()}


def sizes(options: Any, context: Context) -> tuple[int, int]:
    """Stages of the space that networks grow by at a time, and the beam K; the last stage is that of some draws."""
    rng = np.random.default_rng([context.seed, 0, 2])
    last = max(context.space.stage(context.space.sample(rng)) for _ in range(PROBES))
    steps, trials = max(1, last - 1), context.budget.trials
    step = -(-steps // max(1, min(steps, trials // FEWEST - 1)))
    rounds = -(-steps // step)
    return step, options.beam or max(2, trials // (rounds + 2))
