"""The ingress stage: reads client records, applies admission, runs the first step, and answers refused requests."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import structlog

from consumers.admission.controller import AdmissionController, AdmissionDecision
from consumers.admission.rates import rates_of
from consumers.context import StepContext
from consumers.meter import AgentMeter, NoMeter
from consumers.resilience.timeouts import lazy_timeout
from producers.admissions import serving_record
from schemas.admissions import AdmissionKey, serving_key
from schemas.envelopes import Envelope, Sizes, derived_id, open_envelope, salvage
from schemas.errors import (
    CancelledRunError,
    ExpiredError,
    HeadraceError,
    IdConflictError,
    MalformedError,
    RateLimitedError,
    RecordError,
    TenantRemovedError,
    resolve_error,
)
from schemas.records import Partition, ProducerRecord, Record
from schemas.requests import Request
from schemas.tenants import Tenant
from schemas.topics import (
    ADMISSIONS,
    CONTROL,
    CONTROL_VALUE_LIMIT,
    DEAD_LETTERS,
    EDGE_HEADER_COUNT,
    EDGE_HEADERS_LIMIT,
    EDGE_VALUE_LIMIT,
    REQUESTS,
    RESULTS,
    shard_of,
    tenant_of,
)
from streams.engine.admission_memory import AdmissionMemory
from streams.handler import Job, Outputs, StageHandler
from streams.journey import Stage
from streams.registry.tenants import TenantRegistry
from streams.stages.cancel_handler import CancelHandler
from streams.stages.dead_lettering import DeadLettering, unchanged
from streams.stages.lane_backlog import LaneBacklog
from streams.stages.record_builder import RecordBuilder, check_sizes
from streams.stages.reply_context import ReplyContext, bare_reply_context, full_reply_context, results_partitions
from streams.stages.run_step import run_step
from streams.telemetry.trace_context import Trace, follow

log = structlog.get_logger()

SIZES = Sizes(value=EDGE_VALUE_LIMIT, headers=EDGE_HEADERS_LIMIT, header_count=EDGE_HEADER_COUNT)
CONTROL_SIZES = replace(SIZES, value=CONTROL_VALUE_LIMIT)
MAX_ADMITTED = 256
"""Records of one tenant's partition that admission considers. The rest of a flood waits in its topic."""

MAX_WAITING_BYTES = 256 * 1024 * 1024
"""Bytes of the records that wait for admission in one worker. A partition may use only the free bytes."""

RETRY_AFTER_S = 60.0
"""Seconds of ``retry_after`` for a request that has waited ``max_wait``."""


@dataclass(frozen=True, slots=True)
class Ingress:
    """A record that can be answered, with the admission controller of the shard life in which it arrived."""

    record: Record
    reply_context: ReplyContext
    trace: Trace
    controller: AdmissionController

    @property
    def admission(self) -> AdmissionKey:
        """Return the admission key of the record's request."""
        return self.reply_context.admission

    def lane_backlog(self, lane_backlog: LaneBacklog) -> Callable[[], AbstractContextManager[None]]:
        """Return a factory of the context that is entered while the record waits in its lane."""
        record = self.record
        return partial(lane_backlog.holding, Partition(record.topic, record.partition), len(record.value or b""))


@dataclass(frozen=True, slots=True)
class IngressStage:
    """The first stage of a journey. One shard owns all of a tenant's request partitions, so it alone decides."""

    stage: Stage[Any, Any]
    builder: RecordBuilder
    registry: TenantRegistry
    admission_memory: AdmissionMemory
    window: int = MAX_ADMITTED
    lane_backlog: LaneBacklog = field(default_factory=LaneBacklog)
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Partition counts of the tenants' topics, where known (``ingress_partitions``)."""

    meter: AgentMeter = field(default_factory=NoMeter)

    def handler(self) -> StageHandler:
        """Return the stage for the engine. No run survives a reopened shard: admission restarts from the log."""
        return StageHandler(
            group=self.stage.group,
            route=self._route,
            prepare=self._prepare,
            committed=self.builder.tracing.committed,
            survey=self._survey,
            load_memory=self.admission_memory.load_memory,
            forget=self.admission_memory.forget,
            first=self._initial_outputs,
            is_limited=lambda partition: self.admission_memory.is_limited(tenant_of(partition.topic) or ""),
            keeps_runs=False,
            in_order=True,
            drains=False,
            window=self.window,
            exempt=self.lane_backlog.exempt,
            max_running=1_000_000,
            max_in_flight=1_000_000,
            max_in_flight_bytes=MAX_WAITING_BYTES,
        )

    def _survey(self, shard: int) -> set[Partition]:
        return results_partitions(
            tenant for tenant in self.registry.tenants.values() if shard_of(tenant.id, self.builder.shards) == shard
        )

    def _route(self, shard: int) -> set[Partition]:
        return {
            partition
            for tenant in self.registry.tenants.values()
            if shard_of(tenant.id, self.builder.shards) == shard
            for partition in ingress_partitions(tenant, self.counts)
        }

    def _initial_outputs(self, partition: Partition) -> Outputs | None:
        """Return the outputs that start a new partition, or None for a served partition whose offset is lost."""
        tenant = tenant_of(partition.topic)
        if tenant is None or self.admission_memory.is_served(tenant, serving_key(tenant, partition)):
            return None
        return [self._serving_record(tenant, partition, follow((), sampled=False))]

    def _serving_record(self, tenant: str, partition: Partition, trace: Trace) -> ProducerRecord:
        now_ms, shards = self.builder.clock.now_ms(), self.builder.shards
        return serving_record(tenant, partition, shards=shards, trace=trace.headers, now_ms=now_ms)

    def _prepare(self, _shard: int, record: Record) -> Job:
        """Return a job in a lane of its own: admission keeps the order and ends waits, so the engine must not."""
        tracing = self.builder.tracing
        trace = tracing.begin(record)
        lane, run, fallback, *_ = self._job(record, trace)
        return Job(lane, tracing.around(record, trace, run), fallback, tenant_of(record.topic) or "")

    def _job(self, record: Record, trace: Trace) -> Job:
        tenant = self.registry.tenants.get(tenant_of(record.topic) or "")
        if tenant is None:
            error = MalformedError("the topic's tenant is not known")
            return Job(record.position, lambda: [self.builder.dead_letter(record, error, trace.headers)], unchanged)
        if record.topic == CONTROL.of(tenant.id):
            return Job(record.position, partial(self._handle_control, record, tenant, trace))
        try:
            envelope = open_envelope(record, SIZES)
        except RecordError as error:
            return self._unreadable_job(record, error, tenant, trace)
        return self._request_job(envelope, self._context(tenant, envelope, trace), trace)

    def _context(self, tenant: Tenant, envelope: Envelope, trace: Trace) -> StepContext:
        return StepContext(
            tenant=tenant,
            clock=self.builder.clock,
            trace=trace.headers,
            envelope=envelope,
            spans=self.builder.tracing.below(trace, tenant.id),
            meter=self.meter,
        )

    def _unreadable_job(self, record: Record, error: HeadraceError, tenant: Tenant, trace: Trace) -> Job:
        """Return a job that answers the record if its id can be read, else a job that dead-letters it."""
        envelope = salvage(record)
        if envelope is None:
            dead_lettering = self._dead_lettering(tenant)
            return Job(record.position, partial(dead_lettering.dead_letter, record, error, trace), unchanged)
        return self._rejection_job(
            bare_reply_context(envelope, self._context(tenant, envelope, trace)), error, record, tenant, trace
        )

    def _handle_control(self, record: Record, tenant: Tenant, trace: Trace) -> Outputs | Awaitable[Outputs]:
        """Handle a control record at once, or later if the tenant sends more of them than its rate allows."""
        size = len(record.value or b"") + len(record.key or b"")
        controller = self.admission_memory.of(tenant.id)
        wait_s = controller.charge_control(tenant.id, size, tenant.limits.control_rpm)
        return (
            self._control_later(wait_s, record, tenant, trace) if wait_s else self._take_control(record, tenant, trace)
        )

    async def _control_later(self, wait_s: float, record: Record, tenant: Tenant, trace: Trace) -> Outputs:
        await asyncio.sleep(wait_s)
        outputs = self._take_control(record, tenant, trace)
        return outputs if isinstance(outputs, list) else await outputs

    def _take_control(self, record: Record, tenant: Tenant, trace: Trace) -> Outputs | Awaitable[Outputs]:
        try:
            return CancelHandler(self.builder, self.admission_memory, CONTROL_SIZES).take(record, tenant, trace)
        except HeadraceError as error:
            return self._dead_lettering(tenant).dead_letter(record, error, trace)

    def _dead_lettering(self, tenant: Tenant) -> DeadLettering:
        return DeadLettering(self.builder, self.admission_memory.of(tenant.id), tenant)

    def _rejection_job(
        self, reply_context: ReplyContext, error: HeadraceError, record: Record, tenant: Tenant, trace: Trace
    ) -> Job:
        ingress, dead_lettering = (
            Ingress(record, reply_context, trace, self.admission_memory.of(reply_context.tenant)),
            self._dead_lettering(tenant),
        )
        end = partial(self._reject, ingress, error)
        return Job(
            record.position, lambda: dead_lettering.when_admitting(record, end), partial(self._unwritable, ingress)
        )

    def _request_job(self, envelope: Envelope, context: StepContext, trace: Trace) -> Job:
        record = envelope.record
        try:
            request = envelope.request()
        except HeadraceError as error:
            return self._rejection_job(bare_reply_context(envelope, context), error, record, context.tenant, trace)
        reply_context = full_reply_context(envelope, request, context)
        ingress = Ingress(record, reply_context, trace, self.admission_memory.of(reply_context.tenant))
        return Job(
            record.position, lambda: self._process(ingress, request, context), partial(self._unwritable, ingress)
        )

    async def _process(self, ingress: Ingress, request: Request, context: StepContext) -> Outputs:
        decision: AdmissionDecision | None = None
        try:
            decision = await self._await_admission(ingress, context.tenant)
            if decision in ("cancelled", "withdrawn"):
                raise CancelledRunError  # noqa: TRY301 - its fate is decided with that of all others
            if decision == "new":
                return await self._forward(ingress, request, context)
        except Exception as raised:  # noqa: BLE001 - whatever a step raises has a fate
            error = self._log_error(resolve_error(raised), raised, ingress)
            return self._reject(ingress, error, entered=decision == "new")
        return self._answer_duplicate(ingress, decision)

    async def _await_admission(self, ingress: Ingress, tenant: Tenant) -> AdmissionDecision:
        """Wait for admission, at most until the request's deadline and the tenant's ``max_wait``.

        Raises TenantRemovedError if the tenant is removed before or meanwhile.
        """
        tenant = self._current(tenant)
        max_wait_at_ms = ingress.record.timestamp + int(tenant.limits.max_wait * 1_000)
        left_ms = min(ingress.admission.deadline_ms, max_wait_at_ms) - self.builder.clock.now_ms()
        if left_ms <= 0:  # a timeout of zero would not fire, because the code below may not suspend
            raise _wait_error(ingress, max_wait_at_ms)
        try:
            limits, lane_backlog = tenant.limits, ingress.lane_backlog(self.lane_backlog)
            entering = ingress.controller.enter(ingress.admission, limits.concurrency, rates_of(limits), lane_backlog)
            decision = await lazy_timeout(partial(asyncio.timeout, left_ms / 1_000), entering)
        except TimeoutError:
            raise _wait_error(ingress, max_wait_at_ms) from None
        if decision == "withdrawn":
            self._current(tenant)
        return decision

    def _current(self, tenant: Tenant) -> Tenant:
        """Return the registry's current record of *tenant*. Raises TenantRemovedError if it is removed."""
        current = self.registry.tenants.get(tenant.id, tenant)
        if current.state == "removed":
            raise TenantRemovedError
        return current

    async def _forward(self, ingress: Ingress, request: Request, context: StepContext) -> Outputs:
        """Return the step's outputs. The request may have waited, so the step gets the registry's current tenant."""
        tenant = self._current(context.tenant)
        admission = ingress.controller.charged(ingress.admission)
        context = replace(context, tenant=tenant, admission=admission)
        value = await run_step(self.stage, request, context, ingress.admission.deadline_ms)
        outputs = self.builder.forward(value, ingress.trace.headers)
        check_sizes(outputs)
        return [*outputs, self.builder.opened(admission, ingress.trace.headers), *self._serving_renewal(ingress)]

    def _serving_renewal(self, ingress: Ingress) -> Outputs:
        """Return a new serving record once a day for a partition in use: the admission log deletes old records."""
        tenant, partition = ingress.reply_context.tenant, Partition(ingress.record.topic, ingress.record.partition)
        if not ingress.controller.renewal_due(serving_key(tenant, partition)):
            return []
        return [self._serving_record(tenant, partition, ingress.trace)]

    def _reject(self, ingress: Ingress, error: HeadraceError, *, entered: bool = False) -> Outputs:
        """Answer with *error*, unless another record of this identity was admitted: that record is answered."""
        decision = "new" if entered else ingress.controller.lookup(ingress.admission)
        if decision not in ("new", "cancelled"):
            return self._answer_duplicate(ingress, decision)
        reply_context = ingress.reply_context._replace(admission=ingress.controller.charged(ingress.admission))
        ingress.controller.close(ingress.admission)
        return self.builder.fail(reply_context, error, ingress.record, ingress.trace.headers)

    def _unwritable(self, ingress: Ingress, outputs: Outputs, error: HeadraceError) -> Outputs:
        """Replace an answer that no topic accepts by a failed result on the tenant's own results topic."""
        admission = ingress.controller.charged(ingress.admission)
        reply_context = ingress.reply_context._replace(
            reply_to=RESULTS.of(ingress.reply_context.tenant), admission=admission
        )
        if not any(output.topic == ADMISSIONS.name for output in outputs):  # the first of this identity keeps its state
            return self._refuse(ingress, reply_context, error)
        ingress.controller.close(ingress.admission)
        return self.builder.fail(reply_context, error, ingress.record, ingress.trace.headers)

    def _answer_duplicate(self, ingress: Ingress, decision: AdmissionDecision) -> Outputs:
        """Return nothing for a duplicate, which the first request's result answers. Refuse a conflict with a result."""
        if decision == "joined":
            return []
        return self._refuse(ingress, ingress.reply_context, IdConflictError())

    def _refuse(self, ingress: Ingress, reply_context: ReplyContext, error: HeadraceError) -> Outputs:
        """Refuse a record that shares its identity with another one. A dead letter counts, as all others do."""
        outputs = self.builder.refuse(
            _with_own_run_id(reply_context, ingress), error, ingress.record, ingress.trace.headers
        )
        if any(output.topic == DEAD_LETTERS.name for output in outputs):
            ingress.controller.breaker(reply_context.tenant).note(self.builder.clock.now_ms(), dead_lettered=True)
        return outputs

    def _log_error(self, error: HeadraceError, raised: Exception, ingress: Ingress) -> HeadraceError:
        unknown = error.code == "internal"
        log.log(
            logging.ERROR if unknown else logging.INFO,
            "request_rejected",
            code=error.code,
            tenant=ingress.reply_context.tenant,
            request_id=ingress.reply_context.request_id,
            trace_id=ingress.trace.trace_id,
            exc_info=raised if unknown else None,
        )
        return error


def ingress_topics(tenant: Tenant) -> tuple[str, ...]:
    """Return the topics of a tenant that its clients write and admission reads."""
    return tuple(edge.of(tenant.id) for edge in ((REQUESTS, CONTROL) if tenant.interactive else (REQUESTS,)))


def ingress_partitions(tenant: Tenant, counts: Mapping[str, int] = MappingProxyType({})) -> frozenset[Partition]:
    """Return the partitions of these topics: as many as the record says, or as *counts* says if that is more.

    A topic with a count of 0 does not exist yet, and has none.
    """
    return frozenset(
        Partition(topic, number)
        for topic in ingress_topics(tenant)
        if (count := counts.get(topic, tenant.partitions))
        for number in range(max(count, tenant.partitions))
    )


def _with_own_run_id(reply_context: ReplyContext, ingress: Ingress) -> ReplyContext:
    """Return the reply context with a run id of its own, for a record that shares its identity with another."""
    return reply_context._replace(run_id=hashlib.sha256(derived_id(ingress.record).encode()).hexdigest()[:32])


def _wait_error(ingress: Ingress, max_wait_at_ms: int) -> HeadraceError:
    """Return the error of the earlier limit, deadline or ``max_wait``, without regard to the current time."""
    if ingress.admission.deadline_ms <= max_wait_at_ms:
        return ExpiredError()
    return RateLimitedError("the request waited as long as its tenant's requests may", retry_after=RETRY_AFTER_S)
