"""The initial offsets of partitions without a committed offset, if their stage declares them new."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from schemas.records import Partition
from streams.engine.runtime import Runtime
from streams.handler import Outputs
from streams.telemetry.metric_definitions import MISSING_OFFSETS, MISSING_TOPICS
from streams.transport.errors import KafkaUnreachableError, TransportError, UnknownTopicError

_ASK_S = 2.0
_SURE_S = 0.3

log = structlog.get_logger()


class InitialOffsets:
    """The initial offsets for one shard. *lose* is called with each partition that stops."""

    def __init__(self, runtime: Runtime, lose: Callable[[Partition], None]) -> None:
        self._runtime, self._lose = runtime, lose

    async def of(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, Outputs]]:
        """Return the initial offset and the first outputs of each new partition.

        The stage decides whether a missing offset means a new partition or a loss. After a loss the partition stops;
        the others continue.
        """
        answers = {partition: self._runtime.handler.first(partition) for partition in partitions}
        for partition, outputs in answers.items():
            if outputs is None:
                self._runtime.metrics.count(MISSING_OFFSETS)
                log.error("offset_missing", group=self._runtime.handler.group, partition=str(partition))
                self._lose(partition)
        beginnings = {partition: outputs for partition, outputs in answers.items() if outputs is not None}
        starts = await self._starts(beginnings.keys())
        return {partition: (offset, beginnings[partition]) for partition, offset in starts.items()}

    async def _starts(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Return the start offset of each log. A partition that does not exist or has no leader stops; the others
        continue.
        """
        absent = await self._absent(partitions)
        self._runtime.metrics.count(MISSING_TOPICS, by=len({partition.topic for partition in absent}))
        wanted = set(partitions) - absent
        found = await self._runtime.consumer.beginnings(wanted, _ASK_S)
        for partition in absent:
            self._withdraw(partition, UnknownTopicError(partition.topic))
        for partition in wanted - found.keys():
            self._withdraw(partition, KafkaUnreachableError(f"the leader of {partition}"))
        return found

    def _withdraw(self, partition: Partition, error: TransportError) -> None:
        self._runtime.paused.withdraw(partition, error)
        self._lose(partition)

    async def _absent(self, partitions: Collection[Partition]) -> set[Partition]:
        """Return the partitions that do not exist. Asks twice: brokers learn of a new topic one after another."""
        absent = set(partitions)
        for pause in (0.0, _SURE_S):
            if absent:
                await asyncio.sleep(pause)
                found = await self._runtime.consumer.topic_states({partition.topic for partition in absent})
                absent = {
                    each for each in absent if each.topic in found and found[each.topic].partitions <= each.number
                }
        return absent
