"""Data directories to begin with, so that not every stack of a test migrates a database first."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

from django.conf import settings


@cache
def _prepared() -> Path:
    """A data directory whose database is up to date, made once in each test process."""
    folder = Path(settings.DATA_DIR).with_name("prepared")
    env = {k: v for k, v in os.environ.items() if k != "NASWEB_DATABASE_URL"} | {"NASWEB_DATA_DIR": str(folder)}
    subprocess.run([sys.executable, "manage.py", "prepare", "--no-web"], cwd=settings.BASE_DIR, env=env, check=True)
    return folder


def furnish(data_dir: Path) -> None:
    """Makes `data_dir` as it is after its first start: on SQLite, with all tables."""
    shutil.copytree(_prepared(), data_dir)
