#!/usr/bin/env python
"""Entry of every command: ``manage.py up``, ``manage.py worker``, ``manage.py search run FILE`` and Django's own."""

import os
import sys


def main() -> None:
    """Run the command named on the command line."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "nasweb.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
