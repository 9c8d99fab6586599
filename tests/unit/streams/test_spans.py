"""Which spans are recorded, under what, and what is said on the wire for those that are not."""

from __future__ import annotations

from collections.abc import Awaitable

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, format_span_id, format_trace_id

from schemas import topics
from schemas.headers import ERROR_CODE
from schemas.records import HeaderList, Outgoing, Partition, Record
from streams.spans import Tracing
from streams.tracing import Trace, follow
from streams.work import Outputs
from tests.unit.streams.bench import NOW, REQUESTS, RESULTS, StillClock

pytestmark = pytest.mark.anyio

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LETTER = Outgoing(topics.DEAD_LETTERS.name, b"acme|x", b"v", ((ERROR_CODE, b"malformed"),))
FACTS = {
    "messaging.system": "kafka",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": REQUESTS,
    "messaging.destination.partition.id": "3",
    "messaging.kafka.offset": 7,
    "messaging.kafka.message.key": "key",
    "messaging.message.id": "r-1",
    "messaging.message.body.size": 4,
    "messaging.consumer.group.name": "headrace.auth",
    "tenant.id": "acme",
    "headrace.outcome": "answered",
}


class Bench:
    """A stage's spans, and what has come out of them."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBased(ALWAYS_ON), shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.clock = StillClock()
        self.tracing = Tracing(provider.get_tracer("test"), "headrace.auth", ratio, self.clock)

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    async def handle(self, record: Record, *outputs: Outgoing) -> Trace:
        """Process *record*, writing *outputs* with the context of its span."""
        seen: list[Trace] = []

        async def work(here: Trace) -> Outputs:
            seen.append(here)
            return [output._replace(headers=output.headers + here.headers) for output in outputs]

        made = self.tracing.process(record, work)()
        assert isinstance(made, Awaitable)
        self.written = await made
        return seen[0]


def record(topic: str = REQUESTS, *, flag: str = "00") -> Record:
    """Of a client that has a trace of its own."""
    parent = f"00-{TRACE_ID}-{SPAN_ID}-{flag}".encode()
    return Record(topic, 3, 7, NOW, b"key", b"body", (("traceparent", parent), ("ce_id", b"r-1")))


def answer(status: bytes = b"succeeded", error: bytes = b"") -> Outgoing:
    """A result."""
    value = b'{"request_id":"r","run_id":"u","agent":"echo","status":"' + status + b'"' + error + b"}"
    return Outgoing(RESULTS, b"key", value)


def placed(span: ReadableSpan) -> SpanContext:
    """Where a span stands."""
    where: SpanContext | None = span.context
    assert where is not None
    return where


def ids(headers: HeaderList) -> tuple[str, str, str]:
    """Trace, span and flag of a traceparent."""
    _, trace, span, flag = dict(headers)["traceparent"].decode().split("-")  # type: ignore[union-attr]
    return trace, span, flag


async def test_a_record_is_processed_below_its_sender_and_says_what_the_convention_wants() -> None:
    """And what it writes stands below it in turn."""
    bench = Bench()

    await bench.handle(record(), answer())

    (span,) = bench.spans
    assert (span.name, span.kind, dict(span.attributes or {})) == (f"process {REQUESTS}", SpanKind.CONSUMER, FACTS)
    assert format_trace_id(placed(span).trace_id) == TRACE_ID
    assert span.parent is not None
    assert format_span_id(span.parent.span_id) == SPAN_ID
    assert ids(bench.written[0].headers) == (TRACE_ID, format_span_id(placed(span).span_id), "01")


@pytest.mark.parametrize("flag", ["00", "01"])
@pytest.mark.parametrize(("ratio", "recorded"), [(1.0, 1), (0.0, 0)])
async def test_the_platform_decides_what_is_sampled_and_not_the_client(flag: str, ratio: float, recorded: int) -> None:
    """Its flag would let it decide what our telemetry costs."""
    bench = Bench(ratio)

    await bench.handle(record(flag=flag), answer())

    assert len(bench.spans) == recorded
    assert ids(bench.written[0].headers)[::2] == (TRACE_ID, f"0{recorded}")


@pytest.mark.parametrize(("flag", "recorded"), [("00", 0), ("01", 1)])
async def test_a_stage_behind_the_door_does_as_the_door_decided(flag: str, recorded: int) -> None:
    """Half a trace helps nobody."""
    for ratio in (0.0, 1.0):
        bench = Bench(ratio)

        await bench.handle(record(topics.SCREENED.name, flag=flag), answer())

        assert len(bench.spans) == recorded
        assert ids(bench.written[0].headers)[2] == flag


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (LETTER, "malformed"),
        (answer(b"refused", b',"error":{"code":"forbidden","message":"no","retryable":false}'), "forbidden"),
        (answer(b"cancelled"), "cancelled"),
        (Outgoing(topics.RETRY_TIERS[0][1].name, b"acme|s", b"v", ((ERROR_CODE, b"model_timeout"),)), "model_timeout"),
    ],
)
async def test_what_goes_wrong_in_a_trace_that_is_not_sampled_is_recorded_and_linked(
    output: Outgoing, code: str
) -> None:
    """It is what somebody will look for."""
    bench = Bench(ratio=0.0)

    here = await bench.handle(record(), output)

    (span,) = bench.spans
    assert (span.attributes or {})["error.type"] == code
    assert span.status.status_code is StatusCode.ERROR
    assert span.parent is None
    assert format_trace_id(placed(span).trace_id) != TRACE_ID
    assert [format_span_id(link.context.span_id) for link in span.links] == [here.span_id]


async def test_a_flood_of_errors_does_not_become_a_flood_of_spans() -> None:
    """Ten a second, whatever comes."""
    bench = Bench(ratio=0.0)

    for _ in range(100):
        await bench.handle(record(), LETTER)
    assert len(bench.spans) == 10

    bench.clock.at_ms += 500
    for _ in range(100):
        await bench.handle(record(), LETTER)
    assert len(bench.spans) == 15


async def test_a_transaction_is_a_send_for_each_record_and_one_commit_that_is_linked() -> None:
    """Each send below the span that wrote the record; a dead letter bears the headers of another."""
    bench = Bench()
    await bench.handle(record(), answer(), LETTER)
    process = bench.spans[0]

    bench.tracing.committed(bench.written, [Partition(REQUESTS, 3)], 0.25)

    _, send, commit = bench.spans
    assert (send.name, send.kind) == (f"send {RESULTS}", SpanKind.PRODUCER)
    assert send.parent is not None
    assert send.parent.span_id == placed(process).span_id
    assert (send.start_time, send.end_time) == ((NOW - 250) * 1_000_000, NOW * 1_000_000)
    assert (send.attributes or {})["messaging.operation.type"] == "send"
    assert (commit.name, commit.kind) == (f"commit {REQUESTS}", SpanKind.CLIENT)
    assert (commit.attributes or {})["messaging.operation.type"] == "settle"
    assert [link.context.span_id for link in commit.links] == [placed(process).span_id]


async def test_what_the_door_is_to_remember_has_no_span_of_its_own() -> None:
    """Every request leaves two such records; their spans would be a third of all, and say nothing."""
    bench = Bench()
    await bench.handle(record(), answer())
    remembered = [output._replace(topic=topics.INBOX.name) for output in bench.written]

    bench.tracing.committed([*bench.written, *remembered], [Partition(REQUESTS, 3)], 0.25)

    assert [span.name for span in bench.spans[1:]] == [f"send {RESULTS}", f"commit {REQUESTS}"]


async def test_a_transaction_of_which_nothing_is_sampled_leaves_no_span() -> None:
    """It would be most of them."""
    bench = Bench(ratio=0.0)
    await bench.handle(record(), answer())

    bench.tracing.committed(bench.written, [Partition(REQUESTS, 3)], 0.25)

    assert bench.spans == []


def test_without_a_collector_the_context_travels_and_a_job_stays_as_it_is() -> None:
    """The cost is that of the headers."""
    tracing = Tracing()

    def run() -> Outputs:
        return []

    here = tracing.begin(record())

    assert here.span is None
    assert (here.trace_id, ids(here.headers)[2]) == (TRACE_ID, ids(follow(()).headers)[2])
    assert tracing.around(record(), here, run) is run
