"""What a worker holds, and how much room that leaves to whom (I12)."""

from __future__ import annotations

from streams.scheduling.scheduler import InFlight


def test_one_that_floods_takes_half_and_two_take_a_third_each() -> None:
    """Whoever comes later finds room, whatever others have brought."""
    in_flight = InFlight(900, 10**9)
    while in_flight.room("one") > 0:
        in_flight.take("one", 1)
    assert in_flight.taken == 450
    while in_flight.room("two") > 0:
        in_flight.take("two", 1)
    assert in_flight.taken == 675
    for _ in range(150):
        in_flight.give("one", 1)

    assert (in_flight.room("one"), in_flight.room("two"), in_flight.room("three")) == (75, 150, 375)


def test_bytes_bound_as_records_do() -> None:
    """A few large ones are a flood too."""
    in_flight = InFlight(1_000, 100)
    in_flight.take("one", 49)
    assert in_flight.room("one") > 0
    in_flight.take("one", 2)
    assert in_flight.room("one") == 0
    assert in_flight.room("two") == in_flight.free == 998
    in_flight.take("two", 60)

    assert in_flight.free <= 0
    assert in_flight.free_bytes == -11
    assert in_flight.room("three") <= 0


def test_what_is_given_back_is_forgotten_and_said() -> None:
    """Intake waits for it."""
    in_flight = InFlight(10, 100)
    in_flight.take("one", 30)
    in_flight.changed.clear()
    in_flight.give("one", 30)

    assert in_flight.taken == in_flight.bytes == 0
    assert in_flight.changed.is_set()
    assert in_flight.room("one") == 10
