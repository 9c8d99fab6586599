"""Free places that leaked: admissions that are open although no run of them is left.

A place leaks if a stage loses a record without closing its admission. An example is a record with a seal that the stage
could not verify. The place then counts against the tenant's concurrency, and holds its session, for ever.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from ops import registry_writer
from ops.errors import LayoutMovingError, NoLayoutError, UnknownTenantError
from ops.open_admissions import open_admissions
from ops.unfinished import admission_key_in, unfinished
from producers.admissions import admission_record
from producers.results import error_of, result_record
from schemas.admissions import AdmissionKey
from schemas.clock import Clock
from schemas.errors import InternalError
from schemas.records import ProducerRecord
from schemas.results import Result
from schemas.stage_records import Origin
from schemas.tenants import Layout
from schemas.topics import REQUESTS, RESULTS
from streams.telemetry.trace_context import follow
from streams.transport.connection import Connection
from streams.transport.writer import TransactionalWriter

NAME = "headrace-repair"
TRANSACTIONAL_ID = "headrace.repair"
LONG_PASSED_MS = 3_600_000
"""Milliseconds after its deadline at which no run of a request can exist, by any worker's clock."""

AT_ONCE = 500
"""Places freed in one transaction."""

LeakReason: TypeAlias = Literal["lost", "expired"]
"""``lost``: no topic of the platform holds the request. ``expired``: one does, and its deadline passed long ago."""


@dataclass(frozen=True, slots=True)
class LeakedPlace:
    """One place that may be freed."""

    key: str
    admission: AdmissionKey
    reason: LeakReason

    def row(self) -> dict[str, Any]:
        """Return the place as an operator sees it."""
        deadline = datetime.fromtimestamp(self.admission.deadline_ms / 1_000, UTC)
        return {
            "request_id": self.admission.request_id,
            "run_id": self.key.partition("|")[2],
            "agent": self.admission.agent,
            "deadline": deadline.isoformat(timespec="seconds"),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Repair:
    """The repair of one tenant's admission."""

    connection: Connection
    clock: Clock
    tenant: str

    async def plan(self) -> list[LeakedPlace]:
        """Return the places that leaked, oldest deadline first. Writes nothing.

        The admissions are read before the topics. A request that is admitted later is no candidate, and one that ends
        meanwhile is removed at the end. Raises UnknownTenantError, NoLayoutError, LayoutMovingError.
        """
        layout = await self._layout()
        async with open_admissions(self.connection, self.tenant, layout.shards) as admissions:
            candidates = dict(await admissions.read())
            held = {key async for key in self._held(layout)} if candidates else set[str]()
            still = await admissions.read()
            places = [place for place in self._leaked(candidates, held) if still.get(place.key) == place.admission]
        return sorted(places, key=lambda place: place.admission.deadline_ms)

    async def free(self, places: list[LeakedPlace]) -> int:
        """Close the admissions of *places* that are still open, and return their count.

        A lost request gets a failed result in the same transaction: it has none yet.
        """
        layout = await self._layout()
        async with (
            open_admissions(self.connection, self.tenant, layout.shards) as admissions,
            await TransactionalWriter.open(self.connection, TRANSACTIONAL_ID, name=NAME) as writer,
        ):
            found = await admissions.read()
            still = [place for place in places if found.get(place.key) == place.admission]
            for first in range(0, len(still), AT_ONCE):
                some = still[first : first + AT_ONCE]
                await writer.transact([record for place in some for record in self._records(place, layout.shards)])
        return len(still)

    async def _layout(self) -> Layout:
        registry = await registry_writer.load(self.connection)
        if registry.layout is None:
            raise NoLayoutError
        if registry.layout.next is not None:
            raise LayoutMovingError(registry.layout)
        if self.tenant not in registry.tenants:
            raise UnknownTenantError(self.tenant)
        return registry.layout

    async def _held(self, layout: Layout) -> AsyncIterator[str]:
        async for record in unfinished(self.connection, layout):
            if (key := admission_key_in(record)) is not None:
                yield key

    def _leaked(self, candidates: Mapping[str, AdmissionKey], held: set[str]) -> Iterator[LeakedPlace]:
        long_ago = self.clock.now_ms() - LONG_PASSED_MS
        for key, admission in candidates.items():
            if key not in held:
                yield LeakedPlace(key, admission, "lost")
            elif admission.deadline_ms < long_ago:
                yield LeakedPlace(key, admission, "expired")

    def _records(self, place: LeakedPlace, shards: int) -> Iterator[ProducerRecord]:
        trace, now_ms = follow(()).headers, self.clock.now_ms()
        yield admission_record("closed", place.admission, shards=shards, trace=trace, now_ms=now_ms)
        if place.reason == "expired":  # the stage that reads it answers it
            return
        topic, origin = (
            RESULTS.of(self.tenant),
            Origin(topic=REQUESTS.of(self.tenant), partition=0, offset=0, timestamp_ms=0),
        )
        yield result_record(
            _lost(place), tenant=self.tenant, origin=origin, session=None, topic=topic, trace=trace, now_ms=now_ms
        )


def _lost(place: LeakedPlace) -> Result:
    row = place.row()
    error = error_of(InternalError("the platform lost the request: send it again under another id"))
    return Result(request_id=row["request_id"], run_id=row["run_id"], agent=row["agent"], status="failed", error=error)
