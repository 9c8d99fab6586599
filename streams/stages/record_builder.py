"""Build the records that a stage writes for one request: next hop, result, dead letter and admission events."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog
from pydantic import BaseModel

from producers.admissions import admission_record, cancelled_record, forgotten_cancel_record
from producers.controls import run_control_record
from producers.dead_letters import dead_letter_record
from producers.results import error_of, result_record
from producers.stage_records import authorized_record, screened_record
from producers.usage import usage_record
from schemas.admissions import AdmissionKey
from schemas.clock import Clock
from schemas.control import RunControl
from schemas.dead_letters import DeadLetterReason
from schemas.errors import HeadraceError, InternalError, Status, UnwritableError
from schemas.records import HeaderList, ProducerRecord, Record
from schemas.results import Result
from schemas.seals import Seals
from schemas.stage_records import Authorized, Screened
from schemas.topics import EDGE_RECORD_LIMIT, INNER_LIMIT, PLATFORM, tenant_of
from schemas.usage import UsageRecord
from streams.handler import Outputs
from streams.stages.reply_context import ReplyContext
from streams.telemetry.metric_definitions import DEAD_LETTERS as DEAD_LETTER_COUNT
from streams.telemetry.metric_definitions import RESULTS
from streams.telemetry.metric_store import OTHER, MetricStore
from streams.telemetry.spans import Tracing

log = structlog.get_logger()

UNKNOWN_TENANT = "_unknown"
"""The tenant in the key of a dead letter whose tenant cannot be proven."""

FOREIGN_LIMIT = 1_000_000
"""The limit in bytes of a record for a foreign topic: the brokers' default, less what a batch adds."""

_INNER = frozenset(topic.name for topic in PLATFORM)


@dataclass(frozen=True, slots=True)
class RecordBuilder:
    """The record builder of one stage in one worker."""

    stage: str
    worker: str
    seals: Seals
    shards: int
    clock: Clock
    metrics: MetricStore = field(default_factory=lambda: MetricStore(OTHER))
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

    def opened(self, admission: AdmissionKey, trace: HeaderList) -> ProducerRecord:
        """Return the admission event for an admitted request."""
        return admission_record("open", admission, shards=self.shards, trace=trace, now_ms=self.clock.now_ms())

    def closed(self, admission: AdmissionKey, trace: HeaderList, *, dead_lettered: bool = False) -> ProducerRecord:
        """Return the admission event for a finished request.

        *dead_lettered* means that its tenant caused a dead letter.
        """
        now_ms = self.clock.now_ms()
        return admission_record(
            "closed", admission, shards=self.shards, trace=trace, now_ms=now_ms, dead_lettered=dead_lettered
        )

    def cancelled(self, key: str, request_id: str, trace: HeaderList) -> ProducerRecord:
        """Return the admission event that cancels a request before its admission.

        *key* is the admission key of the request, which is answered as cancelled when it arrives.
        """
        return cancelled_record(key, request_id, shards=self.shards, trace=trace, now_ms=self.clock.now_ms())

    def forget_cancel(self, key: str, trace: HeaderList) -> ProducerRecord:
        """Return the record that deletes an old cancel from the admission log."""
        return forgotten_cancel_record(key, shards=self.shards, trace=trace, now_ms=self.clock.now_ms())

    def stop(self, tenant: str, run_id: str, trace: HeaderList) -> ProducerRecord:
        """Return the control record that cancels a run after its admission."""
        control = RunControl(tenant=tenant, run_id=run_id, kind="cancel")
        return run_control_record(control, self.seals, trace=trace, now_ms=self.clock.now_ms())

    def answer(self, reply_context: ReplyContext, result: Result, trace: HeaderList) -> Outputs:
        """Return the result, the ``closed`` admission event and the usage that *reply_context* states.

        Raise UnwritableError if the result is too large.
        """
        outputs = [
            self._result(reply_context, result, trace),
            self.closed(reply_context.admission, trace),
            *self._usage(reply_context, result.status, trace),
        ]
        check_sizes(outputs)
        self.metrics.count(RESULTS, result.status, *self.metrics.tenant(reply_context.tenant))
        return outputs

    def fail(self, reply_context: ReplyContext, error: HeadraceError, record: Record, trace: HeaderList) -> Outputs:
        """Return the records for a request that did not succeed: result, admission event, dead letter and usage.

        Never raises. The record is dead-lettered if its error's class requires it, or if the result cannot be written.
        The request is closed in either case.
        """
        outputs = self._failed_outputs(reply_context, error, trace)
        letters = [self.dead_letter(record, error, trace, reply_context)] if error.dead_letters or not outputs else []
        return [
            *outputs,
            self.closed(reply_context.admission, trace, dead_lettered=bool(letters) and not error.platform_fault),
            *letters,
            *self._usage(reply_context, error.status, trace),
        ]

    def refuse(self, reply_context: ReplyContext, error: HeadraceError, record: Record, trace: HeaderList) -> Outputs:
        """Return the failed result alone, or a dead letter if the result cannot be written.

        There is no admission event: the admission controller still tracks the first request with this identity.
        """
        return self._failed_outputs(reply_context, error, trace) or [
            self.dead_letter(record, error, trace, reply_context)
        ]

    def _failed_outputs(self, reply_context: ReplyContext, error: HeadraceError, trace: HeaderList) -> Outputs:
        """Return the result, or no output if it cannot be written.

        A damaged record may have a key as large as itself.
        """
        try:
            outputs = [self._result(reply_context, failed_result(reply_context, error), trace)]
            check_sizes(outputs)
        except (UnwritableError, ValueError) as unwritable:
            log.error(  # noqa: TRY400 - the traceback would hold content
                "result_unwritable", code=error.code, tenant=reply_context.tenant, reason=type(unwritable).__name__
            )
            return []
        self.metrics.count(RESULTS, error.status, *self.metrics.tenant(reply_context.tenant))
        return outputs

    def dead_letter(
        self, record: Record, error: HeadraceError, trace: HeaderList, reply_context: ReplyContext | None = None
    ) -> ProducerRecord:
        """Return the dead letter: the record as it came, with its tenant if the topic or the seal proves it."""
        tenant = reply_context.tenant if reply_context else tenant_of(record.topic) or UNKNOWN_TENANT
        reason = DeadLetterReason(
            code=error.code,
            kind=type(error).__name__,
            message=error.public_message,
            stage=self.stage,
            worker=self.worker,
            attempt=reply_context.attempt if reply_context else 1,
            first_failure_ms=self.clock.now_ms(),
        )
        self.metrics.count(DEAD_LETTER_COUNT, error.code, *self.metrics.tenant(tenant))
        return dead_letter_record(record, reason, tenant=tenant, trace=trace)

    def _usage(self, reply_context: ReplyContext, status: Status, trace: HeaderList) -> Outputs:
        """Return the usage record of a run that has ended; none if it used nothing."""
        used = reply_context.usage
        if not used.used:
            return []
        usage = UsageRecord(
            tenant=reply_context.tenant,
            run_id=reply_context.run_id,
            request_id=reply_context.request_id,
            agent=reply_context.agent,
            issuer=reply_context.issuer,
            subject=reply_context.admission.subject,
            status=status,
            attempt=reply_context.attempt,
            at_ms=self.clock.now_ms(),
            **dict(used),
        )
        return [usage_record(usage, origin=reply_context.origin, shards=self.shards, trace=trace)]

    def _result(self, reply_context: ReplyContext, result: Result, trace: HeaderList) -> ProducerRecord:
        return result_record(
            result,
            tenant=reply_context.tenant,
            origin=reply_context.origin,
            session=reply_context.session,
            topic=reply_context.reply_to,
            trace=trace,
            now_ms=self.clock.now_ms(),
        )


def failed_result(reply_context: ReplyContext, error: HeadraceError) -> Result:
    """Return the result that tells the caller about *error*."""
    return Result(
        request_id=reply_context.request_id,
        run_id=reply_context.run_id,
        agent=reply_context.agent,
        status=error.status,
        error=error_of(error),
        usage=reply_context.usage.total,
        timing=reply_context.timing,
        verdicts=reply_context.verdicts,
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
