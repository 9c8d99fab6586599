"""Measure a worker's clock against the brokers' at the start, each hour and after a step, and correct it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import structlog

from schemas.clock import CorrectedClock
from schemas.topics import SHARDS
from streams.telemetry.metric_definitions import CLOCK_OFFSET_SECONDS
from streams.telemetry.metric_store import MetricStore
from streams.transport.admin import Admin
from streams.transport.append_time import offset_of
from streams.transport.connection import Connection
from streams.transport.errors import TransportError

TOLERATED_MS = 5_000
"""An offset up to which the clock is used as it is, in milliseconds."""

USABLE_MS = 60_000
"""An offset beyond which the worker is not ready. It still serves, with the corrected time."""

NAME = "headrace-clock"
INTERVAL_S = 3_600.0
SOON_S = 60.0
"""Seconds to the next measurement of a clock that is wrong, or could not be measured."""

LOOK_S = 1.0
"""Seconds between two checks if the clock was set."""

log = structlog.get_logger()


@dataclass(slots=True)
class ClockCheck:
    """The check of one worker's clock."""

    clock: CorrectedClock
    interval_s: float = INTERVAL_S
    offset_ms: int | None = None
    """The last measured offset: how far the clock is behind the brokers'. None before the first measurement."""

    _next: float = 0.0
    _failed: bool = False

    async def measure(self, connection: Connection, deadline_s: float) -> None:
        """Measure the offset and correct the clock by it. Raises TransportError if Kafka does not answer."""
        async with await Admin.open(connection, name=NAME, deadline_s=deadline_s) as admin:
            found = await admin.append_times(SHARDS.name, self.clock)
        if found:
            self._take(offset_of(found))
        else:
            self._fail(f"{SHARDS.name} takes no record, or has another message.timestamp.type than LogAppendTime")

    def _fail(self, reason: str) -> None:
        self._failed, self._next = True, self.clock.monotonic() + SOON_S
        log.warning("clock_not_measured", reason=reason)

    def _take(self, offset_ms: int) -> None:
        self._failed = False
        before, self.offset_ms = self.clock.offset_ms, offset_ms
        self.clock.correct(offset_ms if abs(offset_ms) > TOLERATED_MS else 0)
        self._next = self.clock.monotonic() + (SOON_S if self.reasons() else self.interval_s)
        if self.clock.offset_ms:
            log.warning(
                "clock_corrected",
                clock=said(offset_ms),
                ready=not self.reasons(),
                next_step="set this machine's clock, by NTP",
            )
        elif before:
            log.info("clock_correction_ended", clock=said(offset_ms))

    async def follow(self, connection: Connection, deadline_s: float) -> None:
        """Measure again each hour, a minute after a measurement with a bad result, and at once after a step."""
        while True:
            await asyncio.sleep(LOOK_S)
            if not self._due:
                continue
            try:
                await self.measure(connection, deadline_s)
            except TransportError as error:
                self._fail(str(error))

    @property
    def _due(self) -> bool:
        return self.clock.monotonic() >= self._next or (self.clock.stepped and not self._failed)

    def reasons(self) -> list[str]:
        """Return the reason why the worker is not ready, if its clock is too wrong."""
        if self.offset_ms is None or abs(self.offset_ms) <= USABLE_MS:
            return []
        return [f"its clock is {said(self.offset_ms)}: set this machine's clock, by NTP"]

    def shown_in(self, metrics: MetricStore) -> None:
        """Set the offset in *metrics* each time that they are read."""
        metrics.look.append(lambda: metrics.set(CLOCK_OFFSET_SECONDS, (self.offset_ms or 0) / 1_000))


def said(offset_ms: int) -> str:
    """Return an offset for a person: ``12.3 s ahead of the brokers'``."""
    return f"{abs(offset_ms) / 1_000:.1f} s {'behind' if offset_ms > 0 else 'ahead of'} the brokers'"
