"""The run controls that admission controllers publish for the later stages.

Each worker that executes or moves runs reads all controls that may still matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from consumers.resilience.cancel import KEEP_MS, Cancels
from schemas.errors import HeadraceError
from schemas.records import Partition, Record
from schemas.seals import Seals
from schemas.tenants import Tenant
from schemas.topics import RUN_CONTROL
from streams.stages.sealed_records import open_record
from streams.transport.reader import Reader

log = structlog.get_logger()


PARTITION = Partition(RUN_CONTROL.name, 0)

CATCH_UP_S = 30.0
SKEW_MS = 600_000
"""Milliseconds by which this worker's clock may be wrong."""


def reach_ms(tenants: Iterable[Tenant]) -> int:
    """Return how many milliseconds ago a run that still continues can have been cancelled, at most ``KEEP_MS``.

    No run outlives its tenant's longest deadline.
    """
    longest = max((tenant.limits.max_deadline for tenant in tenants), default=0.0)
    return min(KEEP_MS, round(longest * 1_000) + SKEW_MS)


@dataclass(frozen=True, slots=True)
class RunControls:
    """The follower of ``platform.control``. The *reader* is used by it alone, and has read nothing yet."""

    reader: Reader
    seals: Seals
    cancels: Cancels

    async def catch_up(self, since_ms: int) -> None:
        """Apply the controls written since *since_ms*, before this worker runs anything."""
        await self.reader.add([PARTITION], await self.reader.since(since_ms, [PARTITION]))
        async for record in self.reader.until(await self.reader.high_watermarks([PARTITION]), CATCH_UP_S):
            self.take(record)

    async def follow(self) -> None:
        """Apply new controls until cancelled."""
        while True:
            for record in await self.reader.poll(1.0):
                self.take(record)

    def take(self, record: Record) -> None:
        """Apply one control record. A record without the platform's seal is logged and ignored."""
        try:
            control = open_record(RUN_CONTROL, record, self.seals)
        except HeadraceError as error:
            log.warning("run_control_not_opened", code=error.code, position=record.position)
            return
        log.info("run_cancelled", tenant=control.tenant, run_id=control.run_id)
        self.cancels.cancel(control.run_id)
