"""The bounds of a consumer's fetches: what tenants wrote is unpacked and cut before the client decodes it."""

from __future__ import annotations

import asyncio
from typing import Final

from schemas.records import Missing, Partition
from schemas.topics import tenant_of
from streams.transport.aiokafka_types import Untyped
from streams.transport.batch_bounds import Bounded, bounded, is_packed
from streams.transport.fetched_batches import Fault

_AT_ONCE: Final = 1024
"""Bytes of compressed data that are unpacked on the event loop. More are unpacked in a thread."""

_TURN: Final = 1024 * 1024
"""Bytes after which the event loop runs other callbacks."""


class FetchBounds:
    """The bounds of one consumer's fetches, with the bytes that were cut off records."""

    def __init__(self) -> None:
        self.missing: dict[Partition, dict[int, Missing]] = {}
        """The bytes cut off records of each partition's latest fetch, by offset. Most partitions have none."""

    async def apply(self, request: Untyped, answer: Untyped) -> dict[Partition, Fault]:
        """Replace the batches in the answer to a fetch. Return the partitions whose next batch cannot be unpacked."""
        positions = {(topic, row[0]): row[1] for topic, rows in request.topics for row in rows}
        faults, since = dict[Partition, Fault](), 0
        for topic, rows in answer.topics:
            if tenant_of(topic) is None:
                continue
            for index, row in enumerate(rows):
                if not (data := row[-1]):
                    continue
                partition = Partition(topic, row[0])
                found = await _bounded(data, positions[partition])
                rows[index] = (*row[:-1], self._noted(partition, found))
                if found.fault is not None and not found.data:
                    faults[partition] = found.fault
                since += len(data)
                if since > _TURN:
                    await asyncio.sleep(0)
                    since = 0
        return faults

    def _noted(self, partition: Partition, found: Bounded) -> bytes:
        if found.missing:
            self.missing[partition] = found.missing
        else:
            self.missing.pop(partition, None)
        return found.data


async def _bounded(data: bytes, position: int) -> Bounded:
    if is_packed(data) and len(data) > _AT_ONCE:
        return await asyncio.to_thread(bounded, data, position)
    return bounded(data, position)
