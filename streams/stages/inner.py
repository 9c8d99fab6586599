"""An inner stage: opens a sealed hop, runs its step, and writes the next hop, the result, a retry or the failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import structlog

from consumers.context import StepContext
from consumers.meter import AgentMeter, NoMeter
from consumers.spending import Spending
from schemas.errors import ExpiredError, HeadraceError, RunSupersededError, resolve_error
from schemas.records import Partition, Record
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from schemas.tenants import Tenant
from streams.handler import MAX_IN_FLIGHT, Job, Outputs, RunScope, StageHandler, equal_weight
from streams.journey import Stage, Step
from streams.registry.tenants import TenantRegistry
from streams.scheduling.scheduler import CostEstimate
from streams.stages.record_builder import RecordBuilder, check_sizes
from streams.stages.reply_context import ReplyContext, reply_context_of, results_partitions
from streams.stages.retries import RetryTiers
from streams.stages.run_step import run_step
from streams.stages.sealed_records import open_record, reject, unwritable
from streams.telemetry.trace_context import Trace

OWNERSHIP_POLL_S = 0.1
"""Seconds between two checks whether a run is owned again."""

log = structlog.get_logger()


class InnerRun(NamedTuple):
    """One run of the stage's step."""

    record: Record
    trace: Trace
    spending: Spending
    scope: RunScope
    begun: bool = False
    """True if the step has run before in this process: then it has a journal, or has lost it."""


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

    journal_identity: Callable[[], Awaitable[str]] | None = None
    """Returns the identity of the store with the journals of runs. None if the step uses no journal."""

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
            journal_identity=self.journal_identity,
            max_running=self.max_running,
            max_in_flight=max(MAX_IN_FLIGHT, 2 * self.max_running),
            weight=self.weight,
        )

    def _with(self, step: Step[Any, Any]) -> InnerStage:
        return replace(self, stage=replace(self.stage, run=step))

    def _prepare(self, _shard: int, record: Record) -> Job:
        tenant, spending = _tenant_in(record.key), Spending()
        run = partial(self._begin, record, spending)
        return Job(
            record.key or record.position,
            partial(run, RunScope()),
            lambda _, error: unwritable(self.builder, self.stage.reads, record, error, spending.itemized),
            tenant,
            self.costs.expected(tenant),
            run,
        )

    def _begin(self, record: Record, spending: Spending, scope: RunScope) -> Outputs | Awaitable[Outputs]:
        return self.builder.tracing.process(
            record, lambda trace: self._handle(InnerRun(record, trace, spending, scope))
        )()

    async def _handle(self, run: InnerRun) -> Outputs:
        try:
            stage_record = open_record(self.stage.reads, run.record, self.builder.seals)
        except HeadraceError as error:
            return reject(self.builder, run.record, error, run.trace)
        began, reply_context = self.builder.clock.monotonic(), reply_context_of(stage_record)
        run.spending.resume(reply_context.usage)
        try:
            return await self._run(stage_record, reply_context, run)
        finally:
            self.costs.note(reply_context.tenant, self.builder.clock.monotonic() - began)

    async def _run(self, stage_record: Authorized | Screened, reply_context: ReplyContext, run: InnerRun) -> Outputs:
        try:
            return await self._owned(stage_record, reply_context, run)
        except Exception as raised:  # noqa: BLE001 - whatever a step raises has a fate
            error = resolve_error(raised)
            self._log_error(error, raised, reply_context)
            usage = run.spending.itemized
            if isinstance(stage_record, Screened) and (
                again := self.retries.again(stage_record, error, run.trace.headers, usage)
            ):
                return [again]
            return self.builder.fail(reply_context._replace(usage=usage), error, run.record, run.trace.headers)

    async def _owned(self, stage_record: Authorized | Screened, reply_context: ReplyContext, run: InnerRun) -> Outputs:
        """Run the step. Repeat it if it stopped because it was unknown for a while whether this worker owns the run.

        Its journal has the finished steps, so no attempt is lost. If the shard is lost, the job is cancelled.
        """
        while True:
            token = run.scope.token()
            try:
                return await self._advance(stage_record, reply_context, run)
            except Exception as raised:  # parallel tools raise a group
                superseded = isinstance(resolve_error(raised), RunSupersededError)
                if not superseded or (run.scope.may_start() and run.scope.token() == token):
                    raise
            await self._until_owned(run.scope, reply_context.admission.deadline_ms)
            run.spending.resume(reply_context.usage)
            run = run._replace(begun=True)

    async def _until_owned(self, scope: RunScope, deadline_ms: int) -> None:
        async with scope.waiting():
            while not scope.may_start():  # the owner of a lost shard cancels this
                if deadline_ms <= self.builder.clock.now_ms():
                    raise ExpiredError
                await asyncio.sleep(OWNERSHIP_POLL_S)

    async def _advance(
        self, stage_record: Authorized | Screened, reply_context: ReplyContext, run: InnerRun
    ) -> Outputs:
        deadline_ms = reply_context.admission.deadline_ms
        if deadline_ms <= self.builder.clock.now_ms():
            raise ExpiredError
        context = await self._context(await self.registry.tenant(reply_context.tenant), run)
        value = await run_step(self.stage, stage_record, context, deadline_ms)
        if isinstance(value, Result):
            return self.builder.answer(reply_context._replace(usage=run.spending.itemized), value, run.trace.headers)
        outputs = self.builder.forward(value, run.trace.headers, run.record.partition)
        check_sizes(outputs)
        return outputs

    async def _context(self, tenant: Tenant, run: InnerRun) -> StepContext:
        changed = await run.scope.started_before()
        return StepContext(
            tenant=tenant,
            clock=self.builder.clock,
            trace=run.trace.headers,
            spending=run.spending,
            spans=self.builder.tracing.below(run.trace, tenant.id),
            meter=self.meter,
            token=run.scope.token,
            may_start=run.scope.may_start,
            owned_until=run.scope.owned_until,
            waiting=run.scope.waiting,
            started_before=run.begun or changed,
            store_changed=changed,
        )

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
