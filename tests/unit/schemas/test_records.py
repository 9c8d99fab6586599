"""A record's position names it in the whole cluster."""

from __future__ import annotations

from schemas.records import Partition
from tests.unit.schemas.wire import record


def test_a_position_is_topic_partition_and_offset() -> None:
    """It is the id of a request that came without one, so it may not change."""
    assert record().position == "tenants.acme.requests:2:7"


def test_a_partition_reads_as_topic_and_number() -> None:
    """It stands in inbox keys."""
    assert str(Partition("tenants.acme.requests", 3)) == "tenants.acme.requests:3"
