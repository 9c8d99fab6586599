"""A worker that owns the terminal, so that ``breakpoint()`` in an agent works (``headrace dev --debug``).

The worker is the terminal's foreground process group. So it may read the terminal, and Ctrl-C reaches only the worker.
In a debugger Ctrl-C interrupts the debugger; otherwise the worker passes it on to its parent, which stops everything.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType

from streams.engine.loop_watch import held_by_a_person

SESSION_MS = 1_800_000
"""The session of a worker that may be paused: the longest that a broker accepts unless configured."""


def hand_over(terminal: int, group: int) -> None:
    """Make *group* the terminal's foreground group. A process in the background may do so if it ignores SIGTTOU."""
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    with suppress(OSError):  # the group has ended, or the terminal is gone
        os.tcsetpgrp(terminal, group)


@contextmanager
def lent_terminal(group: int) -> Generator[None]:
    """Lend the terminal on standard input to *group* for the block."""
    terminal = sys.stdin.fileno()
    hand_over(terminal, group)
    try:
        yield
    finally:
        hand_over(terminal, os.getpgrp())


def take_interrupts() -> None:
    """Handle Ctrl-C as described above, and ignore Ctrl-Z, which would stop the worker but not its parent.

    pdb installs a handler of its own for the time after a breakpoint, which would stop the event loop at any place.
    """
    import pdb  # noqa: PLC0415, T100 - its handler is replaced

    signal.signal(signal.SIGINT, _interrupted)
    setattr(pdb.Pdb, "sigint_handler", lambda _pdb, number, frame: _interrupted(number, frame))  # noqa: B010 - a method
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)


def _interrupted(_number: int, frame: FrameType | None) -> None:
    if frame is not None and held_by_a_person(frame):
        raise KeyboardInterrupt
    others = sys._current_frames().values()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    if not any(held_by_a_person(each) for each in others):
        os.kill(os.getppid(), signal.SIGINT)
