"""Signals of processes that tests start."""

import signal


def as_a_shell_starts_it() -> None:
    """For `preexec_fn`: interrupts and hang-ups do what they do by default.

    Where the tests themselves were started with signals ignored (nohup, `&` in a script), their children would ignore
    them too.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
