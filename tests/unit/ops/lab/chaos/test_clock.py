"""The clock of chaos' workers."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ops.lab.chaos import clock as clocks
from ops.lab.chaos.clock import SettableClock, setting_of
from schemas.clock import SystemClock


@pytest.mark.parametrize("step_ms", [-300_000, 300_000])
def test_a_worker_believes_what_its_file_says_and_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step_ms: int
) -> None:
    """What is monotonic stays so."""
    monkeypatch.setattr(clocks, "LOOK_S", 0.0)
    mine, other = SettableClock(setting_of(tmp_path, 7)), SettableClock(setting_of(tmp_path, 8))
    setting_of(tmp_path, 7).write_text(str(step_ms))
    before = mine.monotonic()

    assert abs(mine.now_ms() - SystemClock().now_ms() - step_ms) < 1_000
    assert abs(other.now_ms() - SystemClock().now_ms()) < 1_000
    assert 0 <= mine.monotonic() - before < 60


def test_it_does_not_look_at_every_question(tmp_path: Path) -> None:
    """The time is asked for thousands of times a second."""
    clock = SettableClock(setting_of(tmp_path, 7))
    clock.now_ms()
    setting_of(tmp_path, 7).write_text("300000")

    assert abs(clock.now_ms() - SystemClock().now_ms()) < 1_000
    time.sleep(clocks.LOOK_S)
    assert abs(clock.now_ms() - SystemClock().now_ms() - 300_000) < 1_000
