"""``manage.py prepare``: migrate, make the local user, collect static files, whichever is needed."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from nasweb.prepare import prepare


class Command(BaseCommand):
    """Bring the data directory up to date without starting anything."""

    help = "Migrate, make the local user and collect the static files, whichever is needed."

    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-web", action="store_true", help="leave the static files alone")

    def handle(self, *args: Any, **options: Any) -> None:
        prepare(web=not options["no_web"])
