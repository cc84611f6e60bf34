"""One running stack with its remote control, shared by the tests of a module where they do not take it apart."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nasweb.supervisor import Stack
from tests.faults.remote import Remote
from tests.prepared import furnish

#: short, so that nobody waits a minute for a lease
QUICK = {
    "NASWEB_LEASE_S": "2",
    "NASWEB_HEARTBEAT_S": "0.4",
    "NASWEB_REAP_S": "0.5",
    "NASWEB_PROGRESS_S": "0.1",
    "NASWEB_GRACE_S": "2",
    "NASWEB_CHECKPOINT_S": "0.1",
    "NASWEB_PLUGINS": "tests.plugins",
}
#: acted trainings need no torch, and a worker that must load it comes back late
WITHOUT_TORCH = {"PYTHONPATH": str(Path(__file__).with_name("without_torch"))}


class Site:
    """A stack, its remote control, and a folder for the acted trainings.

    Args:
        home: Where its files lie.
        torch: Whether its fork servers load torch, as they do for real trainings.
        options: See `Stack`.
    """

    def __init__(self, home: Path, *, torch: bool = False, **options: Any) -> None:
        self.folder = home / "acted"
        self.folder.mkdir()
        env = {**QUICK, **({} if torch else WITHOUT_TORCH), **options.pop("env", {})}
        if "NASWEB_DATABASE_URL" not in env:
            furnish(home / "d")
        self.stack = Stack(home / "d", env=env, **{"web": False, "workers": 1, "concurrency": 2, **options})
        self.stack.__enter__()
        self.remote = Remote(self.stack.env)
        self._runs = 0

    def close(self) -> None:
        """Stops everything."""
        self.remote.close()
        self.stack.__exit__(None, None, None)

    def start(self, *, trials: int = 4, epochs: int = 6, acted: dict[str, Any] | None = None, **config: Any) -> Run:
        """Starts a search whose trainings are acted."""
        self._runs += 1
        folder = self.folder / str(self._runs)
        folder.mkdir()
        evaluator = {"name": "acted", "folder": str(folder), **(acted or {})}
        budget = {"trials": trials, "epochs": epochs}
        given = {"budget": budget, "evaluator": evaluator, "final": {"enabled": False}, **config}
        return Run(self, folder, int(self.remote.create(config=given)["id"]))


class Run:
    """One search on a site."""

    def __init__(self, site: Site, folder: Path, id: int) -> None:
        self.site, self.folder, self.id = site, folder, id

    def ended(self, **options: Any) -> dict[str, Any]:
        """See `Remote.ended`."""
        return self.site.remote.ended(self.id, **options)

    def until(self, condition: Callable[[dict[str, Any]], Any], what: str, **options: Any) -> dict[str, Any]:
        """See `Remote.until`."""
        return self.site.remote.until(self.id, condition, what, **options)

    def look(self) -> dict[str, Any]:
        """The search now."""
        return dict(self.site.remote.look(search=self.id))

    def act(self, action: str, **arguments: Any) -> Any:
        """What a person does."""
        return self.site.remote.act(action=action, search=self.id, **arguments)

    def child(self, trial: int) -> int:
        """Process id of the last child of a trial."""
        return int((self.folder / f"pid-{trial}").read_text())

    def executed(self) -> list[tuple[int, int, int]]:
        """(trial, epoch, process) of every epoch that was executed, in order."""
        path = self.folder / "executed"
        text = path.read_text() if path.exists() else ""
        return [tuple(map(int, line.split())) for line in text.splitlines() if line.count(" ") == 2]  # type: ignore[misc]


@pytest.fixture
def make_site() -> Iterator[Callable[..., Site]]:
    """Makes sites of one's own; stopped after the test."""
    made: list[tuple[Site, Path]] = []

    def make(**options: Any) -> Site:
        home = Path(tempfile.mkdtemp(prefix="nwf-"))
        site = Site(home, **options)
        made.append((site, home))
        return site

    yield make
    for site, home in made:
        site.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """One site for a module's tests; with torch where the module says ``TORCH = True``."""
    home = Path(tempfile.mkdtemp(prefix="nwf-"))
    made = Site(home, torch=getattr(request.module, "TORCH", False))
    yield made
    made.close()
    shutil.rmtree(home, ignore_errors=True)
