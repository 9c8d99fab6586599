"""What cannot be read at a tenant's door: a dead letter, and no more of them than the tenant may make."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from consumers.auth.door import Door
from consumers.auth.spoilage import Spoilage
from schemas.errors import HeadraceError
from schemas.records import Record
from schemas.tenants import Tenant
from streams.outbox import Outbox
from streams.tracing import Trace
from streams.work import Outputs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Burial:
    """Of one tenant's records. While its door is shut they wait, as its requests do."""

    outbox: Outbox
    door: Door
    tenant: Tenant

    def bury(self, record: Record, error: HeadraceError, trace: Trace) -> Outputs | Awaitable[Outputs]:
        """A dead letter, which counts against the tenant."""

        def end() -> Outputs:
            log.info("record_buried", code=error.code, position=record.position, trace_id=trace.trace_id)
            self.door.spoilage(self.tenant.id).note(self.outbox.clock.now_ms(), buried=True)
            return [self.outbox.bury(record, error, trace.headers)]

        return self.once_open(record, end)

    def once_open(self, record: Record, end: Callable[[], Outputs]) -> Outputs | Awaitable[Outputs]:
        """What *end* makes of the record: now, unless the door is shut."""
        spoilage = self.door.spoilage(self.tenant.id)
        return self._later(spoilage, record, end) if spoilage.shut_ms() else end()

    async def _later(self, spoilage: Spoilage, record: Record, end: Callable[[], Outputs]) -> Outputs:
        """When the door opens, or when the record has waited as long as its tenant's requests may."""
        left_ms = record.timestamp + int(self.tenant.limits.max_wait * 1_000) - self.outbox.clock.now_ms()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, left_ms) / 1_000):
                await spoilage.over()
        return end()


def as_it_is(outputs: Outputs, _error: HeadraceError) -> Outputs:
    """A dead letter has to be written: it waits for its topic."""
    return outputs
