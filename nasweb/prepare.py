"""What must be true before anything serves: tables, the local person, a marked storage, static files."""

import logging

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from nasweb.accounts import ensure_local_user
from nasweb.static_files import sources_fingerprint
from searches.services.canary import canary_write

log = logging.getLogger(__name__)


def prepare(*, web: bool) -> None:
    """Migrate, make the local user, mark the storage, collect static files (for `web`); each only when needed."""
    settings.DATA_DIR.mkdir(parents=True, exist_ok=True)
    settings.MEDIA_ROOT.mkdir(parents=True, exist_ok=True)
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        log.info("migrating the database")
        call_command("migrate", verbosity=0, interactive=False)
    ensure_local_user()
    canary_write()
    if web and settings.STATIC_MANIFEST:
        _collect_static()
    connection.close()


def _collect_static() -> None:
    """Hash and compress the static files into STATIC_ROOT, unless the last time saw the same sources."""
    stamp = settings.STATIC_ROOT / ".collected"
    fingerprint = sources_fingerprint()
    if stamp.is_file() and stamp.read_text() == fingerprint:
        return
    log.info("collecting static files")
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(fingerprint)
