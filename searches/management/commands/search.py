"""`manage.py search run|resume|list|show|stop|export`: searches without a browser."""

from __future__ import annotations

import contextlib
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from django.core.management.base import BaseCommand, CommandError
from django.db.utils import OperationalError

from engine.config import SearchConfig
from searches import cli
from searches.models import Search, Trial
from searches.selectors.searches import search_get, searches_of
from searches.services import finals, lifecycle
from searches.services.writing import Rejected


class Command(BaseCommand):
    """Runs searches from files, and looks at those that are stored."""

    help = "Run, list, show, stop and export searches, on the running stack or on parts started for the purpose."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        """One sub-command per action."""
        actions = parser.add_subparsers(dest="action", required=True, metavar="run|resume|list|show|stop|export")
        run = actions.add_parser("run", help="run the search a YAML file describes; exits 0 only if it completed")
        run.add_argument("file", type=Path, metavar="FILE")
        run.add_argument("--name", help="instead of the file's")
        run.add_argument("--seed", type=int, help="instead of the file's")
        resume = actions.add_parser("resume", help="go on with a search that is paused, or follow one that runs")
        resume.add_argument("id", type=int, metavar="ID")
        for sub in (run, resume):
            sub.add_argument("--follow", action="store_true", help="show progress (a bar on a terminal)")
            sub.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        listing = actions.add_parser("list", help="all searches, the newest first")
        listing.add_argument("--json", action="store_true", help="one JSON object a line")
        show = actions.add_parser("show", help="how a search stands")
        show.add_argument("id", type=int, metavar="ID")
        show.add_argument("--json", action="store_true")
        stop = actions.add_parser("stop", help="end a search at once")
        stop.add_argument("id", type=int, metavar="ID")
        stop.add_argument("--finish", action="store_true", help="keep the results, train the winner, then complete")
        export = actions.add_parser("export", help="copy the verified bundle of the best trial, or of one by number")
        export.add_argument("id", type=int, metavar="ID")
        export.add_argument("trial", type=int, nargs="?", metavar="TRIAL")
        export.add_argument("--output", type=Path, help="where to write the zip (default: NAME-TRIAL.zip here)")
        export.add_argument("--train", action="store_true", help="train it fully first, where that was not done yet")

    def handle(self, *args: Any, **options: Any) -> None:
        """Does the action.

        Raises:
            CommandError: nothing came of it; the message says why.
        """
        given = Namespace(**options)
        getattr(self, f"_{given.action}")(given)

    # -- actions --------------------------------------------------------------------------------------------------
    def _run(self, given: Namespace) -> None:
        try:
            config = cli.read_config(given.file, name=given.name, seed=given.seed)
        except cli.FileErrors as e:
            raise CommandError("\n".join(e.lines), returncode=2) from e
        with self._working() as engine:
            search = lifecycle.search_create(owner=_owner(), config=config, start=True)
            self._follow(search, config, engine, given)

    def _resume(self, given: Namespace) -> None:
        with self._working() as engine:
            search = self._search(given.id)
            if search.state == Search.State.PAUSED:
                lifecycle.search_resume(search=search, by=_owner())
            elif search.state == Search.State.DRAFT:
                lifecycle.search_start(search=search, by=_owner())
            self._follow(search, SearchConfig.parse(search.config), engine, given)

    def _list(self, given: Namespace) -> None:
        for search in searches_of(_owner()).select_related("best").order_by("-id"):
            if given.json:
                self.stdout.write(cli.as_json(cli.outcome(search, duration_s=search.ran_s)))
                continue
            accuracy = search.best.accuracy if search.best else None
            best = f"best {100 * accuracy:.1f} %" if accuracy is not None else ""
            when = search.created_at.strftime("%Y-%m-%d %H:%M")
            self.stdout.write(
                f"{search.pk:>5}  {search.state:<10} {search.n_trials:>6} trials  {best:<12} {when}  {search.name}"
            )

    def _show(self, given: Namespace) -> None:
        search = self._search(given.id)
        if given.json:
            self.stdout.write(cli.as_json(cli.outcome(search, duration_s=search.ran_s)))
            return
        for line in cli.summary(search):
            self.stdout.write(line)
        leaders = search.trials.filter(accuracy__isnull=False).order_by("-fidelity", "-accuracy", "number")[:10]
        for trial in leaders:
            fields = ("number", "name", "state", "accuracy", "n_wrong", "n_samples", "fidelity", "reason")
            self.stdout.write("   " + cli.trial_line({f: getattr(trial, f) for f in fields}))

    def _stop(self, given: Namespace) -> None:
        search = self._search(given.id)
        if search.ended:
            self.stdout.write(f"search {search.pk} has ended already: {search.state}")
            return
        act = lifecycle.search_finish if given.finish else lifecycle.search_cancel
        try:
            act(search=search, by=_owner())
        except Rejected as e:
            raise CommandError(str(e)) from e
        self.stdout.write(f"search {search.pk}: {self._search(given.id).state}")

    def _export(self, given: Namespace) -> None:
        search = self._search(given.id)
        trial = self._trial(search, given.trial)
        if given.train and cli.bundle_of(trial) is None:
            with self._working() as engine:
                try:
                    finals.trial_train_fully(trial=trial, by=_owner())
                except finals.FinalRefused as e:
                    raise CommandError(str(e)) from e
                trial = cli.wait_final(trial.pk, engine)
        found = cli.bundle_of(trial)
        if found is None:
            why = trial.final_reason or (
                f"trial {trial.number} has not been trained fully: "
                f"python manage.py search export {search.pk} {trial.number} --train"
            )
            raise CommandError(f"no bundle: {why}")
        path = cli.copy_bundle(found, given.output or Path(f"search-{search.pk}-trial-{trial.number}.zip"))
        self.stdout.write(str(path))

    # -- parts ----------------------------------------------------------------------------------------------------
    @contextlib.contextmanager
    def _working(self) -> Iterator[cli.Engine]:
        """A stack for the block; what goes wrong with it is said, not raised as a traceback."""
        from nasweb.supervisor import StackError, interruptible

        try:
            with interruptible(), cli.engine_running(self.stderr.write) as engine:
                yield engine
        except StackError as e:
            raise CommandError(str(e)) from e

    def _follow(self, search: Search, config: SearchConfig, engine: cli.Engine, given: Namespace) -> None:
        progress = sys.stderr if given.json else sys.stdout
        reporter = cli.Reporter()
        if given.follow:
            terminal = progress.isatty()
            reporter = cli.Bar(progress, config.budget.trials) if terminal else cli.Lines(progress)
        if not given.json:
            own = "its own workers" if engine.stack else "the running stack"
            self.stdout.write(f"search {search.pk} “{search.name}”: {config.budget.trials} trials, on {own}")
            self.stdout.flush()
        try:
            ended = cli.follow(search.pk, engine, reporter)
        except KeyboardInterrupt:
            self._interrupted(search, engine)
            raise CommandError("interrupted", returncode=130) from None
        if given.json:
            self.stdout.write(cli.as_json(cli.outcome(ended, duration_s=_since_enter())))
            self.stdout.flush()
        else:
            for line in cli.summary(ended):
                self.stdout.write(line)
        if ended.state != Search.State.COMPLETED:
            raise CommandError(f"search {ended.pk} {ended.state}: {ended.reason}", returncode=1)

    def _interrupted(self, search: Search, engine: cli.Engine) -> None:
        """Ctrl-C: a search on a running stack goes on; one on this command's own parts is paused with them."""
        if engine.stack is None:
            self.stderr.write(
                f"search {search.pk} goes on. Look: manage.py search show {search.pk}; "
                f"end it: manage.py search stop {search.pk}"
            )
            return
        current = self._search(search.pk)
        if not current.ended:
            with contextlib.suppress(Rejected):
                lifecycle.search_pause(search=current, by=_owner())
        self.stderr.write(
            f"search {search.pk} is paused, nothing is lost. Go on: manage.py search resume {search.pk} --follow, "
            "or make run and press Resume"
        )

    def _search(self, number: int) -> Search:
        try:
            return search_get(user=_owner(), id=number)
        except Search.DoesNotExist:
            raise CommandError(f"there is no search {number}: manage.py search list shows all") from None
        except OperationalError as e:
            raise CommandError(f"the database is not ready ({e}): run a search or make run first") from e

    def _trial(self, search: Search, number: int | None) -> Trial:
        wanted = number or (search.winners[0] if search.winners else None) or (search.best and search.best.number)
        if wanted is None:
            raise CommandError(f"search {search.pk} has no best trial yet")
        trial = search.trials.filter(number=wanted).select_related("search").first()
        if trial is None:
            raise CommandError(f"search {search.pk} has no trial {wanted}; it has 1 to {search.n_trials}")
        return trial


def _owner() -> Any:
    from nasweb.accounts import ensure_local_user

    return ensure_local_user()


def _since_enter() -> float:
    """Seconds since this process was started."""
    return time.time() - psutil.Process().create_time()
