"""Answers for scripts of the pages: JSON."""
