"""A reader during the run: when each result became visible, by the clock and against its timestamp."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from schemas.clock import Clock
from schemas.records import Partition
from streams.transport.errors import TransportError
from streams.transport.reader import Reader

POLL_S = 0.1

log = structlog.get_logger()


@dataclass(slots=True)
class ResultWatch:
    """Read the committed results of all tenants as they arrive."""

    reader: Reader
    partitions: Sequence[Partition]
    clock: Clock
    seen: int = 0
    worst_gap_ms: int = 0
    """The longest time from the broker's timestamp on a result to its arrival, in milliseconds.

    Open transactions hide the records after them.
    """

    last_at: float = field(default=0.0)
    """The monotonic time of the last result."""

    async def run(self) -> None:
        """Read until cancelled, and retry while a broker is unreachable."""
        await self.reader.add(self.partitions, "earliest")
        while True:
            try:
                records = await self.reader.poll(POLL_S)
            except TransportError as error:
                log.info("watch_interrupted", error=str(error))
                continue
            now = self.clock.now_ms()
            for record in records:
                self.seen += 1
                self.worst_gap_ms = max(self.worst_gap_ms, now - record.timestamp)
            if records:
                self.last_at = self.clock.monotonic()
