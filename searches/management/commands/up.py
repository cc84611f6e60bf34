"""``manage.py up``: everything this needs, in one terminal, until Ctrl-C."""

import os
import signal
import sys
import time
import webbrowser
from argparse import ArgumentTypeError
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from nasweb.accounts import ensure_local_user, login_once_url
from nasweb.supervisor import Stack, StackError
from nasweb.supervisor.parent import Parent


def _count(text: str) -> int:
    if not text.isdigit() or int(text) > 256:
        raise ArgumentTypeError(f"must be a whole number from 0 to 256, not {text!r}")
    return int(text)


class Command(BaseCommand):
    """Start Redis, the workers, beat and the web server; look after them; stop them together."""

    help = "Run everything: the web server, the workers and a private Redis, until Ctrl-C."
    requires_system_checks = ["staticfiles"]
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="default: NASWEB_PORT or 8000")
        parser.add_argument(
            "--workers", type=_count, default=None, help="trial workers (default: one per GPU, or one for the CPU)"
        )
        parser.add_argument(
            "--concurrency", type=_count, default=None, help="trials at a time in each (default: cores, or 1 on a GPU)"
        )
        parser.add_argument("--no-browser", action="store_true", help="only print the link, do not open it")
        parser.add_argument("--verbose", action="store_true", help="show every line of the logs, not only errors")

    def handle(self, *args: Any, **options: Any) -> None:
        began = time.monotonic()
        parent = Parent()
        stack = Stack(
            settings.DATA_DIR,
            port=options["port"],
            workers=options["workers"],
            concurrency=options["concurrency"] or None,
            host=settings.HOST,
            say=self._say,
            verbose=options["verbose"],
        )

        def on_signal(_number: int, _frame: object) -> None:
            stack.interrupt()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, on_signal)
        try:
            stack.start()
        except StackError as error:
            if stack.interrupted:
                return
            raise CommandError(str(error)) from error
        try:
            self._greet(stack, seconds=time.monotonic() - began, browser=not options["no_browser"])
            while not stack.interrupted and not parent.is_leaving():
                stack.poll()
                time.sleep(0.1)
            self._say("stopping ...")
        finally:
            stack.stop()

    def _greet(self, stack: Stack, *, seconds: float, browser: bool) -> None:
        link = login_once_url(ensure_local_user(), port=stack.port or 0)
        self._say(
            f"nasweb is up after {seconds:.1f} s, data in {settings.DATA_DIR}, logs in {stack.logs}\n\n"
            f"  Open (logs you in, once):  {link}\n\n"
            "Ctrl-C stops everything; running searches go on at the next start."
        )
        if browser and sys.stdout.isatty() and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(link)

    def _say(self, line: str) -> None:
        try:
            self.stdout.write(line)
            self.stdout.flush()
        except OSError:  # the terminal has been closed; stopping in order matters more
            self.stdout._out = open(os.devnull, "w")  # noqa: SIM115, PTH123
