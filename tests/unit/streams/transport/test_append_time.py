"""A clock's offset, from the times of a few appends."""

from __future__ import annotations

import pytest

from streams.transport.append_time import AppendTime, offset_of


@pytest.mark.parametrize(
    ("before", "appended", "after", "offset"),
    [
        (1_000, 1_002, 1_005, 0),
        (1_000, 401_002, 1_005, 399_997),
        (401_000, 1_002, 401_005, -399_998),
        (1_000, 7_000, 9_000, 0),  # a slow answer proves nothing
        (1_000, 9_500, 9_000, 500),
    ],
)
def test_an_append_proves_only_what_its_wait_leaves(before: int, appended: int, after: int, offset: int) -> None:
    """On a busy machine an answer takes seconds; the clock is not wrong for that."""
    assert AppendTime(before, appended, after).offset_ms == offset


@pytest.mark.parametrize(
    ("offsets", "found"),
    [([7], 7), ([0, 400_000, 3], 3), ([400_000, 400_001, 0], 400_000), ([0, 400_000], 0), ([-400_000, 5], 5)],
)
def test_a_broker_whose_clock_is_wrong_is_outvoted(offsets: list[int], found: int) -> None:
    """A worker with the right time is not corrected by one broker that has not."""
    assert offset_of([AppendTime(0, offset, 0) for offset in offsets]) == found
