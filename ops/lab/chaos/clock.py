"""The clock of chaos workers: its wall time can be set from outside, as by an operator or a broken NTP."""

from __future__ import annotations

from pathlib import Path

from schemas.clock import SystemClock

LOOK_S = 0.2
"""Seconds between two checks of the setting by a worker."""


def setting_of(folder: Path, pid: int) -> Path:
    """Return the file with the clock offset of process *pid*, in milliseconds."""
    return folder / f"clock-{pid}"


class SettableClock(SystemClock):
    """A system clock whose wall time is shifted by the offset in its file. Monotonic time is never shifted."""

    def __init__(self, setting: Path) -> None:
        self._setting = setting
        self._looked, self._ahead_ms = float("-inf"), 0

    def now_ms(self) -> int:
        """Return the milliseconds since the epoch, plus the offset in the file."""
        now = self.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._ahead_ms = int(self._setting.read_text() or 0) if self._setting.exists() else 0
        return super().now_ms() + self._ahead_ms
