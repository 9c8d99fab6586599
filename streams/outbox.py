"""Build the records that a stage writes for one request: next hop, result, dead letter and admission events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import structlog
from pydantic import BaseModel

from producers.controls import run_control_record
from producers.hops import authorized_record, screened_record
from producers.inbox import cancelled_record, inbox_record
from producers.letters import letter_record
from producers.results import error_of, result_record
from schemas.clock import Clock
from schemas.control import RunControl
from schemas.errors import HeadraceError, InternalError, UnwritableError
from schemas.hops import Authorized, Origin, Screened, Verdict
from schemas.inbox import Ticket
from schemas.letters import Reason
from schemas.records import HeaderList, Outgoing, Record
from schemas.results import Result, Timing, VerdictInfo, verdict_info
from schemas.seals import Seals
from schemas.topics import EDGE_RECORD_LIMIT, INNER_LIMIT, PLATFORM, tenant_of
from streams.measures import OTHER, Metrics
from streams.metrics import DEAD_LETTERS as BURIED
from streams.metrics import RESULTS
from streams.spans import Tracing
from streams.work import Outputs

log = structlog.get_logger()

UNKNOWN_TENANT = "_unknown"
"""The tenant in the key of a dead letter whose tenant cannot be proven."""

FOREIGN_LIMIT = 1_000_000
"""The limit in bytes of a record for a foreign topic: the brokers' default, less what a batch adds."""

_INNER = frozenset(topic.name for topic in PLATFORM)


class Case(NamedTuple):
    """The known details of one request: enough to answer it."""

    tenant: str
    request_id: str
    run_id: str
    agent: str
    origin: Origin
    session: str | None
    reply_to: str
    ticket: Ticket
    queued_ms: int = 0
    auth_ms: int = 0
    guard_ms: int = 0
    judged: tuple[Verdict, ...] = ()
    attempt: int = 1

    @property
    def timing(self) -> Timing:
        """The times spent so far, for the result of a request that goes no further."""
        return Timing(queued_ms=self.queued_ms, auth_ms=self.auth_ms, guard_ms=self.guard_ms)

    @property
    def verdicts(self) -> tuple[VerdictInfo, ...]:
        """The guards' verdicts, in the form that the caller may see."""
        return tuple([verdict_info(each.guard, each.action) for each in self.judged])


def case_of(hop: Authorized | Screened) -> Case:
    """Return the case of an admitted request."""
    authorized = hop.authorized if isinstance(hop, Screened) else hop
    screened = hop if isinstance(hop, Screened) else None
    return Case(
        tenant=authorized.tenant,
        request_id=authorized.request_id,
        run_id=authorized.run_id,
        agent=authorized.request.agent,
        origin=authorized.origin,
        session=authorized.request.session,
        reply_to=authorized.reply_to,
        ticket=authorized.ticket,
        queued_ms=authorized.queued_ms,
        auth_ms=authorized.auth_ms,
        guard_ms=screened.guard_ms if screened else 0,
        judged=screened.verdicts if screened else (),
        attempt=screened.attempt if screened else 1,
    )


@dataclass(frozen=True, slots=True)
class Outbox:
    """The record builder of one stage in one worker."""

    stage: str
    worker: str
    seals: Seals
    shards: int
    clock: Clock
    metrics: Metrics = field(default_factory=lambda: Metrics(OTHER))
    """Counts each result and each dead letter that is built. The default store is never exported."""

    tracing: Tracing = field(default_factory=Tracing)
    """Records the spans of this stage. The default exports none."""

    def forward(self, value: BaseModel, trace: HeaderList, partition: int | None = None) -> Outputs:
        """Return the record for a step's output, on the topic of its type. Raise InternalError for other types."""
        match value:
            case Authorized():
                return [authorized_record(value, self.seals, trace)]
            case Screened():
                return [screened_record(value, self.seals, trace, partition=partition)]
            case _:
                pass
        raise InternalError(detail=f"no topic for a {type(value).__name__}")

    def opened(self, ticket: Ticket, trace: HeaderList) -> Outgoing:
        """Return the admission event for an admitted request."""
        return inbox_record("open", ticket, shards=self.shards, trace=trace, now_ms=self.clock.now_ms())

    def closed(self, ticket: Ticket, trace: HeaderList, *, buried: bool = False) -> Outgoing:
        """Return the admission event for a finished request. *buried* means that its tenant caused a dead letter."""
        now_ms = self.clock.now_ms()
        return inbox_record("closed", ticket, shards=self.shards, trace=trace, now_ms=now_ms, buried=buried)

    def cancelled(self, key: str, request_id: str, trace: HeaderList) -> Outgoing:
        """Return the admission event that cancels a request before its admission.

        *key* is the admission key of the request, which is answered as cancelled when it arrives.
        """
        return cancelled_record(key, request_id, shards=self.shards, trace=trace, now_ms=self.clock.now_ms())

    def stop(self, tenant: str, run_id: str, trace: HeaderList) -> Outgoing:
        """Return the control record that cancels a run after its admission."""
        control = RunControl(tenant=tenant, run_id=run_id, kind="cancel")
        return run_control_record(control, self.seals, trace=trace, now_ms=self.clock.now_ms())

    def answer(self, case: Case, result: Result, trace: HeaderList) -> Outputs:
        """Return the result and the ``closed`` admission event. Raise UnwritableError if the result is too large."""
        outputs = [self._result(case, result, trace), self.closed(case.ticket, trace)]
        check_sizes(outputs)
        self.metrics.count(RESULTS, result.status, *self.metrics.tenant(case.tenant))
        return outputs

    def fail(self, case: Case, error: HeadraceError, record: Record, trace: HeaderList) -> Outputs:
        """Return the records for a request that did not succeed: the result, the admission event and any dead letter.

        Never raises. The record is dead-lettered if its error's class requires it, or if the result cannot be written.
        The request is closed in either case.
        """
        outputs = self._told(case, error, trace)
        letters = [self.bury(record, error, trace, case)] if error.buries or not outputs else []
        return [*outputs, self.closed(case.ticket, trace, buried=bool(letters) and not error.ours), *letters]

    def refuse(self, case: Case, error: HeadraceError, record: Record, trace: HeaderList) -> Outputs:
        """Return the failed result alone, or a dead letter if the result cannot be written.

        There is no admission event: the admission controller still tracks the first request with this identity.
        """
        return self._told(case, error, trace) or [self.bury(record, error, trace, case)]

    def _told(self, case: Case, error: HeadraceError, trace: HeaderList) -> Outputs:
        """Return the result, or no output if it cannot be written.

        A damaged record may have a key as large as itself.
        """
        try:
            outputs = [self._result(case, failed_result(case, error), trace)]
            check_sizes(outputs)
        except (UnwritableError, ValueError) as unwritable:
            log.error(  # noqa: TRY400 - the traceback would hold content
                "caller_not_told", code=error.code, tenant=case.tenant, reason=type(unwritable).__name__
            )
            return []
        self.metrics.count(RESULTS, error.status, *self.metrics.tenant(case.tenant))
        return outputs

    def bury(self, record: Record, error: HeadraceError, trace: HeaderList, case: Case | None = None) -> Outgoing:
        """Return the dead letter: the record as it came, with its tenant if the topic or the seal proves it."""
        tenant = case.tenant if case else tenant_of(record.topic) or UNKNOWN_TENANT
        reason = Reason(
            code=error.code,
            kind=type(error).__name__,
            message=error.safe,
            stage=self.stage,
            worker=self.worker,
            attempt=case.attempt if case else 1,
            first_failure_ms=self.clock.now_ms(),
        )
        self.metrics.count(BURIED, error.code, *self.metrics.tenant(tenant))
        return letter_record(record, reason, tenant=tenant, trace=trace)

    def _result(self, case: Case, result: Result, trace: HeaderList) -> Outgoing:
        return result_record(
            result,
            tenant=case.tenant,
            origin=case.origin,
            session=case.session,
            topic=case.reply_to,
            trace=trace,
            now_ms=self.clock.now_ms(),
        )


def failed_result(case: Case, error: HeadraceError) -> Result:
    """Return the result that tells the caller about *error*."""
    return Result(
        request_id=case.request_id,
        run_id=case.run_id,
        agent=case.agent,
        status=error.status,
        error=error_of(error),
        timing=case.timing,
        verdicts=case.verdicts,
    )


def check_sizes(outputs: Outputs) -> None:
    """Raise UnwritableError if an output is too large for its topic: one such record would block its shard."""
    for output in outputs:
        size = len(output.key or b"") + len(output.value or b"")
        for name, value in output.headers:
            size += len(name) + len(value or b"")
        if size > _limit(output.topic):
            raise UnwritableError(f"an output of {size} bytes is more than its topic takes")


def _limit(topic: str) -> int:
    if topic in _INNER:
        return INNER_LIMIT
    return EDGE_RECORD_LIMIT if tenant_of(topic) else FOREIGN_LIMIT
