"""A stage that starts where one broker's failure would lose results."""
# pyright: reportPrivateUsage=false

from __future__ import annotations

from typing import Any

import pytest

from ops.errors import OneCopyError
from ops.stage_context import _copies_fit
from streams.transport.admin import Replication

pytestmark = pytest.mark.anyio


class Cluster:
    """A cluster with some topics."""

    def __init__(self, brokers: int, **copies: int) -> None:
        self.found = Replication(frozenset(range(brokers)), copies)

    async def replication(self, _: object) -> Replication:
        return self.found


async def fits(brokers: int, **copies: int) -> None:
    """Raise what a stage raises."""
    admin: Any = Cluster(brokers, **copies)
    await _copies_fit(admin)


async def test_a_cluster_that_cannot_have_more_copies_is_accepted() -> None:
    """`headrace dev` has one broker; of two, neither may be away."""
    await fits(1, __consumer_offsets=1)
    await fits(2, __consumer_offsets=1)


async def test_topics_with_two_copies_and_topics_that_do_not_exist_yet_are_accepted() -> None:
    """Brokers make their own topics at their first use."""
    await fits(3, __consumer_offsets=2)
    await fits(3)


async def test_the_error_names_each_topic_and_the_next_step() -> None:
    """One line for the operator."""
    with pytest.raises(OneCopyError) as caught:
        await fits(4, __transaction_state=1, __consumer_offsets=1, other=3)

    assert str(caught.value).startswith("__consumer_offsets, __transaction_state: one copy on 4 brokers")
    assert "kafka-reassign-partitions.sh" in str(caught.value)
