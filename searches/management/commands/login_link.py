"""``manage.py login_link``: a fresh link that logs the local person in once."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from nasweb.accounts import ensure_local_user, login_once_url
from nasweb.supervisor import running_stack


class Command(BaseCommand):
    """Print a one-time login link for the stack that runs on this data directory (or NASWEB_PORT)."""

    help = "Print a link that logs the local user in once."

    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        running = running_stack(settings.DATA_DIR)
        port = running.port if running and running.port else settings.PORT
        self.stdout.write(login_once_url(ensure_local_user(), port=port))
