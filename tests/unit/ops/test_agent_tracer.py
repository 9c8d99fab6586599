"""The spans of agents as bytes: what the SDK's own encoder makes of the same spans."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from consumers.spans import Attribute
from ops.agent_tracer import encoded

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
NUMBERS = st.integers(-(2**63), 2**63 - 1)
VALUES = TEXTS | NUMBERS | st.booleans() | st.floats(allow_nan=False) | st.lists(TEXTS, max_size=4).map(tuple)
ATTRIBUTES = st.dictionaries(st.text("abc.", min_size=1, max_size=140), VALUES, max_size=8)
STATUSES = [Status(StatusCode.UNSET), Status(StatusCode.ERROR, "model_overloaded")]
SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def in_order(span: Span) -> Span:
    """Return the span with sorted attributes: they have no order."""
    ordered = Span()
    ordered.CopyFrom(span)
    del ordered.attributes[:]
    ordered.attributes.extend(sorted(span.attributes, key=lambda each: each.key))
    return ordered


@given(
    TEXTS,
    st.sampled_from([SpanKind.INTERNAL, SpanKind.CLIENT]),
    st.none() | st.integers(1, 2**64 - 1),
    st.sampled_from(["", "vendor=1", "a=b,c=d"]),
    ATTRIBUTES,
    st.sampled_from(STATUSES),
    st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)),
)
def test_a_span_is_encoded_as_the_sdk_encodes_it(
    name: str,
    kind: SpanKind,
    parent: int | None,
    state: str,
    attributes: Mapping[str, Attribute],
    status: Status,
    times: tuple[int, int],
) -> None:
    """A collector cannot tell which encoder wrote it."""
    above = None if parent is None else SpanContext(7, parent, is_remote=False, trace_flags=SAMPLED)
    passed = TraceState.from_header([state]) if above else TraceState()
    span = ReadableSpan(
        name,
        SpanContext(7, 9, is_remote=False, trace_flags=SAMPLED, trace_state=passed),
        above,
        attributes=attributes,
        kind=kind,
        status=status,
        start_time=times[0],
        end_time=times[1],
        instrumentation_scope=InstrumentationScope("headrace"),
    )

    (wanted,) = encode_spans([span]).resource_spans[0].scope_spans[0].spans

    assert in_order(Span.FromString(encoded(span))) == in_order(wanted)


@pytest.mark.parametrize("number", [2**64, -(2**70)])
def test_a_number_out_of_range_is_no_error(number: int) -> None:
    """A span must not fail a run. The protocol has 64 bits."""
    span = ReadableSpan("x", SpanContext(7, 9, is_remote=False), attributes={"n": number})

    assert Span.FromString(encoded(span)).attributes[0].key == "n"
