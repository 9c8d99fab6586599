"""An inner stage: opens a sealed hop, runs its step, and writes the next hop, the result, a retry or the failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from consumers.context import StepContext
from consumers.meter import AgentMeter, NoMeter
from consumers.spending import Spending
from schemas.errors import ExpiredError, HeadraceError, resolve_error
from schemas.records import Partition, Record
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from streams.handler import MAX_IN_FLIGHT, Job, Outputs, StageHandler, equal_weight
from streams.journey import Stage, Step
from streams.registry.tenants import TenantRegistry
from streams.scheduling.scheduler import CostEstimate
from streams.stages.record_builder import RecordBuilder, check_sizes
from streams.stages.reply_context import ReplyContext, reply_context_of, results_partitions
from streams.stages.retries import RetryTiers
from streams.stages.run_step import run_step
from streams.stages.sealed_records import open_record, reject, unwritable
from streams.telemetry.trace_context import Trace

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class InnerStage:
    """A stage that reads a platform topic, and writes another one or the results."""

    stage: Stage[Any, Any]
    builder: RecordBuilder
    registry: TenantRegistry
    retries: RetryTiers
    max_running: int = 500
    weight: Callable[[str], float] = equal_weight
    """Tenant to its share of the run slots."""

    costs: CostEstimate = field(default_factory=CostEstimate)
    meter: AgentMeter = field(default_factory=NoMeter)
    prepare_isolated: Step[Any, Any] | None = None
    """The same step for suspect records. This process survives any crash that they cause."""

    def handler(self) -> StageHandler:
        """Return the stage for the engine: partition n is shard n."""
        topic = self.stage.reads.name
        return StageHandler(
            group=self.stage.group,
            route=lambda shard: {Partition(topic, shard)},
            prepare=self._prepare,
            committed=self.builder.tracing.committed,
            survey=lambda _: results_partitions(self.registry.tenants.values()),
            relocates=True,
            prepare_isolated=None if self.prepare_isolated is None else self._with(self.prepare_isolated)._prepare,  # noqa: SLF001 - another of its kind
            max_running=self.max_running,
            max_in_flight=max(MAX_IN_FLIGHT, 2 * self.max_running),
            weight=self.weight,
        )

    def _with(self, step: Step[Any, Any]) -> InnerStage:
        return replace(self, stage=replace(self.stage, run=step))

    def _prepare(self, _shard: int, record: Record) -> Job:
        tenant, spending = _tenant_in(record.key), Spending()
        return Job(
            record.key or record.position,
            self.builder.tracing.process(record, partial(self._handle, record, spending)),
            lambda _, error: unwritable(self.builder, self.stage.reads, record, error, spending.usage),
            tenant,
            self.costs.expected(tenant),
        )

    async def _handle(self, record: Record, spending: Spending, trace: Trace) -> Outputs:
        try:
            stage_record = open_record(self.stage.reads, record, self.builder.seals)
        except HeadraceError as error:
            return reject(self.builder, record, error, trace)
        began, reply_context = self.builder.clock.monotonic(), reply_context_of(stage_record)
        spending.resume(reply_context.usage)
        try:
            return await self._run(stage_record, reply_context, record, trace, spending)
        finally:
            self.costs.note(reply_context.tenant, self.builder.clock.monotonic() - began)

    async def _run(
        self,
        stage_record: Authorized | Screened,
        reply_context: ReplyContext,
        record: Record,
        trace: Trace,
        spending: Spending,
    ) -> Outputs:
        try:
            return await self._advance(stage_record, reply_context, record, trace, spending)
        except Exception as raised:  # noqa: BLE001 - whatever a step raises has a fate
            error = resolve_error(raised)
            self._log_error(error, raised, reply_context)
            usage = spending.usage
            if isinstance(stage_record, Screened) and (
                again := self.retries.again(stage_record, error, trace.headers, usage)
            ):
                return [again]
            return self.builder.fail(reply_context._replace(usage=usage), error, record, trace.headers)

    async def _advance(
        self,
        stage_record: Authorized | Screened,
        reply_context: ReplyContext,
        record: Record,
        trace: Trace,
        spending: Spending,
    ) -> Outputs:
        clock = self.builder.clock
        if reply_context.admission.deadline_ms <= clock.now_ms():
            raise ExpiredError
        tenant = await self.registry.tenant(reply_context.tenant)
        context = StepContext(
            tenant=tenant,
            clock=clock,
            trace=trace.headers,
            spending=spending,
            spans=self.builder.tracing.below(trace, reply_context.tenant),
            meter=self.meter,
        )
        value = await run_step(self.stage, stage_record, context, reply_context.admission.deadline_ms)
        if isinstance(value, Result):
            return self.builder.answer(reply_context, value, trace.headers)
        outputs = self.builder.forward(value, trace.headers, record.partition)
        check_sizes(outputs)
        return outputs

    def _log_error(self, error: HeadraceError, raised: Exception, reply_context: ReplyContext) -> None:
        unknown = error.code == "internal"
        log.log(
            logging.ERROR if unknown else logging.INFO,
            "run_failed" if error.status == "failed" else "run_ended",
            code=error.code,
            stage=self.stage.name,
            tenant=reply_context.tenant,
            request_id=reply_context.request_id,
            run_id=reply_context.run_id,
            error=type(raised).__name__,
            exc_info=raised if unknown else None,
        )


def _tenant_in(key: bytes | None) -> str:
    """Return the tenant at the start of a hop's key. It serves fair scheduling only, before the seal is verified."""
    return (key or b"").partition(b"|")[0].decode(errors="replace")
