"""An inner stage: opens a sealed hop, runs its step, and writes the next hop, the result, a retry or the failure."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import structlog

from consumers.context import Context
from schemas.errors import ExpiredError, HeadraceError, fate_of
from schemas.hops import Authorized, Screened
from schemas.records import HeaderList, Partition, Record
from schemas.results import Result
from streams.costs import Costs
from streams.journey import Stage, Step
from streams.outbox import Case, Outbox, case_of, check_sizes
from streams.registry import Registry
from streams.stages.retrying import RetryTiers
from streams.stages.sealed import open_hop, reject, unwritable
from streams.stages.stepping import take_step
from streams.tracing import Trace
from streams.work import MAX_HELD, Job, Outputs, Work, weighs_one

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class HopStage:
    """A stage that reads a platform topic, and writes another one or the results."""

    stage: Stage[Any, Any]
    outbox: Outbox
    registry: Registry
    retries: RetryTiers
    max_running: int = 500
    weight: Callable[[str], float] = weighs_one
    """Tenant to its share of the run slots."""

    costs: Costs = field(default_factory=Costs)
    apart: Step[Any, Any] | None = None
    """The same step for suspect records. This process survives any crash that they cause."""

    def work(self) -> Work:
        """Return the stage for the engine: partition n is shard n."""
        topic = self.stage.reads.name
        return Work(
            group=self.stage.group,
            route=lambda shard: {Partition(topic, shard)},
            prepare=self._prepare,
            committed=self.outbox.tracing.committed,
            carries=True,
            apart=None if self.apart is None else self._with(self.apart)._prepare,  # noqa: SLF001 - another of its kind
            max_running=self.max_running,
            max_held=max(MAX_HELD, 2 * self.max_running),
            weight=self.weight,
        )

    def _with(self, step: Step[Any, Any]) -> HopStage:
        return replace(self, stage=replace(self.stage, run=step))

    def _prepare(self, _shard: int, record: Record) -> Job:
        tenant = _tenant_in(record.key)
        return Job(
            record.key or record.position,
            self.outbox.tracing.process(record, partial(self._handle, record)),
            lambda _, error: unwritable(self.outbox, self.stage.reads, record, error),
            tenant,
            self.costs.expected(tenant),
        )

    async def _handle(self, record: Record, trace: Trace) -> Outputs:
        try:
            hop = open_hop(self.stage.reads, record, self.outbox.seals)
        except HeadraceError as error:
            return reject(self.outbox, record, error, trace)
        began, case = self.outbox.clock.monotonic(), case_of(hop)
        try:
            return await self._run(hop, case, record, trace.headers)
        finally:
            self.costs.note(case.tenant, self.outbox.clock.monotonic() - began)

    async def _run(self, hop: Authorized | Screened, case: Case, record: Record, trace: HeaderList) -> Outputs:
        try:
            return await self._advance(hop, case, record, trace)
        except Exception as raised:  # noqa: BLE001 - whatever a step raises has a fate
            error = fate_of(raised)
            self._tell(error, raised, case)
            if isinstance(hop, Screened) and (again := self.retries.again(hop, error, trace)):
                return [again]
            return self.outbox.fail(case, error, record, trace)

    async def _advance(self, hop: Authorized | Screened, case: Case, record: Record, trace: HeaderList) -> Outputs:
        clock = self.outbox.clock
        if case.ticket.deadline_ms <= clock.now_ms():
            raise ExpiredError
        tenant = await self.registry.tenant(case.tenant)
        context = Context(tenant=tenant, clock=clock, trace=trace)
        value = await take_step(self.stage, hop, context, case.ticket.deadline_ms)
        if isinstance(value, Result):
            return self.outbox.answer(case, value, trace)
        outputs = self.outbox.forward(value, trace, record.partition)
        check_sizes(outputs)
        return outputs

    def _tell(self, error: HeadraceError, raised: Exception, case: Case) -> None:
        unknown = error.code == "internal"
        log.log(
            logging.ERROR if unknown else logging.INFO,
            "run_failed" if error.status == "failed" else "run_ended",
            code=error.code,
            stage=self.stage.name,
            tenant=case.tenant,
            request_id=case.request_id,
            run_id=case.run_id,
            error=type(raised).__name__,
            exc_info=raised if unknown else None,
        )


def _tenant_in(key: bytes | None) -> str:
    """Return the tenant at the start of a hop's key. It serves fair scheduling only, before the seal is verified."""
    return (key or b"").partition(b"|")[0].decode(errors="replace")
