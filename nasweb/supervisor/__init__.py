"""Runs the parts as one, for `manage.py up`, for `manage.py search run` and for the fault tests."""

from nasweb.supervisor.datadir import StackError, StackInfo, running_stack
from nasweb.supervisor.stack import Stack, interruptible

__all__ = ["Stack", "StackError", "StackInfo", "interruptible", "running_stack"]
