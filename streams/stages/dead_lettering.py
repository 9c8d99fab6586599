"""Dead letters of unreadable client records, limited by the tenant's ``DlqLimit``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from consumers.admission.controller import AdmissionController
from consumers.admission.dead_letter_breaker import DeadLetterBreaker
from schemas.errors import HeadraceError
from schemas.records import Record
from schemas.tenants import Tenant
from streams.handler import Outputs
from streams.stages.record_builder import RecordBuilder
from streams.telemetry.trace_context import Trace

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeadLettering:
    """The dead-lettering of one tenant's records. While its admission is stopped, they wait like its requests."""

    builder: RecordBuilder
    controller: AdmissionController
    tenant: Tenant

    def dead_letter(self, record: Record, error: HeadraceError, trace: Trace) -> Outputs | Awaitable[Outputs]:
        """Return a dead letter of the record, and count it against the tenant."""

        def end() -> Outputs:
            log.info("record_dead_lettered", code=error.code, position=record.position, trace_id=trace.trace_id)
            self.controller.breaker(self.tenant.id).note(self.builder.clock.now_ms(), dead_lettered=True)
            return [self.builder.dead_letter(record, error, trace.headers)]

        return self.when_admitting(record, end)

    def when_admitting(self, record: Record, end: Callable[[], Outputs]) -> Outputs | Awaitable[Outputs]:
        """Return the outputs of *end*: at once, or after a wait if the tenant's admission is stopped."""
        breaker = self.controller.breaker(self.tenant.id)
        return self._later(breaker, record, end) if breaker.open_for_ms() else end()

    async def _later(self, breaker: DeadLetterBreaker, record: Record, end: Callable[[], Outputs]) -> Outputs:
        """Return the outputs of *end* once admission resumes, or once the record has waited ``max_wait``."""
        left_ms = record.timestamp + int(self.tenant.limits.max_wait * 1_000) - self.builder.clock.now_ms()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0, left_ms) / 1_000):
                await breaker.over()
        return end()


def unchanged(outputs: Outputs, _error: HeadraceError) -> Outputs:
    """Return the outputs unchanged: a dead letter must be written, so it waits for its topic."""
    return outputs
