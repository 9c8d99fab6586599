"""Moments within a millisecond, by clocks of which neither tells them."""

from __future__ import annotations

from streams.telemetry.timestamps import MS_NS, Timestamps


class TwoClocks:
    """A wall clock and a monotonic one that began at another time; each can be set."""

    def __init__(self) -> None:
        self.wall_ns, self.run_ns = 1_700_000_000_000_400_000, 5_000_000_000

    def go_on(self, ns: int) -> None:
        self.wall_ns += ns
        self.run_ns += ns

    def now_ms(self) -> int:
        return self.wall_ns // MS_NS

    def monotonic(self) -> float:
        return self.run_ns / 1e9


def test_within_a_millisecond_time_goes_on() -> None:
    """A step takes less than one: spans of no length say nothing."""
    clock = TwoClocks()
    instants = Timestamps(clock)
    begin = instants.now_ns()

    clock.go_on(250_000)

    assert abs(instants.now_ns() - begin - 250_000) < 10


def test_a_moment_is_never_of_another_millisecond_than_the_wall_clocks() -> None:
    """Whatever is done to it: spans of several workers are laid side by side."""
    clock = TwoClocks()
    instants = Timestamps(clock)
    for step in (0, 700_000, 123, 999_999, 50_000_000, 1):
        clock.go_on(step)
        assert instants.now_ns() // MS_NS == clock.now_ms()

    for jump in (-3_600_000 * MS_NS, 86_400_000 * MS_NS):
        clock.wall_ns += jump
        assert instants.now_ns() // MS_NS == clock.now_ms()


def test_the_error_shrinks_below_a_millisecond_and_stays_there() -> None:
    """As soon as one moment is asked for just after the wall clock has gone on, all that follow are right."""
    clock = TwoClocks()
    instants = Timestamps(clock)
    instants.now_ns()
    clock.go_on(600_000)  # the millisecond begins
    instants.now_ns()

    clock.go_on(777_000)

    assert abs(instants.now_ns() - clock.wall_ns) < 10
