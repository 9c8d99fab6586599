"""A leader that changes during a transaction is asked before it gets more of it."""
# ruff: noqa: SLF001 - the rest of a transaction needs brokers
# pyright: reportPrivateUsage=false

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest

from schemas.clock import SystemClock
from schemas.records import Partition
from streams.transport.brokers import Brokers
from streams.transport.errors import BrokerError
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.record_batches import RecordBatch
from streams.transport.protocol.requests import CLASSIC, IMPLIED, Producer, Versions
from streams.transport.transactions import Transactions

pytestmark = pytest.mark.anyio

PLACE, AWAY = Partition("t", 0), Partition("t", 1)
CURRENT, BEFORE, OTHER = Producer(7, 5), Producer(7, 4), Producer(9, 1)


class Checks:
    """A leader that has come back, and one that has not."""

    def __init__(self, *found: Producer) -> None:
        self.found = [OpenTransaction(producer, 40, 0) for producer in found]
        self.asked = False

    def unchecked(self, places: Iterable[Partition]) -> list[Partition]:
        return [place for place in places if place == AWAY or not self.asked]

    async def ask(self, _: Collection[Partition]) -> dict[Partition, list[OpenTransaction]]:
        self.asked = True
        return {PLACE: self.found}


async def unchecked(versions: Versions, *found: Producer) -> Collection[Partition]:
    """The partitions that get nothing now."""
    checks: Any = Checks(*found)
    transactions = Transactions(
        Brokers(None), "an-id", SystemClock(), timeout_ms=1, request_timeout_ms=1, checks=checks
    )
    transactions._producer, transactions._versions = CURRENT, versions
    return await transactions._unchecked([RecordBatch(PLACE), RecordBatch(AWAY)])


async def test_a_leader_without_our_transaction_of_before_gets_its_batch() -> None:
    """The present one may have arrived there, and its answer may be lost: the batch is sent again."""
    assert await unchecked(IMPLIED, CURRENT, OTHER) == [AWAY]
    assert await unchecked(CLASSIC, OTHER) == [AWAY]


@pytest.mark.parametrize(("versions", "found"), [(IMPLIED, BEFORE), (CLASSIC, CURRENT)])
async def test_a_leader_with_our_transaction_of_before_gets_nothing(versions: Versions, found: Producer) -> None:
    """Our abort would take a committed result back. In version 1 the present transaction looks the same."""
    with pytest.raises(BrokerError, match="t:0 has an open transaction of an earlier epoch"):
        await unchecked(versions, found)
