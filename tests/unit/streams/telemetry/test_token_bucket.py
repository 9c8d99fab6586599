"""So many times a second."""

from __future__ import annotations

from streams.telemetry.token_bucket import TokenBucket
from tests.unit.streams.engine.shard_setup import StillClock


def test_it_is_spent_at_once_and_comes_back_with_time() -> None:
    """A burst, then the rate; never more than the burst."""
    clock = StillClock(0)
    allowance = TokenBucket(clock, rate=10, burst=3)

    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
    clock.at_ms += 100
    assert [allowance.take() for _ in range(2)] == [True, False]
    clock.at_ms += 60_000
    assert [allowance.take() for _ in range(4)] == [True, True, True, False]
