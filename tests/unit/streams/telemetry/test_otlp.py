"""A span's bytes are read as what the SDK makes of the same facts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from streams.telemetry import otlp
from streams.telemetry.trace_context import RemoteSpan

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
NUMBERS = st.integers(0, 2**63 - 1)
IDS = st.tuples(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1))
FACTS = st.dictionaries(st.text("abc.", min_size=1, max_size=140), TEXTS | NUMBERS, max_size=6)


def where(ids: tuple[int, int], state: str = "") -> SpanContext:
    """In another process."""
    return SpanContext(*ids, is_remote=True, trace_flags=SAMPLED, trace_state=TraceState.from_header([state]))


def hexed(ids: tuple[int, int]) -> tuple[str, str]:
    """Trace and span id as they stand in headers."""
    return f"{ids[0]:032x}", f"{ids[1]:016x}"


def in_order(span: Span) -> Span:
    """Attributes have none."""
    ordered = Span()
    ordered.CopyFrom(span)
    del ordered.attributes[:]
    ordered.attributes.extend(sorted(span.attributes, key=lambda each: each.key))
    return ordered


@given(
    TEXTS,
    st.sampled_from(SpanKind),
    IDS,
    st.none() | st.integers(1, 2**64 - 1),
    st.sampled_from(["", "vendor=1", "a=b,c=d"]),
    FACTS,
    st.lists(IDS, max_size=3),
    st.none() | st.text("abc", min_size=1),
    st.integers(0, 2**63 - 1),
    st.integers(0, 2**63 - 1),
)
def test_a_span_is_what_the_sdk_would_have_sent(
    name: str,
    kind: SpanKind,
    here: tuple[int, int],
    parent: int | None,
    state: str,
    facts: dict[str, str | int],
    links: list[tuple[int, int]],
    fault: str | None,
    begin: int,
    end: int,
) -> None:
    """Every field: collectors cannot tell who wrote it."""
    above = None if parent is None else (here[0], parent)
    theirs = ReadableSpan(
        name,
        where(here, state if above else ""),
        where(above, state) if above else None,
        Resource({"service.name": "headrace-auth"}),
        facts,
        links=[Link(where(ids)) for ids in links],
        kind=kind,
        status=Status(StatusCode.UNSET) if fault is None else Status(StatusCode.ERROR, fault),
        start_time=begin,
        end_time=end,
        instrumentation_scope=InstrumentationScope("headrace"),
    )

    ours = otlp.span(
        *hexed(here),
        RemoteSpan(*hexed(above), sampled=True, state=state.encode()) if above else None,
        (begin, end),
        otlp.titled(name, kind),
        otlp.attributes(facts),
        otlp.linked(map(hexed, links)),
        otlp.UNSET if fault is None else otlp.failed(fault),
    )

    wanted = encode_spans([theirs])
    assert in_order(Span.FromString(ours)) == in_order(wanted.resource_spans[0].scope_spans[0].spans[0])


@pytest.mark.parametrize("length", [0, 1, 100, 116, 117, 118, 119, 120, 127, 128, 129, 250, 16_383, 70_000])
def test_a_text_of_any_length_is_read_as_it_was_written(length: int) -> None:
    """Beyond 127 bytes a length takes two, and each length around it grows, too."""
    text = "x" * length

    span = Span.FromString(otlp.attribute("key").text(text.encode()) + otlp.attribute("n" * 130).number(length))

    assert [(each.key, each.value.string_value or each.value.int_value) for each in span.attributes] == [
        ("key", text or 0),
        ("n" * 130, length),
    ]


def test_a_delivery_holds_the_spans_in_their_scope_and_resource() -> None:
    """Also where the lengths take more than one byte."""
    context = where((1, 2))
    spans = [otlp.span(*hexed((1, number)), None, (1, 2), otlp.UNSET) for number in range(1, 5_000)]
    empty = ReadableSpan("x", context, resource=Resource({"a": "b"}), instrumentation_scope=InstrumentationScope("s"))
    (whole,) = encode_spans([empty]).resource_spans
    (scope,) = whole.scope_spans
    del whole.scope_spans[:], scope.spans[:]

    sent = otlp.scoped(whole.SerializeToString(), scope.SerializeToString(), spans)

    (read,) = ExportTraceServiceRequest.FromString(sent).resource_spans
    assert read.resource == whole.resource
    assert read.scope_spans[0].scope == scope.scope
    assert [each.span_id for each in read.scope_spans[0].spans] == [n.to_bytes(8, "big") for n in range(1, 5_000)]
