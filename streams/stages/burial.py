"""Dead letters of unreadable client records, limited by the tenant's ``DlqLimit``."""

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
    """The dead-lettering of one tenant's records. While its admission is stopped, they wait like its requests."""

    outbox: Outbox
    door: Door
    tenant: Tenant

    def bury(self, record: Record, error: HeadraceError, trace: Trace) -> Outputs | Awaitable[Outputs]:
        """Return a dead letter of the record, and count it against the tenant."""

        def end() -> Outputs:
            log.info("record_buried", code=error.code, position=record.position, trace_id=trace.trace_id)
            self.door.spoilage(self.tenant.id).note(self.outbox.clock.now_ms(), buried=True)
            return [self.outbox.bury(record, error, trace.headers)]

        return self.once_open(record, end)

    def once_open(self, record: Record, end: Callable[[], Outputs]) -> Outputs | Awaitable[Outputs]:
        """Return the outputs of *end*: at once, or after a wait if the tenant's admission is stopped."""
        spoilage = self.door.spoilage(self.tenant.id)
        return self._later(spoilage, record, end) if spoilage.shut_ms() else end()

    async def _later(self, spoilage: Spoilage, record: Record, end: Callable[[], Outputs]) -> Outputs:
        """Return the outputs of *end* once admission resumes, or once the record has waited ``max_wait``."""
        left_ms = record.timestamp + int(self.tenant.limits.max_wait * 1_000) - self.outbox.clock.now_ms()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, left_ms) / 1_000):
                await spoilage.over()
        return end()


def as_it_is(outputs: Outputs, _error: HeadraceError) -> Outputs:
    """Return the outputs unchanged: a dead letter must be written, so it waits for its topic."""
    return outputs
