"""A terminal of the tests' own, with a process that it controls, as a person's shell has it."""

from __future__ import annotations

import os
import pty
import select
import signal
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

EXPECT_S = 60.0
INTERRUPT = "\x03"
"""The character of Ctrl-C."""


@dataclass(slots=True)
class Terminal:
    """The person's side of the terminal."""

    pid: int
    keyboard: int
    seen: str = ""
    """All that the terminal has shown."""

    status: int | None = None

    def expect(self, text: str, within: float = EXPECT_S) -> str:
        """Read on until *text* has been shown anew; return what was shown before it. The rest stays for later."""
        end = time.monotonic() + within
        while text not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in: {self.seen[-4000:]}"
            assert self._read(left), f"it ended before {text!r}: {self.seen[-4000:]}"
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, keys: str) -> None:
        """Type *keys*."""
        os.write(self.keyboard, keys.encode())

    def end(self, within: float = EXPECT_S) -> int:
        """Wait until the process has ended; return its exit status."""
        limit = time.monotonic() + within
        while self.status is None:
            assert time.monotonic() < limit, self.seen[-4000:]
            self._read(0.1)
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def _read(self, within: float) -> bool:
        if not select.select([self.keyboard], [], [], within)[0]:
            return True
        try:
            new = os.read(self.keyboard, 65_536)
        except OSError:  # the other side is closed
            return False
        self.seen += new.decode(errors="replace")
        return bool(new)


@contextmanager
def terminal(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Generator[Terminal]:
    """Run a command that owns a terminal of its own; whatever becomes of the test, it is gone afterwards."""
    pid, keyboard = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execve(command[0], list(command), dict(environment))  # noqa: S606 - as a shell does
    mine = Terminal(pid, keyboard)
    try:
        yield mine
    finally:
        if mine.status is None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(keyboard)
