"""Become another program that cannot outlive the process that started it.

    python -I -S launch.py PARENT_PID SIGNAL LOCK UID -- PROGRAM ARGUMENT...

Run as a script, without this project on its path, so that it costs 10 ms and no import. It exists because the
alternative, `preexec_fn`, runs Python between fork and exec of a process with threads, which can deadlock.

* SIGNAL (a number) is what the kernel sends when the parent's thread ends, however it ends (Linux; elsewhere nothing).
* LOCK is a file to be locked first, or "-": the lock stays with the program until it has really gone, so that a second
  Redis waits for the first one's last write instead of stealing its socket.
* UID is the user to become, or "-" (PostgreSQL refuses to run as root). The kernel forgets the signal when the user
  changes, so that comes first.
"""

import contextlib
import ctypes
import os
import sys
import time

_PR_SET_PDEATHSIG = 1
_LOCK_PATIENCE_S = 15.0
EXIT_LOCKED = 75  # EX_TEMPFAIL


def lock(path: str) -> None:
    """Hold a lock on the file at `path`, inherited by whatever this process becomes; exit if it does not come free."""
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if time.monotonic() > deadline:
                sys.stderr.write(f"{path} is still held by another process after {_LOCK_PATIENCE_S:g} s\n")
                sys.exit(EXIT_LOCKED)
            time.sleep(0.02)
    os.set_inheritable(descriptor, True)


def die_with_parent(parent: int, signal_number: int) -> None:
    """Ask the kernel for `signal_number` when the parent ends; leave now if it has ended already."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def main(arguments: list[str]) -> None:
    """Do as the module's text says; does not return."""
    parent, signal_number, lock_path, uid = arguments[:4]
    command = arguments[5:]
    if uid != "-":
        with contextlib.suppress(PermissionError):
            os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    die_with_parent(int(parent), int(signal_number))
    if lock_path != "-":
        lock(lock_path)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
