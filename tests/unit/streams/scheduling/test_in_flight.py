"""What a worker holds, and how much room that leaves to whom (I12)."""

from __future__ import annotations

from streams.scheduling.scheduler import InFlight


def test_one_that_floods_takes_half_and_two_take_a_third_each() -> None:
    """Whoever comes later finds room, whatever others have brought."""
    slots = InFlight(900, 10**9)
    while slots.room("one") > 0:
        slots.take("one", 1)
    assert slots.taken == 450
    while slots.room("two") > 0:
        slots.take("two", 1)
    assert slots.taken == 675
    for _ in range(150):
        slots.give("one", 1)

    assert (slots.room("one"), slots.room("two"), slots.room("three")) == (75, 150, 375)


def test_bytes_bound_as_records_do() -> None:
    """A few large ones are a flood too."""
    slots = InFlight(1_000, 100)
    slots.take("one", 49)
    assert slots.room("one") > 0
    slots.take("one", 2)
    assert slots.room("one") == 0
    assert slots.room("two") == slots.free == 998
    slots.take("two", 60)

    assert slots.free <= 0
    assert slots.free_bytes == -11
    assert slots.room("three") <= 0


def test_what_is_given_back_is_forgotten_and_said() -> None:
    """Intake waits for it."""
    slots = InFlight(10, 100)
    slots.take("one", 30)
    slots.changed.clear()
    slots.give("one", 30)

    assert slots.taken == slots.bytes == 0
    assert slots.changed.is_set()
    assert slots.room("one") == 10
