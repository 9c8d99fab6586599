"""Become a command that ends with its parent: ``python tether.py PARENT PIPE COMMAND...``, run by its path.

With PIPE below zero, the kernel sends SIGTERM when the parent dies (Linux). Otherwise PIPE is the reading end of a pipe
that only the parent holds open. A small watcher beside the command waits for it to close (macOS). In both cases the
command keeps this process's id. The module imports no Headrace code: it costs about 11 ms.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
LOOK = 0.2
"""Seconds between two checks of the command by the watcher."""
GRACE = 10.0
"""Seconds that the command has to end after SIGTERM."""

MOST = 4096
"""A number above every file descriptor that a command inherits. The system's own limit may be a billion."""


def main(arguments: list[str]) -> None:
    """Tie this process to its parent, then execute the command."""
    parent, pipe, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    if pipe < 0:
        _tie_by_kernel(parent)
    else:
        _tie_by_pipe(pipe)
    os.execv(command[0], command)  # noqa: S606


def _tie_by_kernel(parent: int) -> None:
    import ctypes  # noqa: PLC0415  (only where it is needed: a third of the start)

    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0):
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:
        sys.exit("the parent has ended already")


def _tie_by_pipe(pipe: int) -> None:
    command = os.getpid()
    if os.fork():
        os.close(pipe)
        return
    os.closerange(0, pipe)
    os.closerange(pipe + 1, MOST)
    _watch(pipe, command)
    os._exit(0)


def _watch(pipe: int, command: int) -> None:
    """Return when the command has ended. It is this process's parent, so its end changes the parent id."""
    while os.getppid() == command:
        if select.select([pipe], [], [], LOOK)[0]:
            _end(command)
            return


def _end(command: int) -> None:
    os.kill(command, signal.SIGTERM)
    last = time.monotonic() + GRACE
    while os.getppid() == command:
        if time.monotonic() > last:
            os.kill(command, signal.SIGKILL)
            return
        time.sleep(LOOK)


if __name__ == "__main__":
    main(sys.argv[1:])
