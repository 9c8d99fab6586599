"""What waits in its lane does not count against the window, within bounds."""

from __future__ import annotations

from contextlib import ExitStack

from schemas.records import Partition
from streams.stages.lane_backlog import LaneBacklog

HERE, THERE = Partition("a", 0), Partition("b", 0)


def test_what_waits_in_lanes_is_counted_by_partition_and_no_longer_than_it_waits() -> None:
    """Each partition has its own window."""
    lane_backlog = LaneBacklog()
    with lane_backlog.holding(HERE, 10), lane_backlog.holding(HERE, 10), lane_backlog.holding(THERE, 10):
        assert (lane_backlog.exempt(HERE), lane_backlog.exempt(THERE)) == (2, 1)
    assert (lane_backlog.exempt(HERE), lane_backlog.exempt(THERE)) == (0, 0)


def test_too_many_or_too_heavy_they_count_like_all_others() -> None:
    """One session must not fill the memory; nor must many tenants together."""
    with ExitStack() as stack:
        lane_backlog = LaneBacklog(records=2, size=100, all_size=150)
        for _ in range(3):
            stack.enter_context(lane_backlog.holding(HERE, 20))
        assert lane_backlog.exempt(HERE) == 2
        stack.enter_context(lane_backlog.holding(HERE, 40))
        assert lane_backlog.exempt(HERE) == 0
        stack.enter_context(lane_backlog.holding(THERE, 49))
        assert lane_backlog.exempt(THERE) == 1
        stack.enter_context(lane_backlog.holding(THERE, 1))
        assert lane_backlog.exempt(THERE) == 0
