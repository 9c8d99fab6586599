"""Which spans are recorded, under what, and what is said on the wire for those that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest
from opentelemetry import trace as otel
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from schemas import topics
from schemas.headers import ERROR_CODE
from schemas.records import HeaderList, Partition, ProducerRecord, Record
from streams.handler import Outputs
from streams.telemetry.spans import ATTRIBUTE_LIMIT, Tracing
from streams.telemetry.trace_context import Trace, follow
from tests.unit.streams.engine.shard_setup import NOW, REQUESTS, RESULTS, StillClock

pytestmark = pytest.mark.anyio

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
LETTER = ProducerRecord(topics.DEAD_LETTERS.name, b"acme|x", b"v", ((ERROR_CODE, b"malformed"),))
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


class Setup:
    """A stage's spans, and what has come out of them."""

    def __init__(self, ratio: float = 1.0) -> None:
        self._exported: list[bytes] = []
        self.clock = StillClock()
        self.tracing = Tracing(self._exported.append, "headrace.auth", ratio, self.clock)

    @property
    def spans(self) -> list[Span]:
        return [Span.FromString(each) for each in self._exported]

    async def handle(self, record: Record, *outputs: ProducerRecord) -> Trace:
        """Process *record*, writing *outputs* with the context of its span."""
        seen: list[Trace] = []

        async def handler(here: Trace) -> Outputs:
            seen.append(here)
            return [output._replace(headers=output.headers + here.headers) for output in outputs]

        made = self.tracing.process(record, handler)()
        assert isinstance(made, Awaitable)
        self.written = await made
        return seen[0]


def record(topic: str = REQUESTS, *, flag: str = "00") -> Record:
    """Of a client that has a trace of its own."""
    parent = f"00-{TRACE_ID}-{SPAN_ID}-{flag}".encode()
    return Record(topic, 3, 7, NOW, b"key", b"body", (("traceparent", parent), ("ce_id", b"r-1")))


def answer(status: bytes = b"succeeded", error: bytes = b"") -> ProducerRecord:
    """A result."""
    value = b'{"request_id":"r","run_id":"u","agent":"echo","status":"' + status + b'"' + error + b"}"
    return ProducerRecord(RESULTS, b"key", value)


def facts(span: Span) -> dict[str, str | int]:
    """Its attributes."""
    values = {each.key: each.value for each in span.attributes}
    return {name: value.string_value or value.int_value for name, value in values.items()}


def ids(headers: HeaderList) -> tuple[str, str, str]:
    """Trace, span and flag of a traceparent."""
    _, trace, span, flag = dict(headers)["traceparent"].decode().split("-")  # type: ignore[union-attr]
    return trace, span, flag


async def test_a_record_is_processed_below_its_sender_and_says_what_the_convention_wants() -> None:
    """And what it writes stands below it in turn."""
    setup = Setup()

    await setup.handle(record(), answer())

    (span,) = setup.spans
    assert (span.name, span.kind, facts(span)) == (f"process {REQUESTS}", Span.SPAN_KIND_CONSUMER, FACTS)
    assert len(span.attributes) == len(FACTS)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)
    assert span.status == Status()
    assert ids(setup.written[0].headers) == (TRACE_ID, span.span_id.hex(), "01")


@pytest.mark.parametrize("flag", ["00", "01"])
@pytest.mark.parametrize(("ratio", "recorded"), [(1.0, 1), (0.0, 0)])
async def test_the_platform_decides_what_is_sampled_and_not_the_client(flag: str, ratio: float, recorded: int) -> None:
    """Its flag would let it decide what our telemetry costs."""
    setup = Setup(ratio)

    await setup.handle(record(flag=flag), answer())

    assert len(setup.spans) == recorded
    assert ids(setup.written[0].headers)[::2] == (TRACE_ID, f"0{recorded}")


@pytest.mark.parametrize(("flag", "recorded"), [("00", 0), ("01", 1)])
async def test_a_stage_behind_the_door_does_as_the_door_decided(flag: str, recorded: int) -> None:
    """Half a trace helps nobody."""
    for ratio in (0.0, 1.0):
        setup = Setup(ratio)

        await setup.handle(record(topics.SCREENED.name, flag=flag), answer())

        assert len(setup.spans) == recorded
        assert ids(setup.written[0].headers)[2] == flag


@pytest.mark.parametrize(
    ("output", "code"),
    [
        (LETTER, "malformed"),
        (answer(b"refused", b',"error":{"code":"forbidden","message":"no","retryable":false}'), "forbidden"),
        (answer(b"cancelled"), "cancelled"),
        (
            ProducerRecord(topics.RETRY_TIERS[0][1].name, b"acme|s", b"v", ((ERROR_CODE, b"model_timeout"),)),
            "model_timeout",
        ),
    ],
)
async def test_what_goes_wrong_in_a_trace_that_is_not_sampled_is_recorded_and_linked(
    output: ProducerRecord, code: str
) -> None:
    """It is what somebody will look for."""
    setup = Setup(ratio=0.0)

    here = await setup.handle(record(), output)

    (span,) = setup.spans
    assert facts(span)["error.type"] == code
    assert span.status == Status(code=Status.STATUS_CODE_ERROR, message=code)
    assert span.parent_span_id == b""
    assert span.trace_id.hex() != TRACE_ID
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in span.links] == [(TRACE_ID, here.span_id)]


async def test_a_flood_of_errors_does_not_become_a_flood_of_spans() -> None:
    """Ten a second, whatever comes."""
    setup = Setup(ratio=0.0)

    for _ in range(100):
        await setup.handle(record(), LETTER)
    assert len(setup.spans) == 10

    setup.clock.at_ms += 500
    for _ in range(100):
        await setup.handle(record(), LETTER)
    assert len(setup.spans) == 15


async def test_a_transaction_is_a_send_for_each_record_and_one_commit_that_is_linked() -> None:
    """Each send below the span that wrote the record; a dead letter bears the headers of another."""
    setup = Setup()
    await setup.handle(record(), answer(), LETTER)
    process = setup.spans[0]

    setup.tracing.committed(setup.written, [Partition(REQUESTS, 3)], 0.25)

    _, send, commit = setup.spans
    assert (send.name, send.kind) == (f"send {RESULTS}", Span.SPAN_KIND_PRODUCER)
    assert (send.trace_id, send.parent_span_id) == (process.trace_id, process.span_id)
    assert (send.start_time_unix_nano, send.end_time_unix_nano) == ((NOW - 250) * 1_000_000, NOW * 1_000_000)
    assert facts(send) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": RESULTS,
        "tenant.id": "acme",
    }
    assert (commit.name, commit.kind) == (f"commit {REQUESTS}", Span.SPAN_KIND_CLIENT)
    assert facts(commit) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "commit",
        "messaging.operation.type": "settle",
        "messaging.destination.name": REQUESTS,
        "messaging.consumer.group.name": "headrace.auth",
        "messaging.batch.message_count": 2,
    }
    assert [link.span_id for link in commit.links] == [process.span_id]


async def test_what_the_door_is_to_remember_has_no_span_of_its_own() -> None:
    """Every request leaves two such records; their spans would be a third of all, and say nothing."""
    setup = Setup()
    await setup.handle(record(), answer())
    remembered = [output._replace(topic=topics.ADMISSIONS.name) for output in setup.written]

    setup.tracing.committed([*setup.written, *remembered], [Partition(REQUESTS, 3)], 0.25)

    assert [span.name for span in setup.spans[1:]] == [f"send {RESULTS}", f"commit {REQUESTS}"]


async def test_a_commit_is_linked_to_each_span_that_wrote_once_and_to_128_of_them_at_most() -> None:
    """By the span and not by the trace, of which several steps may be in one transaction; the SDK keeps no more."""
    setup = Setup()
    own = [f"00-{TRACE_ID}-{number:016x}-{flag}".encode() for number in range(1, 131) for flag in ("01", "01", "00")]
    outputs = [answer()._replace(headers=(("traceparent", each),)) for each in own]

    setup.tracing.committed(outputs, [Partition(REQUESTS, 3)], 0.25)

    *sends, commit = setup.spans
    assert len(sends) == 260
    assert [int(link.span_id.hex(), 16) for link in commit.links] == list(range(1, 129))
    assert facts(commit)["messaging.batch.message_count"] == 390


async def test_a_commit_over_several_topics_names_none_of_them() -> None:
    """The convention has one destination; the group says whose commit it is."""
    setup = Setup()
    await setup.handle(record(), answer())

    setup.tracing.committed(setup.written, [Partition(REQUESTS, 3), Partition(RESULTS, 0)], 0.25)

    commit = setup.spans[-1]
    assert commit.name == "commit headrace.auth"
    assert "messaging.destination.name" not in facts(commit)


@pytest.mark.parametrize(
    ("key", "tenant"), [(b"acme|s", "acme"), (b"a\xff|s", "a\ufffd"), (b"acme", None), (None, None)]
)
async def test_on_the_platforms_topics_the_key_says_whose_record_it_is(key: bytes | None, tenant: str | None) -> None:
    """Of what is processed and of what is sent; a tenant's own topic says it by its name."""
    setup = Setup()
    inner = record(topics.SCREENED.name, flag="01")._replace(key=key)

    await setup.handle(inner, ProducerRecord(topics.SCREENED.name, key, b"v", (), 2))
    setup.tracing.committed(setup.written, [Partition(topics.SCREENED.name, 3)], 0.25)

    process, send, _ = setup.spans
    assert facts(process).get("tenant.id") == facts(send).get("tenant.id") == tenant
    assert facts(send)["messaging.destination.partition.id"] == "2"


@pytest.mark.parametrize("key", [None, b""])
async def test_a_record_without_a_key_has_no_key_to_tell_of(key: bytes | None) -> None:
    """Its tenant is its topic's all the same."""
    setup = Setup()

    await setup.handle(record()._replace(key=key), answer())

    told = facts(setup.spans[0])
    assert "messaging.kafka.message.key" not in told
    assert told["tenant.id"] == "acme"


async def test_no_attribute_carries_a_whole_header_or_key() -> None:
    """C.5: a key may have 64 KiB, and each record would be exported with it."""
    setup = Setup()
    own: HeaderList = (("ce_id", b"i" * 60_000), ("correlation_id", "ß".encode() * 30_000))
    await setup.handle(record()._replace(headers=own, key=b"\xff" * 60_000), answer())

    told = facts(setup.spans[0])
    assert told["messaging.message.id"] == "i" * ATTRIBUTE_LIMIT
    assert told["messaging.message.conversation_id"] == "ß" * (ATTRIBUTE_LIMIT // 2)
    assert told["messaging.kafka.message.key"] == "\ufffd" * ATTRIBUTE_LIMIT


async def test_what_a_client_wrote_is_told_where_it_is_text() -> None:
    """The first of its name; a key of any bytes, as far as it can be read."""
    setup = Setup()
    own: HeaderList = (
        ("ce_id", b"\xff"),
        ("ce_id", b"r-2"),
        ("correlation_id", "größe".encode()),
        ("correlation_id", b"second"),
    )

    await setup.handle(record()._replace(headers=own, key=b"k\xff", value=None), answer())

    told = facts(setup.spans[0])
    assert "messaging.message.id" not in told
    assert told["messaging.message.conversation_id"] == "größe"
    assert told["messaging.kafka.message.key"] == "k\ufffd"
    assert told["messaging.message.body.size"] == 0


@pytest.mark.parametrize("flag", ["00", "01"])
async def test_what_an_agent_records_itself_stands_below_our_span(flag: str) -> None:
    """Whatever instruments it has: they ask OpenTelemetry where they are, and whether the trace is recorded."""
    setup = Setup()
    inner = record(topics.SCREENED.name, flag=flag)
    inner = inner._replace(headers=(*inner.headers, ("tracestate", b"vendor=1")))
    seen: list[otel.SpanContext] = []

    async def handler(here: Trace) -> Outputs:
        await asyncio.sleep(0)
        seen.append(otel.get_current_span().get_span_context())
        return [ProducerRecord(topics.SCREENED.name, b"key", here.span_id.encode())]

    async def job() -> Outputs:
        made = setup.tracing.process(inner, handler)()
        assert isinstance(made, Awaitable)
        return await made

    outside = otel.get_current_span()
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(job())

    (where,) = seen
    assert otel.format_trace_id(where.trace_id) == TRACE_ID
    assert otel.format_span_id(where.span_id).encode() == task.result()[0].value
    assert where.trace_flags.sampled == (flag == "01")
    assert where.trace_state.to_header() == "vendor=1"
    assert otel.get_current_span() is outside


async def test_a_transaction_of_which_nothing_is_sampled_leaves_no_span() -> None:
    """It would be most of them."""
    setup = Setup(ratio=0.0)
    await setup.handle(record(), answer())

    setup.tracing.committed(setup.written, [Partition(REQUESTS, 3)], 0.25)

    assert setup.spans == []


def test_without_a_collector_the_context_travels_and_a_job_stays_as_it_is() -> None:
    """The cost is that of the headers."""
    tracing = Tracing()

    def run() -> Outputs:
        return []

    here = tracing.begin(record())

    assert here.span is None
    assert (here.trace_id, ids(here.headers)[2]) == (TRACE_ID, ids(follow(()).headers)[2])
    assert tracing.around(record(), here, run) is run


async def test_a_usage_record_has_the_tenant_of_its_key() -> None:
    """Its key is the tenant alone. Each span of a trace names the tenant."""
    setup = Setup()
    usage = ProducerRecord(topics.USAGE.name, b"acme", b"v")

    await setup.handle(record(), usage)
    setup.tracing.committed(setup.written, [Partition(REQUESTS, 3)], 0.25)

    _, send, _ = setup.spans
    assert (send.name, facts(send)["tenant.id"]) == (f"send {topics.USAGE.name}", "acme")
