"""The one clock that is real."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.clock import Clock, SystemClock


def test_the_system_clock_counts_milliseconds_since_the_epoch() -> None:
    """Deadlines are compared with the broker's append time, which is in milliseconds."""
    clock: Clock = SystemClock()
    before = datetime.now(UTC).timestamp() * 1_000

    assert before - 1 <= clock.now_ms() <= before + 60_000


def test_the_monotonic_clock_does_not_go_back() -> None:
    """Waits are measured with it."""
    clock = SystemClock()
    seen = [clock.monotonic() for _ in range(100)]

    assert seen == sorted(seen)
