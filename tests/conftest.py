"""Root fixtures. Every test process has a data directory of its own; nothing here touches `var/`.

The database is SQLite in a file. ``NASWEB_TEST_POSTGRES=1 pytest -m postgres`` runs the same tests on a private
PostgreSQL. Django is set up while this file is imported, so that a conftest below it may import models.
"""

import atexit
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_KEPT = {"NASWEB_TEST_DATA", "NASWEB_TEST_STRICT", "NASWEB_TEST_POSTGRES", "NASWEB_TEST_POSTGRES_URL"}
# Short: sockets live in it, and their paths may have 107 bytes.
HOME = Path(tempfile.mkdtemp(prefix="nwt-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def _environment() -> None:
    """Set what the settings read, before anyone reads them."""
    for name in [name for name in os.environ if name.startswith("NASWEB_") and name not in _KEPT]:
        del os.environ[name]
    os.environ["DJANGO_SETTINGS_MODULE"] = "nasweb.settings"
    os.environ["NASWEB_DATA_DIR"] = str(HOME / "data")
    os.environ["NASWEB_STATIC_MANIFEST"] = "0"
    (HOME / "data").mkdir()
    if os.environ.get("NASWEB_TEST_POSTGRES", "0") not in {"", "0"}:
        if "NASWEB_TEST_POSTGRES_URL" not in os.environ:  # the first process starts it, xdist's workers share it
            from tests.postgres import PostgresServer

            server = PostgresServer(HOME / "pg")
            server.start()
            atexit.register(server.stop)
            os.environ["NASWEB_TEST_POSTGRES_URL"] = server.url("postgres")
        os.environ["NASWEB_DATABASE_URL"] = os.environ["NASWEB_TEST_POSTGRES_URL"]


_environment()

import django  # noqa: E402

django.setup()

from django.conf import settings  # noqa: E402

from nasweb.supervisor import Stack  # noqa: E402
from nasweb.supervisor.embedded_redis import redis_answers, redis_child  # noqa: E402
from tests.prepared import furnish  # noqa: E402
from tests.waiting import wait_until  # noqa: E402


def chromium() -> str | None:
    """A browser for the tests: the system's, or the one that Playwright has installed; None if there is neither."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    caches = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    for pattern in ("chromium-*/chrome-linux*/chrome", "chromium-*/chrome-mac*/Chromium.app/Contents/MacOS/Chromium"):
        for path in sorted(caches.glob(pattern), reverse=True):
            return str(path)
    return None


#: files that take longest, the longest first; they begin, so that the workers of a parallel run end together
_BEGIN = (
    *("test_processes.py", "test_supervisor.py", "faults/test_trials.py", "test_search_page.py", "test_live.py"),
    *("faults/test_races.py", "browser/test_spaces.py", "test_core_scripts.py", "test_form.py"),
    *("test_contract.py", "test_support.py", "test_search_command.py", "test_files.py", "test_network.py"),
    *("test_lifecycle.py", "test_claims.py"),
)


#: stages of their own, which do not look for tests of the engine
_STAGES = ("postgres", "faults", "browser")


def _place(item: pytest.Item) -> int:
    """When the test's file begins."""
    path = item.path.as_posix()
    return next((i for i, name in enumerate(_BEGIN) if path.endswith(f"/{name}")), len(_BEGIN))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with long files; skip what this machine cannot run, each kind with one reason."""
    items.sort(key=_place)
    for item in items:
        if "/tests/engine/" in item.path.as_posix() and (wrong := set(_STAGES) & {m.name for m in item.iter_markers()}):
            raise pytest.UsageError(f"{item.nodeid}: make test would not run a test of the engine marked {wrong}")
    browser_missing = chromium() is None
    for item in items:
        if browser_missing and item.get_closest_marker("browser"):
            item.add_marker(
                pytest.mark.skip(reason="no Chromium: apt-get install chromium, or: playwright install chromium")
            )
        if item.get_closest_marker("gpu") and not Path("/proc/driver/nvidia/version").exists():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Workers of a parallel run make their own data directory before anybody reads the settings.

    With this variable inherited, pytest-django would read them earlier, and all workers would share this process's one.
    """
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


#: tests may be skipped for these everywhere; for anything else not in continuous integration (`NASWEB_TEST_STRICT=1`)
_MAY_SKIP = ("NASWEB_TEST_DATA", "no CUDA device", "about SQLite")


def _skipped(session: pytest.Session) -> list[str]:
    """Reasons of skipped tests, one each."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    return [] if reporter is None else [str(r.longrepr[2]) for r in reporter.stats.get("skipped", [])]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In continuous integration a test that this machine cannot run is a failure."""
    wrong = [reason for reason in _skipped(session) if not any(word in reason for word in _MAY_SKIP)]
    if wrong and os.environ.get("NASWEB_TEST_STRICT", "0") not in {"", "0"} and session.exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How many tests the absent data cost."""
    reasons = [str(r.longrepr[2]) for r in terminalreporter.stats.get("skipped", [])]
    absent = sum("NASWEB_TEST_DATA" in reason for reason in reasons)
    terminalreporter.write_line(f"{absent} tests skipped because data is absent (NASWEB_TEST_DATA)")
    if others := sorted({r for r in reasons if not any(word in r for word in _MAY_SKIP)}):
        terminalreporter.write_line(f"skipped for other reasons, wrong where NASWEB_TEST_STRICT=1: {'; '.join(others)}")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of bigger real data sets; skips the test where it is absent."""
    if not settings.TEST_DATA.is_dir():
        pytest.skip(f"NASWEB_TEST_DATA is absent: {settings.TEST_DATA}")
    return Path(settings.TEST_DATA)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """A real private Redis where the settings expect it; gives its URL."""
    child = redis_child(settings.DATA_DIR, log_path=HOME / "redis.log", env=dict(os.environ))
    child.start()
    try:
        wait_until(lambda: redis_answers(settings.REDIS_SOCKET), "Redis answers")
        yield settings.REDIS_URL
    finally:
        child.kill_group()
        child.wait(5)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A private PostgreSQL (`tests.postgres.PostgresServer`) for tests that start whole stacks on it."""
    from tests.postgres import PostgresServer

    server = PostgresServer(Path(tempfile.mkdtemp(prefix="nwpg-")) / "pg")
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder.parent, ignore_errors=True)


@pytest.fixture
def stack_folder() -> Iterator[Path]:
    """An empty data directory with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="nws-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_stack(stack_folder: Path) -> Iterator[Callable[..., Stack]]:
    """Starts stacks (`nasweb.supervisor.Stack`) in data directories of their own; stops them after the test.

    ``make_stack(env={"NASWEB_LEASE_S": "2"}, workers=1)`` gives a running one on a free port. Leases and intervals
    are short unless `env` says otherwise.
    """
    running: list[Stack] = []

    def make(data_dir: Path | None = None, *, env: dict[str, str] | None = None, **options: Any) -> Stack:
        quick = {"NASWEB_LEASE_S": "3", "NASWEB_HEARTBEAT_S": "0.5", "NASWEB_REAP_S": "0.5"}
        if data_dir is None:
            data_dir = stack_folder / f"s{len(running)}"
            if "NASWEB_DATABASE_URL" not in (env or {}):
                furnish(data_dir)
        stack = Stack(data_dir, env={**quick, **(env or {})}, **options)
        stack.__enter__()
        running.append(stack)
        return stack

    yield make
    for stack in running:
        stack.__exit__(None, None, None)


@pytest.fixture
def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium driven by Playwright; its tests are marked ``browser``."""
    from playwright.sync_api import sync_playwright

    # Playwright's synchronous interface runs an event loop in this thread, which Django would refuse to work beside.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    with sync_playwright() as playwright:
        chrome = playwright.chromium.launch(
            executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"], headless=True
        )
        yield chrome
        chrome.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
