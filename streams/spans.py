"""Messaging spans of one stage, by OpenTelemetry's conventions for messaging systems and for Kafka.

A trace is sampled where it enters the platform, and by us: from then on its flag travels in the headers, and every
stage does as it says. What went wrong in a trace that is not sampled is recorded all the same, as a span of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from opentelemetry import trace as otel
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer

from schemas.clock import Clock, SystemClock
from schemas.headers import CORRELATION_ID, Headers
from schemas.records import Outgoing, Partition, Record
from schemas.topics import DEAD_LETTERS, INBOX, tenant_of
from streams.allowance import Allowance
from streams.outcomes import fault_of, outcome
from streams.tracing import Trace, below, chosen, follow, parent_of, trace_at
from streams.work import Outputs

Attributes: TypeAlias = Mapping[str, str | int]
Run: TypeAlias = Callable[[], Outputs | Awaitable[Outputs]]

LINKS = 128
"""Of one commit span: what the SDK keeps."""

_UNTOLD = frozenset({DEAD_LETTERS.name, INBOX.name})
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


FAULTS_A_SECOND = 10.0
"""Spans of what goes wrong in traces that are not sampled."""


@dataclass(slots=True)
class Tracing:
    """Spans of what a stage does. Without a tracer it only hands the context on, which is what it costs."""

    tracer: Tracer | None = None
    group: str = ""
    ratio: float = 1.0
    """Of the traces that enter the platform, those that are recorded."""

    clock: Clock = field(default_factory=SystemClock)
    faults: Allowance = field(init=False)

    def __post_init__(self) -> None:
        self.faults = Allowance(self.clock, FAULTS_A_SECOND, FAULTS_A_SECOND)

    # --- one record ---------------------------------------------------------------------------------------------------

    def begin(self, record: Record) -> Trace:
        """The span of a record's processing: below its sender's, recorded if the trace is sampled."""
        if self.tracer is None:
            return follow(record.headers)
        parent = parent_of(record.headers)
        entering = tenant_of(record.topic) is not None or not parent.is_valid
        if not (chosen(self.ratio) if entering else parent.trace_flags.sampled):
            return below(parent, sampled=False)
        span = self.tracer.start_span(
            f"process {record.topic}",
            context=_context(parent) if parent.is_valid else Context(),
            kind=SpanKind.CONSUMER,
            attributes=self._facts(record),
        )
        return trace_at(span.get_span_context(), span)

    def process(self, record: Record, handle: Callable[[Trace], Awaitable[Outputs]]) -> Run:
        """A job that handles *record* in a span of its own, which begins when the job does."""

        def run() -> Awaitable[Outputs]:
            here = self.begin(record)
            return handle(here) if self.tracer is None else self._awaited(record, here, handle(here))

        return run

    def around(self, record: Record, here: Trace, run: Run) -> Run:
        """The same job, whose end is the end of the span."""
        if self.tracer is None:
            return run

        def ended() -> Outputs | Awaitable[Outputs]:
            result = run()
            if not isinstance(result, list):
                return self._awaited(record, here, result)
            self._end(record, here, result)
            return result

        return ended

    async def _awaited(self, record: Record, here: Trace, work: Awaitable[Outputs]) -> Outputs:
        outputs = await work
        self._end(record, here, outputs)
        return outputs

    def _end(self, record: Record, here: Trace, outputs: Outputs) -> None:
        fault, span = fault_of(outputs), here.span
        if span is None and fault is not None and self.faults.take():
            span = self._apart(record, here)
        if span is None:
            return
        span.set_attribute("headrace.outcome", outcome(outputs))
        if fault is not None:
            span.set_attribute("error.type", fault)
            span.set_status(StatusCode.ERROR, fault)
        span.end()

    def _apart(self, record: Record, here: Trace) -> Span | None:
        """What went wrong in a trace that nobody records: a span of its own, linked to where it stands."""
        if self.tracer is None:
            return None
        there = SpanContext(int(here.trace_id, 16), int(here.span_id, 16), is_remote=True)
        return self.tracer.start_span(
            f"process {record.topic}",
            context=Context(),
            kind=SpanKind.CONSUMER,
            attributes=self._facts(record),
            links=[Link(there)],
        )

    def _facts(self, record: Record) -> Attributes:
        headers = Headers(record.headers)
        known: dict[str, str | int | None] = {
            "messaging.message.id": headers.text("ce_id"),
            "messaging.message.conversation_id": headers.text(CORRELATION_ID),
            "messaging.kafka.message.key": record.key.decode(errors="replace") if record.key else None,
            "tenant.id": tenant_of(record.topic) or _tenant_in(record.key),
        }
        return {
            **_destination("process", "process", record.topic, record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.message.body.size": len(record.value or b""),
            "messaging.consumer.group.name": self.group,
            **{name: value for name, value in known.items() if value is not None},
        }

    # --- one transaction ----------------------------------------------------------------------------------------------

    def committed(self, outputs: Outputs, inputs: list[Partition], seconds: float) -> None:
        """A transaction has been committed: a span for each sampled record it wrote, and one that is linked to all."""
        if self.tracer is None:
            return
        sent = [(output, where) for output in outputs if (where := _sampled(output)) is not None]
        if not sent:
            return
        end = self.clock.now_ms() * 1_000_000
        begin = end - int(seconds * 1e9)
        for output, where in sent:
            self._timed(f"send {output.topic}", SpanKind.PRODUCER, _context(where), _sending(output), begin, end)
        facts = self._committing({each.topic for each in inputs}, len(outputs))
        links = [Link(where) for where in {where.span_id: where for _, where in sent}.values()][:LINKS]
        topic = facts.get("messaging.destination.name", self.group)
        self._timed(f"commit {topic}", SpanKind.CLIENT, Context(), facts, begin, end, links)

    def _timed(
        self,
        name: str,
        kind: SpanKind,
        context: Context,
        facts: Attributes,
        begin: int,
        end: int,
        links: Iterable[Link] = (),
    ) -> None:
        if self.tracer is not None:
            span = self.tracer.start_span(name, context, kind, facts, list(links), start_time=begin)
            span.end(end)

    def _committing(self, topics: set[str], written: int) -> Attributes:
        facts: dict[str, str | int] = {
            "messaging.system": "kafka",
            "messaging.operation.name": "commit",
            "messaging.operation.type": "settle",
            "messaging.consumer.group.name": self.group,
            "messaging.batch.message_count": written,
        }
        return facts if len(topics) != 1 else {**facts, "messaging.destination.name": next(iter(topics))}


def _context(where: SpanContext) -> Context:
    """*where* as a parent that is recorded, whatever its own flag says."""
    sampled = SpanContext(
        where.trace_id, where.span_id, is_remote=True, trace_flags=_SAMPLED, trace_state=where.trace_state
    )
    return otel.set_span_in_context(NonRecordingSpan(sampled), Context())


def _sampled(output: Outgoing) -> SpanContext | None:
    """The span that wrote it, if it is recorded and the record told of. A dead letter bears the headers of its record,
    not its writer's; what the door is to remember goes along with every request, and nobody waits for it.
    """
    if output.topic in _UNTOLD:
        return None
    where = parent_of(output.headers)
    return where if where.is_valid and where.trace_flags.sampled else None


def _destination(name: str, kind: str, topic: str, partition: int | None) -> dict[str, str | int]:
    facts: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": name,
        "messaging.operation.type": kind,
        "messaging.destination.name": topic,
    }
    return facts if partition is None else {**facts, "messaging.destination.partition.id": str(partition)}


def _sending(output: Outgoing) -> Attributes:
    facts = _destination("send", "send", output.topic, output.partition)
    tenant = tenant_of(output.topic) or _tenant_in(output.key)
    return facts if tenant is None else {**facts, "tenant.id": tenant}


def _tenant_in(key: bytes | None) -> str | None:
    """Of the platform's own topics: their keys begin with it."""
    tenant, bar, _ = (key or b"").partition(b"|")
    return tenant.decode(errors="replace") if bar else None
