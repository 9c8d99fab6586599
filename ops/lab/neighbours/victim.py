"""The undisturbed tenant's load: requests at an even pace, each timed from its sending to its visible result."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from producers.requests import request_record
from schemas.clock import Clock
from schemas.records import Partition
from schemas.requests import Request
from schemas.tenants import Tenant
from schemas.topics import RESULTS
from streams.transport.reader import Reader
from streams.transport.writer import Writer

LAST_S = 30.0
"""Seconds to wait for missing results after the last request has been sent."""

_POLL_S = 0.05


def percentile(waits: Sequence[float], part: float) -> float:
    """Return the wait that a *part* of all waits does not exceed, in their own unit; NaN if there are none."""
    ordered = sorted(waits)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * part) - 1)] if ordered else math.nan


@dataclass(slots=True)
class Victim:
    """One tenant's requests to an agent that answers at once. Their pace does not depend on the results."""

    tenant: Tenant
    writer: Writer
    reader: Reader
    """The reader of the tenant's results."""

    clock: Clock
    rate: float
    """Requests a second."""

    agent: str = "echo"
    _sent: dict[str, float] = field(default_factory=dict[str, float])
    _waits: list[float] = field(default_factory=list[float])
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @classmethod
    def places(cls, tenant: Tenant) -> list[Partition]:
        """Return the partitions of the tenant's results."""
        return [Partition(RESULTS.of(tenant.id), number) for number in range(tenant.partitions)]

    async def ask(self, seconds: float) -> list[float]:
        """Send requests for *seconds*, and return each wait in seconds. Raise TimeoutError if a result is missing."""
        began, self._waits = self.clock.monotonic(), []
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen())
            for number in range(round(seconds * self.rate)):
                await asyncio.sleep(max(0.0, began + number / self.rate - self.clock.monotonic()))
                tasks.create_task(self._send(self._asked()))
            async with asyncio.timeout(LAST_S):
                while self._sent:  # noqa: ASYNC110 - the reader tells nobody
                    await asyncio.sleep(_POLL_S)
            listening.cancel()
        return self._waits

    def _asked(self) -> str:
        """Return the id of a new request, and start its wait."""
        request_id = f"innocent-{next(self._numbers)}"
        self._sent[request_id] = self.clock.monotonic()
        return request_id

    async def _send(self, request_id: str) -> None:
        request = Request(agent=self.agent, input="hello")
        await self.writer.send(
            request_record(self.tenant.id, request, request_id=request_id, now_ms=self.clock.now_ms())
        )

    async def _listen(self) -> None:
        while True:
            for record in await self.reader.poll(_POLL_S):
                sent = self._sent.pop(json.loads(record.value or b"{}").get("request_id"), None)
                if sent is not None:
                    self._waits.append(self.clock.monotonic() - sent)
