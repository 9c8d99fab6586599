"""The messaging spans of one stage, by OpenTelemetry's conventions for messaging systems and for Kafka.

The platform decides if a trace is sampled when it enters. From then on its flag travels in the headers, and every stage
follows it. A fault in a trace that is not sampled is still recorded, as a span of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias

from opentelemetry.trace import SpanKind

from consumers.spans import Spans
from schemas.clock import Clock, SystemClock
from schemas.headers import CORRELATION_ID
from schemas.records import Partition, ProducerRecord, Record
from schemas.topics import ADMISSIONS, DEAD_LETTERS, USAGE, tenant_of
from streams.handler import Outputs
from streams.telemetry import otlp
from streams.telemetry.agent_spans import AgentTracing, agent_spans
from streams.telemetry.current_span import made_current
from streams.telemetry.outcomes import fault_of, outcome
from streams.telemetry.timestamps import Timestamps
from streams.telemetry.token_bucket import TokenBucket
from streams.telemetry.trace_context import (
    RecordedSpan,
    RemoteSpan,
    Trace,
    below,
    chosen,
    follow,
    new_id,
    remote_span,
    sampled_span,
)

Run: TypeAlias = Callable[[], Outputs | Awaitable[Outputs]]
Export: TypeAlias = Callable[[bytes], None]
"""Takes an encoded span (``streams.telemetry.otlp``), at once and without raising."""

LINKS = 128
"""The maximum number of links of one commit span, as in the SDK."""

ATTRIBUTE_LIMIT = 256
"""Bytes of a client's value in one attribute. The excess is cut."""

FAULTS_A_SECOND = 10.0
"""The spans per second for faults in traces that are not sampled."""

_UNTOLD = frozenset({DEAD_LETTERS.name, ADMISSIONS.name})
_MESSAGE, _CONVERSATION = otlp.attribute("messaging.message.id"), otlp.attribute("messaging.message.conversation_id")
_KEY, _OFFSET = otlp.attribute("messaging.kafka.message.key"), otlp.attribute("messaging.kafka.offset")
_SIZE, _COUNT = otlp.attribute("messaging.message.body.size"), otlp.attribute("messaging.batch.message_count")
_TENANT = otlp.attribute("tenant.id")


@dataclass(slots=True)
class Tracing:
    """The spans of one stage. Without an export it only passes the context on, and costs no more than that."""

    export: Export | None = None
    group: str = ""
    ratio: float = 1.0
    """The part of the traces entering the platform that is recorded."""

    clock: Clock = field(default_factory=SystemClock)
    agents: AgentTracing | None = None
    """The tracer of the spans that agents open; None if there is no export."""

    faults: TokenBucket = field(init=False)
    _instants: Timestamps = field(init=False)

    def __post_init__(self) -> None:
        self.faults = TokenBucket(self.clock, FAULTS_A_SECOND, FAULTS_A_SECOND)
        self._instants = Timestamps(self.clock)

    # --- one record ---------------------------------------------------------------------------------------------------

    def begin(self, record: Record) -> Trace:
        """Start the span that processes *record*, below its sender's span. It is recorded if the trace is sampled."""
        if self.export is None:
            return follow(record.headers)
        parent = remote_span(record.headers)
        entering = parent is None or tenant_of(record.topic) is not None
        if not (chosen(self.ratio) if entering else parent is not None and parent.sampled):
            return below(parent, sampled=False)
        return below(parent, sampled=True, span=RecordedSpan(self._instants.now_ns(), parent))

    def process(self, record: Record, handle: Callable[[Trace], Awaitable[Outputs]]) -> Run:
        """Return a job that handles *record* in a span of its own.

        The span begins when the job does, and is the current span of all code that the job calls.
        """

        def run() -> Awaitable[Outputs]:
            current = self.begin(record)
            return handle(current) if self.export is None else self._current(record, current, handle(current))

        return run

    def around(self, record: Record, current: Trace, run: Run) -> Run:
        """Return the same job; the span ends when it ends."""
        if self.export is None:
            return run

        def ended() -> Outputs | Awaitable[Outputs]:
            result = run()
            if not isinstance(result, list):
                return self._awaited(record, current, result)
            self._end(record, current, result)
            return result

        return ended

    async def _current(self, record: Record, current: Trace, handler: Awaitable[Outputs]) -> Outputs:
        made_current(current)
        outputs = await handler
        self._end(record, current, outputs)
        return outputs

    async def _awaited(self, record: Record, current: Trace, handler: Awaitable[Outputs]) -> Outputs:
        outputs = await handler
        self._end(record, current, outputs)
        return outputs

    def _end(self, record: Record, current: Trace, outputs: Outputs) -> None:
        fault, span = fault_of(outputs), current.span
        if self.export is None or (span is None and (fault is None or not self.faults.take())):
            return
        if span is not None:
            self.export(self._told(record, current, span, _ending(outcome(outputs), fault)))
        else:
            self._apart(self.export, record, current, _ending(outcome(outputs), fault))

    def _apart(self, export: Export, record: Record, current: Trace, ending: bytes) -> None:
        """Record a fault in a trace that is not sampled: a span of its own, linked to the step's place."""
        alone = below(None, sampled=True)
        link = otlp.linked([(current.trace_id, current.span_id)])
        export(self._told(record, alone, RecordedSpan(self._instants.now_ns(), None), ending + link))

    def _told(self, record: Record, current: Trace, span: RecordedSpan, ending: bytes) -> bytes:
        times = span.at_ns, max(span.at_ns, self._instants.now_ns())
        fixed = _processing(record.topic, record.partition, self.group)
        return otlp.span(current.trace_id, current.span_id, span.parent, times, fixed, _facts(record), ending)

    def below(self, current: Trace, tenant: str) -> Spans:
        """Return the spans that the step's agent opens below *current*."""
        return agent_spans(self.agents, current.headers, tenant)

    # --- one transaction ----------------------------------------------------------------------------------------------

    def committed(self, outputs: Outputs, inputs: list[Partition], seconds: float) -> None:
        """Export the spans of a committed transaction: one for each sampled output, and one with links to them."""
        if self.export is None:
            return
        sent = [(output, where) for output in outputs if (where := _sampled(output)) is not None]
        if not sent:
            return
        end = self.clock.now_ms() * 1_000_000
        times = end - int(seconds * 1e9), end
        for output, where in sent:
            self.export(otlp.span(where.trace_id, new_id(64), where, times, _sending(output)))
        places = {where.span_id: where.trace_id for _, where in sent}
        link = otlp.linked([(trace_id, span_id) for span_id, trace_id in list(places.items())[:LINKS]])
        topics = {each.topic for each in inputs}
        fixed = _committing(self.group, topics.pop() if len(topics) == 1 else None)
        self.export(otlp.span(new_id(128), new_id(64), None, times, fixed, _COUNT.number(len(outputs)), link))


def _facts(record: Record) -> bytes:
    """Return the attributes that differ from one record to the next."""
    key, first = record.key, dict(reversed(record.headers))
    told = [_OFFSET.number(record.offset), _SIZE.number(len(record.value or b""))]
    for known, value in ((_MESSAGE, first.get("ce_id")), (_CONVERSATION, first.get(CORRELATION_ID))):
        if value is not None and _is_text(value):
            told.append(known.text(_bounded(value)))
    if key:
        told.append(_KEY.text(_bounded(key)))
        if tenant_of(record.topic) is None:
            told.append(_tenant_in(record.topic, key))
    return b"".join(told)


def _bounded(value: bytes) -> bytes:
    """Return the first bytes of a client's value as UTF-8: an attribute must not carry a whole header or key."""
    if len(value) <= ATTRIBUTE_LIMIT and value.isascii():
        return value
    return value[:ATTRIBUTE_LIMIT].decode(errors="replace").encode()


def _is_text(value: bytes) -> bool:
    if value.isascii():
        return True
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _sampled(output: ProducerRecord) -> RemoteSpan | None:
    """Return the place of the span that wrote *output*, if it is recorded. Dead letters and admission events have none.

    A dead letter has the headers of its record, not those of its writer. An admission event accompanies every request,
    and no request waits for it.
    """
    return None if output.topic in _UNTOLD else sampled_span(output.headers)


@lru_cache(maxsize=64)
def _ending(outcome: str, fault: str | None) -> bytes:
    """Return the attributes and the status for how the record ended. Both values come from closed vocabularies."""
    told = otlp.attributes({"headrace.outcome": outcome})
    return told + (otlp.UNSET if fault is None else otlp.attributes({"error.type": fault}) + otlp.failed(fault))


@lru_cache(maxsize=16_384)
def _processing(topic: str, partition: int, group: str) -> bytes:
    """Return the attributes that are the same for each record of a partition."""
    told = _destination("process", topic, partition)
    return told + otlp.attributes({"messaging.consumer.group.name": group}) + _owner(topic)


@lru_cache(maxsize=16_384)
def _sent_to(topic: str, partition: int | None) -> bytes:
    return _destination("send", topic, partition) + _owner(topic) + otlp.UNSET


def _sending(output: ProducerRecord) -> bytes:
    fixed = _sent_to(output.topic, output.partition)
    return (
        fixed
        if output.key is None or tenant_of(output.topic) is not None
        else fixed + _tenant_in(output.topic, output.key)
    )


def _destination(what: str, topic: str, partition: int | None) -> bytes:
    known: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": what,
        "messaging.operation.type": what,
        "messaging.destination.name": topic,
    }
    if partition is not None:
        known["messaging.destination.partition.id"] = str(partition)
    kind = SpanKind.CONSUMER if what == "process" else SpanKind.PRODUCER
    return otlp.titled(f"{what} {topic}", kind) + otlp.attributes(known)


def _owner(topic: str) -> bytes:
    """Return the tenant attribute for a tenant's topic, else no bytes."""
    tenant = tenant_of(topic)
    return b"" if tenant is None else otlp.attributes({"tenant.id": tenant})


@lru_cache(maxsize=16_384)
def _committing(group: str, topic: str | None) -> bytes:
    """Return the fixed part of a commit span. A commit of several topics has no destination."""
    known: dict[str, str | int] = {
        "messaging.system": "kafka",
        "messaging.operation.name": "commit",
        "messaging.operation.type": "settle",
        "messaging.consumer.group.name": group,
    }
    if topic is not None:
        known["messaging.destination.name"] = topic
    return otlp.titled(f"commit {topic or group}", SpanKind.CLIENT) + otlp.attributes(known) + otlp.UNSET


def _tenant_in(topic: str, key: bytes) -> bytes:
    """Return the tenant attribute from the key of a platform topic, which is the tenant or begins with it."""
    tenant, bar, _ = key.partition(b"|")
    if not bar and topic != USAGE.name:
        return b""
    return _TENANT.text(_bounded(tenant))
