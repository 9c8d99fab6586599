"""The ledger: the usage records of tenants on ``platform.usage``, each run once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import structlog
from pydantic import ValidationError

from ops.budgets.run_ids import RunIds
from ops.budgets.sums import AccountSums
from schemas.records import Partition, Record
from schemas.tenants import Layout
from schemas.topics import HOUR_MS, USAGE, shard_of
from schemas.usage import UsageRecord
from streams.transport.connection import Connection
from streams.transport.errors import KafkaUnreachableError
from streams.transport.reader import Reader

NAME = "headrace-ledger"
READ_S = 600.0
"""Seconds for all records of a month. A million of them take about a minute."""

POLL_S = 0.05
"""Seconds of one poll. Only an empty poll shows that a log's end is reached."""

PORTION = 200
"""Records between two turns of the event loop: about four milliseconds."""

MARGIN_MS = HOUR_MS
"""Milliseconds before a month from which on records are read. Clocks of brokers and of the store may differ."""

log = structlog.get_logger()


@dataclass(slots=True)
class UsageLedger:
    """The usage records of some tenants, read in order."""

    reader: Reader
    accounts: dict[str, AccountSums]
    """By tenant, the sums that the records are added to."""

    seen: RunIds = field(default_factory=RunIds)
    starts: dict[str, dict[Partition, int]] = field(default_factory=dict[str, dict[Partition, int]])
    """By tenant, the offsets from which on its records are added; by default, all that are read."""

    async def read(self) -> None:
        """Add all records that were written before the call.

        Raises KafkaUnreachableError if they cannot be read within ``READ_S``.
        """
        marks = await self.reader.high_watermarks()
        try:
            async with asyncio.timeout(READ_S):
                while not self.reader.past(marks):
                    await self.follow()
        except TimeoutError:
            raise KafkaUnreachableError(USAGE.name, f"its records were not read in {READ_S:g} s") from None

    async def follow(self, wait_s: float = POLL_S) -> None:
        """Add a portion of the next records, or return after *wait_s* seconds if there are none.

        The worker's runs go on between two portions.
        """
        for record in await self.reader.poll(wait_s, PORTION):
            self.take(record)
        await asyncio.sleep(0)

    def take(self, record: Record) -> UsageRecord | None:
        """Add one record. Return it if it is the first one of a run of one of the tenants."""
        tenant = (record.key or b"").decode(errors="replace")
        sums = self.accounts.get(tenant)
        if sums is None or record.value is None or record.offset < self._start(tenant, record):
            return None
        try:
            usage = UsageRecord.model_validate_json(record.value)
            if not self.seen.add(usage.run_id):
                return None
            sums.add(usage)
        except (ValidationError, ValueError, OverflowError) as error:
            log.warning("usage_record_unreadable", position=record.position, error=type(error).__name__)
            return None
        return usage

    def _start(self, tenant: str, record: Record) -> int:
        starts = self.starts.get(tenant)
        return starts.get(Partition(record.topic, record.partition), 0) if starts else 0


@asynccontextmanager
async def ledger_of(
    connection: Connection, layout: Layout, accounts: dict[str, AccountSums], month: date
) -> AsyncGenerator[UsageLedger]:
    """Yield the ledger of the accounts' tenants from the start of *month* on, not read yet."""
    async with await Reader.open(connection, (), name=NAME) as reader:
        partitions = await _partitions(reader, layout, accounts)
        start = await reader.since(_start_ms(month), partitions)
        await reader.add(partitions, start)
        yield UsageLedger(reader, accounts)


async def _partitions(reader: Reader, layout: Layout, tenants: Collection[str]) -> list[Partition]:
    """Return the partitions with the tenants' records. A changed layout has moved tenants: then it is all of them."""
    if layout.version == 1:
        numbers: Collection[int] = {shard_of(tenant, layout.shards) for tenant in tenants}
    else:
        numbers = await reader.partitions_of(USAGE.name)
    return [Partition(USAGE.name, number) for number in sorted(numbers)]


def _start_ms(month: date) -> int:
    first = datetime(month.year, month.month, 1, tzinfo=UTC)
    return round(first.timestamp() * 1_000) - MARGIN_MS
