"""Importing this module imports every plug-in: for fork servers, which are told nothing but modules.

A child that is forked after that reads its config without importing some hundred files first.
"""

import contextlib

from engine import catalog

# Whoever needs a plug-in that cannot be loaded is told why then; a fork server that fails could tell nobody.
with contextlib.suppress(Exception):
    catalog.load()
