"""Running races in pieces of about a second, in the control worker, one piece at a time.

A race must not keep a search waiting: of the control worker's two threads at most one is at a race, never longer than a
piece (and one step of a strategy), and the next piece goes to the end of the queue. The run under way lives in memory;
after a restart it begins again from its seed, to the same end. A piece that finds another one at work leaves it to that
one to send the next message, so that messages never multiply.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db.models import F, Q
from django.db.models.functions import Now
from django.db.utils import InterfaceError, OperationalError

from engine.arena import entrants
from engine.arena import race as arena
from engine.arena.figures import figures
from engine.errors import EngineError
from searches.models import Race, RaceRun
from searches.services.enqueue import race_enqueue
from searches.services.race_problems import problem_of

log = logging.getLogger(__name__)
#: seconds of a piece
PIECE_S = 1.0
#: figures of a race that goes on are drawn again after so many seconds of its own
DRAW_S = 4.0
#: races whose run under way is kept in memory
KEPT = 4

_turn = threading.Lock()
_courses: dict[int, Course] = {}


class Course:
    """Where one race stands in this process.

    Attributes:
        race_id: of the race.
        out: entrants that failed, and why.
    """

    def __init__(self, race: Race) -> None:
        self.race_id = race.pk
        self.problem = problem_of(race)
        self.budget = race.budget
        self.out: dict[str, str] = dict(race.failures)
        self.drawn_at = 0.0
        done = set(race.runs.values_list("entrant", "seed"))
        # seed by seed, so that what is seen on the way compares like with like
        self._left = [(e, s) for s in range(race.seeds) for e in race.entrants if (e, s) not in done]
        self._left.reverse()
        self._name, self._seed = "", 0
        self._steps: Iterator[arena.Run] | None = None
        self._so_far: arena.Run | None = None

    @property
    def over(self) -> bool:
        """Whether nothing is left to run."""
        return self._steps is None and not self._left

    def step(self) -> tuple[str, int, arena.Run] | None:
        """One query of the run under way; gives the run when that was its last."""
        if self._steps is None:
            self._name, self._seed = self._left.pop()
            if self._name in self.out:
                return None
            self._so_far = None
        try:
            if self._steps is None:
                entrant = entrants.named(self._name)
                self._steps = arena.steps(self.problem, entrant, self.budget, self._seed)
            self._so_far = next(self._steps)
            return None
        except StopIteration:
            self._steps = None
            run = self._so_far or arena.Run(self._seed)
            return self._name, self._seed, run
        except Exception as e:  # whatever a strategy raises costs it its place, and nobody else anything
            log.warning("race %s: %s is out: %s", self.race_id, self._name, e, exc_info=True)
            self._steps = None
            self.out[self._name] = f"{type(e).__name__}: {e}"[:500]
            return None


def race_piece(*, race_id: int, claim: int, seconds: float = PIECE_S) -> bool:
    """Runs a race for a moment, then asks for the next piece of whichever race has waited longest.

    Returns:
        Whether this message was worth anything.
    """
    if not _turn.acquire(blocking=False):
        return False
    try:
        worth, go_on = _piece(race_id, claim, seconds)
    finally:
        _turn.release()
    if go_on:  # only now: the next message may be there at once, and must find the turn free
        next_send()
    return worth


def _piece(race_id: int, claim: int, seconds: float) -> tuple[bool, bool]:
    """(whether the message was worth anything, whether another one is to be sent)."""
    mine = Race.objects.filter(pk=race_id, claim=claim, state__in=Race.LIVE)
    if not mine.update(claim=F("claim") + 1, state=Race.State.RUNNING, beat_at=Now()):
        over = not Race.objects.filter(pk=race_id, state__in=Race.LIVE).exists()
        if over:  # it was stopped: the others go on
            _courses.pop(race_id, None)
        return False, over
    race = Race.objects.select_related("table").get(pk=race_id)
    try:
        _run(race, seconds)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the reaper sends the message again
    except Exception as e:
        if not isinstance(e, EngineError):
            log.exception("race %s failed", race_id)
        _courses.pop(race_id, None)
        words = str(e) if isinstance(e, EngineError) else f"{type(e).__name__}: {e}"
        _mine(race).update(state=Race.State.FAILED, reason=words, ended_at=Now())
    return True, True


def _mine(race: Race):  # noqa: ANN202 - a queryset of races
    """The race as long as this piece holds it and nobody has stopped it."""
    return Race.objects.filter(pk=race.pk, claim=race.claim, state=Race.State.RUNNING)


def _run(race: Race, seconds: float) -> None:
    began = time.monotonic()
    course = _courses.pop(race.pk, None) or Course(race)
    _courses[race.pk] = course  # the newest last
    while len(_courses) > KEPT:
        del _courses[next(iter(_courses))]
    finished: list[RaceRun] = []
    while not course.over and time.monotonic() - began < seconds:
        if (done := course.step()) is not None:
            name, seed, run = done
            finished.append(RaceRun(race=race, entrant=name, seed=seed, result=run.to_json()))
    RaceRun.objects.bulk_create(finished, ignore_conflicts=True)
    changes = {
        "n_done": RaceRun.objects.filter(race=race).count(), "failures": course.out, "beat_at": Now(),
        "spent_s": F("spent_s") + time.monotonic() - began,
    }  # fmt: skip
    if course.over or (changes["n_done"] > race.n_drawn and time.monotonic() - course.drawn_at > DRAW_S):
        runs = list(RaceRun.objects.filter(race=race))
        found: dict[str, list[arena.Run]] = {name: [] for name in race.entrants}
        for row in runs:
            found[row.entrant].append(arena.Run.from_json(row.result))
        changes |= {"figures": figures(course.problem, found, race.budget), "n_drawn": len(runs)}
        course.drawn_at = time.monotonic()
    if course.over:
        failed = len(course.out) == len(race.entrants)
        changes |= {
            "state": Race.State.FAILED if failed else Race.State.COMPLETED, "ended_at": Now(),
            "reason": "Every strategy failed." if failed else "",
        }  # fmt: skip
        _courses.pop(race.pk, None)
    _mine(race).update(**changes)


def next_send() -> bool:
    """Asks for a piece of the race that has waited longest; False if there is none."""
    waiting = Race.objects.filter(state__in=Race.LIVE).order_by(F("beat_at").asc(nulls_first=True), "pk")
    race = waiting.values_list("pk", "claim").first()
    return race is not None and race_enqueue(*race)


def races_reap() -> bool:
    """Gets races going again whose last message was lost; True if one was sent."""
    # too early does no harm: one of two messages finds the claim raised
    quiet = Now() - timedelta(seconds=2 * settings.REAP_S + 3 * PIECE_S)
    live = Race.objects.filter(state__in=Race.LIVE)
    if live.filter(beat_at__gte=quiet).exists():
        return False
    if not live.filter(Q(beat_at__lt=quiet) | Q(beat_at=None, created_at__lt=quiet)).exists():
        return False
    return next_send()
