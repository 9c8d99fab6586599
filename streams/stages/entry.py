"""The ingress stage: reads client records, applies admission, runs the first step, and answers refused requests."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from consumers.auth.door import Door, Seen
from consumers.auth.rates import rates_of
from consumers.context import Context
from consumers.resilience.lazy import within
from producers.inbox import serving_record
from schemas.envelopes import Envelope, Sizes, open_envelope, salvage
from schemas.errors import (
    CancelledRunError,
    ExpiredError,
    HeadraceError,
    IdConflictError,
    MalformedError,
    RateLimitedError,
    RecordError,
    fate_of,
)
from schemas.inbox import Ticket, serving_key
from schemas.records import Outgoing, Partition, Record
from schemas.requests import Request
from schemas.tenants import Tenant
from schemas.topics import (
    CONTROL,
    EDGE_HEADER_COUNT,
    EDGE_HEADERS_LIMIT,
    EDGE_VALUE_LIMIT,
    INBOX,
    REQUESTS,
    RESULTS,
    shard_of,
    tenant_of,
)
from streams.doors import Doors
from streams.journey import Stage
from streams.outbox import Case, Outbox, check_sizes
from streams.registry import Registry
from streams.stages.aside import Aside
from streams.stages.burial import Burial, as_it_is
from streams.stages.cases import bare_case, full_case
from streams.stages.controls import ControlDesk
from streams.stages.stepping import take_step
from streams.tracing import Trace, follow
from streams.work import Job, Outputs, Work

log = structlog.get_logger()

SIZES = Sizes(value=EDGE_VALUE_LIMIT, headers=EDGE_HEADERS_LIMIT, header_count=EDGE_HEADER_COUNT)
WINDOW = 256
"""Records of one tenant's partition that admission considers. The rest of a flood waits in its topic."""

HELD_BYTES = 256 * 1024 * 1024
"""Bytes of the records that wait for admission in one worker. A partition may use only the free bytes."""

RETRY_AFTER_S = 60.0
"""Seconds of ``retry_after`` for a request that has waited ``max_wait``."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record that can be answered, with the admission controller of the shard life in which it arrived."""

    record: Record
    case: Case
    trace: Trace
    door: Door

    @property
    def ticket(self) -> Ticket:
        """Return the ticket of the record's request."""
        return self.case.ticket

    def aside(self, aside: Aside) -> Callable[[], AbstractContextManager[None]]:
        """Return a factory of the context that is entered while the record waits in its lane."""
        record = self.record
        return partial(aside.holding, Partition(record.topic, record.partition), len(record.value or b""))


@dataclass(frozen=True, slots=True)
class EntryStage:
    """The first stage of a journey. One shard owns all of a tenant's request partitions, so it alone decides."""

    stage: Stage[Any, Any]
    outbox: Outbox
    registry: Registry
    doors: Doors
    window: int = WINDOW
    aside: Aside = field(default_factory=Aside)

    def work(self) -> Work:
        """Return the stage for the engine. No run survives a reopened shard: admission restarts from the log."""
        return Work(
            group=self.stage.group,
            route=self._route,
            prepare=self._prepare,
            committed=self.outbox.tracing.committed,
            remember=self.doors.remember,
            forget=self.doors.forget,
            first=self._first,
            holds=lambda partition: self.doors.holds(tenant_of(partition.topic) or ""),
            keeps_runs=False,
            in_order=True,
            drains=False,
            window=self.window,
            beside=self.aside.beside,
            max_running=1_000_000,
            max_held=1_000_000,
            max_held_bytes=HELD_BYTES,
        )

    def _route(self, shard: int) -> set[Partition]:
        return {
            partition
            for tenant in self.registry.tenants.values()
            if shard_of(tenant.id, self.outbox.shards) == shard
            for partition in doorsteps(tenant)
        }

    def _first(self, partition: Partition) -> Outputs | None:
        """Return the outputs that start a new partition, or None for a served partition whose offset is lost."""
        tenant = tenant_of(partition.topic)
        if tenant is None or self.doors.serves(tenant, serving_key(tenant, partition)):
            return None
        return [self._serving(tenant, partition, follow((), sampled=False))]

    def _serving(self, tenant: str, partition: Partition, trace: Trace) -> Outgoing:
        now_ms, shards = self.outbox.clock.now_ms(), self.outbox.shards
        return serving_record(tenant, partition, shards=shards, trace=trace.headers, now_ms=now_ms)

    def _prepare(self, _shard: int, record: Record) -> Job:
        """Return a job in a lane of its own: admission keeps the order and ends waits, so the engine must not."""
        tracing = self.outbox.tracing
        trace = tracing.begin(record)
        lane, run, instead, *_ = self._job(record, trace)
        return Job(lane, tracing.around(record, trace, run), instead, tenant_of(record.topic) or "")

    def _job(self, record: Record, trace: Trace) -> Job:
        tenant = self.registry.tenants.get(tenant_of(record.topic) or "")
        if tenant is None:
            error = MalformedError("the topic's tenant is not known")
            return Job(record.position, lambda: [self.outbox.bury(record, error, trace.headers)], as_it_is)
        if record.topic == CONTROL.of(tenant.id):
            return Job(record.position, partial(self._control, record, tenant, trace))
        try:
            envelope = open_envelope(record, SIZES)
        except RecordError as error:
            return self._damaged(record, error, tenant, trace)
        return self._readable(envelope, self._context(tenant, envelope, trace), trace)

    def _context(self, tenant: Tenant, envelope: Envelope, trace: Trace) -> Context:
        return Context(tenant=tenant, clock=self.outbox.clock, trace=trace.headers, envelope=envelope)

    def _damaged(self, record: Record, error: HeadraceError, tenant: Tenant, trace: Trace) -> Job:
        """Return a job that answers the record if its id can be read, else a job that dead-letters it."""
        envelope = salvage(record)
        if envelope is None:
            burial = self._burial(tenant)
            return Job(record.position, partial(burial.bury, record, error, trace), as_it_is)
        return self._fault(bare_case(envelope, self._context(tenant, envelope, trace)), error, record, tenant, trace)

    def _control(self, record: Record, tenant: Tenant, trace: Trace) -> Outputs | Awaitable[Outputs]:
        try:
            return ControlDesk(self.outbox, self.doors, SIZES).take(record, tenant, trace)
        except HeadraceError as error:
            return self._burial(tenant).bury(record, error, trace)

    def _burial(self, tenant: Tenant) -> Burial:
        return Burial(self.outbox, self.doors.of(tenant.id), tenant)

    def _fault(self, case: Case, error: HeadraceError, record: Record, tenant: Tenant, trace: Trace) -> Job:
        arrival, burial = Arrival(record, case, trace, self.doors.of(case.tenant)), self._burial(tenant)
        end = partial(self._turn_away, arrival, error)
        return Job(record.position, lambda: burial.once_open(record, end), partial(self._unwritable, arrival))

    def _readable(self, envelope: Envelope, context: Context, trace: Trace) -> Job:
        record = envelope.record
        try:
            request = envelope.request()
        except HeadraceError as error:
            return self._fault(bare_case(envelope, context), error, record, context.tenant, trace)
        case = full_case(envelope, request, context)
        arrival = Arrival(record, case, trace, self.doors.of(case.tenant))
        return Job(
            record.position, lambda: self._receive(arrival, request, context), partial(self._unwritable, arrival)
        )

    async def _receive(self, arrival: Arrival, request: Request, context: Context) -> Outputs:
        seen: Seen | None = None
        try:
            seen = await self._enter(arrival, context.tenant)
            if seen == "cancelled":
                raise CancelledRunError  # noqa: TRY301 - its fate is decided with that of all others
            if seen == "new":
                return await self._forward(arrival, request, context)
        except Exception as raised:  # noqa: BLE001 - whatever a step raises has a fate
            error = self._told(fate_of(raised), raised, arrival)
            return self._turn_away(arrival, error, entered=seen == "new")
        return self._known(arrival, seen)

    async def _enter(self, arrival: Arrival, tenant: Tenant) -> Seen:
        """Wait for admission, at most until the request's deadline and the tenant's ``max_wait``."""
        waited_out = arrival.record.timestamp + int(tenant.limits.max_wait * 1_000)
        left_ms = min(arrival.ticket.deadline_ms, waited_out) - self.outbox.clock.now_ms()
        if left_ms <= 0:  # a timeout of zero would not fire, because the code below may not suspend
            raise _late(arrival, waited_out)
        try:
            limits, aside = tenant.limits, arrival.aside(self.aside)
            entering = arrival.door.enter(arrival.ticket, limits.concurrency, rates_of(limits), aside)
            return await within(partial(asyncio.timeout, left_ms / 1_000), entering)
        except TimeoutError:
            raise _late(arrival, waited_out) from None

    async def _forward(self, arrival: Arrival, request: Request, context: Context) -> Outputs:
        """Return the step's outputs. The request may have waited, so the step gets the registry's current tenant."""
        tenant = self.registry.tenants.get(context.tenant.id, context.tenant)
        ticket = arrival.door.charged(arrival.ticket)
        context = replace(context, tenant=tenant, ticket=ticket)
        value = await take_step(self.stage, request, context, arrival.ticket.deadline_ms)
        outputs = self.outbox.forward(value, arrival.trace.headers)
        check_sizes(outputs)
        return [*outputs, self.outbox.opened(ticket, arrival.trace.headers), *self._renewed(arrival)]

    def _renewed(self, arrival: Arrival) -> Outputs:
        """Return a new serving record once a day for a partition in use: the admission log deletes old records."""
        tenant, partition = arrival.case.tenant, Partition(arrival.record.topic, arrival.record.partition)
        if not arrival.door.renews(serving_key(tenant, partition)):
            return []
        return [self._serving(tenant, partition, arrival.trace)]

    def _turn_away(self, arrival: Arrival, error: HeadraceError, *, entered: bool = False) -> Outputs:
        """Answer with *error*, unless another record of this identity was admitted: that record is answered."""
        seen = "new" if entered else arrival.door.look(arrival.ticket)
        if seen not in ("new", "cancelled"):
            return self._known(arrival, seen)
        case = arrival.case._replace(ticket=arrival.door.charged(arrival.ticket))
        arrival.door.close(arrival.ticket)
        return self.outbox.fail(case, error, arrival.record, arrival.trace.headers)

    def _unwritable(self, arrival: Arrival, outputs: Outputs, error: HeadraceError) -> Outputs:
        """Replace an answer that no topic accepts by a failed result on the tenant's own results topic."""
        ticket = arrival.door.charged(arrival.ticket)
        case = arrival.case._replace(reply_to=RESULTS.of(arrival.case.tenant), ticket=ticket)
        if not any(output.topic == INBOX.name for output in outputs):  # the first of this identity keeps its state
            return self.outbox.refuse(_apart(case, arrival), error, arrival.record, arrival.trace.headers)
        arrival.door.close(arrival.ticket)
        return self.outbox.fail(case, error, arrival.record, arrival.trace.headers)

    def _known(self, arrival: Arrival, seen: Seen) -> Outputs:
        """Return nothing for a duplicate, which the first request's result answers. Refuse a conflict with a result."""
        if seen == "joined":
            return []
        case = _apart(arrival.case, arrival)
        return self.outbox.refuse(case, IdConflictError(), arrival.record, arrival.trace.headers)

    def _told(self, error: HeadraceError, raised: Exception, arrival: Arrival) -> HeadraceError:
        unknown = error.code == "internal"
        log.log(
            logging.ERROR if unknown else logging.INFO,
            "request_refused",
            code=error.code,
            tenant=arrival.case.tenant,
            request_id=arrival.case.request_id,
            trace_id=arrival.trace.trace_id,
            exc_info=raised if unknown else None,
        )
        return error


def doorsteps(tenant: Tenant) -> frozenset[Partition]:
    """Return the partitions of a tenant that its clients write and admission reads."""
    edges = (REQUESTS, CONTROL) if tenant.interactive else (REQUESTS,)
    return frozenset(Partition(edge.of(tenant.id), number) for edge in edges for number in range(tenant.partitions))


def _apart(case: Case, arrival: Arrival) -> Case:
    """Return the case with a run id of its own, for a record that shares its identity with another."""
    return case._replace(run_id=hashlib.sha256(arrival.record.position.encode()).hexdigest()[:32])


def _late(arrival: Arrival, waited_out_ms: int) -> HeadraceError:
    """Return the error of the earlier limit, deadline or ``max_wait``, without regard to the current time."""
    if arrival.ticket.deadline_ms <= waited_out_ms:
        return ExpiredError()
    return RateLimitedError("the request waited as long as its tenant's requests may", retry_after=RETRY_AFTER_S)
