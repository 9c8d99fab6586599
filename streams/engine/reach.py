"""The reach of a shard's former owner: the records that it may have fetched and started. Pure."""

from __future__ import annotations

from streams.offsets.tracker import Tracker


def reach(tracker: Tracker, end: int, limit: int) -> int:
    """Return the offset with *limit* unfinished offsets between the watermark and it; *end* if there are fewer."""
    offset, left = tracker.committed, limit
    while offset < end and left:
        left -= offset not in tracker.done
        offset += 1
    return offset


def fetch_limit(max_in_flight: int) -> int:
    """Return the most unfinished offsets that a worker can have fetched of one partition."""
    return 2 * max_in_flight  # tenants take turns, and transaction markers count as offsets
