"""The clock of chaos' own workers: its wall time can be set from outside, as an operator or a broken NTP would."""

from __future__ import annotations

from pathlib import Path

from schemas.clock import SystemClock

LOOK_S = 0.2
"""How often a worker looks whether its clock has been set."""


def setting_of(folder: Path, pid: int) -> Path:
    """The file that holds by how many milliseconds the clock of process *pid* is wrong."""
    return folder / f"clock-{pid}"


class SettableClock(SystemClock):
    """Right until somebody writes into its file; what is monotonic stays so."""

    def __init__(self, setting: Path) -> None:
        self._setting = setting
        self._looked, self._ahead_ms = float("-inf"), 0

    def now_ms(self) -> int:
        """Milliseconds since the epoch, more or less."""
        now = self.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self._ahead_ms = int(self._setting.read_text() or 0) if self._setting.exists() else 0
        return super().now_ms() + self._ahead_ms
