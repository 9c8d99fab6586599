"""The admission controllers of the shards that this worker owns.

Each one is rebuilt from its partition of the admissions topic, and kept up to date from it.
"""

from __future__ import annotations

import asyncio

import structlog
from pydantic import ValidationError

from consumers.auth.door import Door, Spoils, unlimited
from schemas.clock import Clock
from schemas.inbox import InboxEntry
from schemas.records import Partition, Record
from schemas.topics import INBOX, shard_of
from streams.measures import OTHER, Metrics
from streams.metrics import DOORS_SHUT
from streams.transport.reader import Reader

log = structlog.get_logger()

POLL_S = 0.1
"""Longest wait of one poll in seconds. The first controller waits at most this long for the reader."""

LOOK_S = 0.005
"""Seconds between two checks of the reader's position."""


class Doors:
    """The admission controllers of one worker.

    A controller opens only after everything is read that was in the log when its shard was fenced.
    """

    def __init__(
        self,
        reader: Reader,
        shards: int,
        clock: Clock,
        metrics: Metrics | None = None,
        spoils: Spoils = unlimited,
    ) -> None:
        self._reader = reader
        self._shards = shards
        self._clock = clock
        self._metrics = metrics or Metrics(OTHER)
        self._spoils = spoils
        self._doors: dict[int, Door] = {}

    def of(self, tenant: str) -> Door:
        """Return the admission controller of a tenant whose shard is open here."""
        return self._doors[shard_of(tenant, self._shards)]

    def serves(self, tenant: str, key: str) -> bool:
        """Return True if the first offset of a tenant's partition has been committed once.

        False while its admission controller is closed, because it is unknown then.
        """
        door = self._doors.get(shard_of(tenant, self._shards))
        return door is not None and door.serves(key)

    def holds(self, tenant: str) -> bool:
        """Return True if the tenant's own limit makes it wait.

        False while its admission controller is closed, because it is unknown then.
        """
        door = self._doors.get(shard_of(tenant, self._shards))
        return door is not None and door.holds(tenant)

    async def remember(self, shard: int) -> None:
        """Rebuild the shard's admission controller from the log.

        Reads to the current high watermark. An open transaction may hold the last stable offset below what the former
        owner committed. A read that ends there would forget requests that the former owner admitted.
        """
        partition = Partition(INBOX.name, shard)
        self._reader.remove([partition])
        self._doors[shard] = Door(self._clock, shut=self._shut, spoils=self._spoils)
        end = (await self._reader.high_watermarks([partition]))[partition]
        await self._reader.add([partition])
        while self._reader.position(partition) < end:  # noqa: ASYNC110 - the reader tells nobody how far it is
            await asyncio.sleep(LOOK_S)

    def _shut(self, tenant: str, seconds: float) -> None:
        """Raise an alarm: the dead-letter breaker stopped admission of *tenant*. Its requests wait; none is lost."""
        log.error("door_shut", tenant=tenant, seconds=round(seconds, 1), reason="too many dead letters")
        self._metrics.count(DOORS_SHUT, *self._metrics.tenant(tenant))

    def forget(self, shard: int) -> None:
        """Forget the admission controller of a closed shard, and stop reading its partition."""
        self._doors.pop(shard, None)
        self._reader.remove([Partition(INBOX.name, shard)])

    async def follow(self) -> None:
        """Keep every admission controller up to date, until cancelled."""
        while True:
            for record in await self._reader.poll(POLL_S):
                self._recall(record)

    def _recall(self, record: Record) -> None:
        door = self._doors.get(record.partition)
        if door is None:
            return
        try:
            entry = InboxEntry.model_validate_json(record.value) if record.value is not None else None
        except ValidationError as error:
            log.error(  # noqa: TRY400 - the traceback would hold content
                "inbox_record_unreadable", position=record.position, faults=error.error_count()
            )
            return
        door.recall((record.key or b"").decode(errors="replace"), entry, record.timestamp)
