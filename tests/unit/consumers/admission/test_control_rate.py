"""How many control records a tenant may send."""

from __future__ import annotations

import pytest

from consumers.admission.control_rate import BURST_S, UNIT_BYTES, ControlRate
from tests.clock import Clock


def test_records_above_the_rate_wait_in_order() -> None:
    """C.4: ten seconds' worth may come at once, and then each record waits for its own time."""
    rate = ControlRate(Clock())
    waits = [rate.charge(0, 60) for _ in range(int(BURST_S) + 3)]

    assert waits[: int(BURST_S) + 1] == [0.0] * (int(BURST_S) + 1)
    assert waits[-2:] == pytest.approx([1.0, 2.0])


def test_bytes_count_too() -> None:
    """A record of 64 KiB counts like seventeen."""
    rate = ControlRate(Clock())
    rate.charge(16 * UNIT_BYTES, 60)
    assert rate.charge(0, 60) == pytest.approx(17 - BURST_S)
