"""The loop watch: a thread that reports what blocks the event loop, and ends a worker whose loop stays blocked.

A blocked loop sends no heartbeat. After the session the group gives its shards to another worker, which finds this
one's mark (``crash_tracking``). Without another worker, nothing would end a loop that blocks for ever. So the thread
ends the process after ``watchdog_s``. Its supervisor starts another one, and the mark stays. At the second such end,
the runs that were open are suspects.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from traceback import StackSummary, walk_stack
from types import FrameType

import structlog

from streams.engine.runtime import Runtime

LOOK_S = 0.25
REPORT_S = 1.0
"""The length of a block from which on it is reported; again at each doubling."""

FRAMES = 20
"""The innermost calls that are logged."""

DEBUGGERS = frozenset({"bdb", "pdb", "debugpy", "pydevd"})
"""Top-level modules whose frames tell that a person holds the loop: that is no fault."""

BLOCKED = 70
"""The exit status of a process that the thread ends."""

log = structlog.get_logger()


@dataclass(slots=True)
class LoopWatch:
    """Watches the loop of the thread that creates it."""

    runtime: Runtime
    look_s: float = LOOK_S
    report_s: float = REPORT_S
    end: Callable[[int], None] = os._exit
    thread: int = field(default_factory=threading.get_ident)
    _over: threading.Event = field(default_factory=threading.Event)
    _beat: float = -1.0
    _blocked_s: float = 0.0
    """Counted in looks of its own: a process that was stopped as a whole, as by SIGSTOP, was not blocked."""

    _next_s: float = 0.0

    def run(self) -> None:
        """Look until ``stop``. A thread runs this."""
        while not self._over.wait(self.look_s):
            self.look()

    def stop(self) -> None:
        """End the thread soon."""
        self._over.set()

    def look(self) -> None:
        """Look once."""
        beat, self._beat = self._beat, self.runtime.beat_at
        if beat != self._beat:
            self._blocked_s, self._next_s = 0.0, self.report_s
            return
        self._blocked_s += self.look_s
        frame = sys._current_frames().get(self.thread)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        if frame is None or held_by_a_person(frame):
            self._blocked_s = 0.0
        elif self._blocked_s >= self._next_s:
            self._next_s *= 2
            self._report(frame)

    def _report(self, frame: FrameType) -> None:
        fatal = self.runtime.config.ends_blocked and self._blocked_s >= self.runtime.config.watchdog_s
        facts = {"group": self.runtime.handler.group, "seconds": round(self._blocked_s, 2), "ends": fatal}
        log.error("loop_blocked", **facts, **{"at": stack_of(frame), **self.runtime.handler.blame(frame)})
        if fatal:
            self.end(BLOCKED)


@contextmanager
def watched_loop(runtime: Runtime) -> Generator[None]:
    """Watch this thread's event loop during the block. A daemon thread holds up no end of the process."""
    watch = LoopWatch(runtime)
    threading.Thread(target=watch.run, name="headrace-loop-watch", daemon=True).start()
    try:
        yield
    finally:
        watch.stop()


def stack_of(frame: FrameType) -> list[str]:
    """Return the innermost calls of a stack, in the order of the calls."""
    lines = StackSummary.extract(walk_stack(frame), limit=FRAMES, lookup_lines=False)
    return [f"{line.filename}:{line.lineno} {line.name}" for line in reversed(lines)]


def held_by_a_person(frame: FrameType) -> bool:
    """Return True if a debugger holds the thread of this stack."""
    names = (str(each.f_globals.get("__name__", "")).partition(".")[0] for each, _ in walk_stack(frame))
    return not DEBUGGERS.isdisjoint(names)
