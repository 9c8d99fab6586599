"""What the doors pass on about runs beyond them: each worker that runs agents reads all of it, from when it starts."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from consumers.resilience.cancel import Cancels
from schemas.errors import HeadraceError
from schemas.records import Record
from schemas.seals import Seals
from schemas.topics import RUN_CONTROL
from streams.stages.sealed import open_hop
from streams.transport.reader import Reader

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class RunControls:
    """Follows ``platform.control`` from where its reader stands."""

    reader: Reader
    seals: Seals
    cancels: Cancels

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
