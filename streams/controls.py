"""What the doors pass on about runs beyond them: each worker that runs or moves them reads all that may matter yet."""

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
from streams.stages.sealed import open_hop
from streams.transport.reader import Reader

log = structlog.get_logger()


PARTITION = Partition(RUN_CONTROL.name, 0)

CATCH_UP_S = 30.0
SKEW_MS = 600_000
"""How wrong this worker's clock may be."""


def reach_ms(tenants: Iterable[Tenant]) -> int:
    """How long ago a run that still goes on can have been cancelled: no run outlives its tenant's longest deadline."""
    longest = max((tenant.limits.max_deadline for tenant in tenants), default=0.0)
    return min(KEEP_MS, round(longest * 1_000) + SKEW_MS)


@dataclass(frozen=True, slots=True)
class RunControls:
    """Follows ``platform.control``. The *reader* is this one's alone, and reads nothing yet."""

    reader: Reader
    seals: Seals
    cancels: Cancels

    async def catch_up(self, since_ms: int) -> None:
        """Take up what was said from *since_ms* on, before this worker runs anything."""
        await self.reader.add([PARTITION], await self.reader.since(since_ms, [PARTITION]))
        async for record in self.reader.until(await self.reader.high_watermarks([PARTITION]), CATCH_UP_S):
            self.take(record)

    async def follow(self) -> None:
        """Until cancelled."""
        while True:
            for record in await self.reader.poll(1.0):
                self.take(record)

    def take(self, record: Record) -> None:
        """Do what one record says; without our seal it says nothing."""
        try:
            control = open_hop(RUN_CONTROL, record, self.seals)
        except HeadraceError as error:
            log.warning("run_control_not_opened", code=error.code, position=record.position)
            return
        log.info("run_cancelled", tenant=control.tenant, run_id=control.run_id)
        self.cancels.cancel(control.run_id)
