"""One trace through all headers."""

from __future__ import annotations

import pytest

from schemas.records import HeaderList
from streams.telemetry.trace_context import follow

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-00".encode()


def test_a_step_stands_below_the_record_in_the_same_trace() -> None:
    """Each hop is a span of its own."""
    trace = follow((("traceparent", PARENT),))

    assert trace.trace_id == TRACE_ID
    assert trace.span_id != SPAN_ID
    assert trace.headers == (("traceparent", f"00-{TRACE_ID}-{trace.span_id}-01".encode()),)
    assert follow(trace.headers).trace_id == TRACE_ID


def test_the_clients_sampled_flag_is_ignored() -> None:
    """It would let a client decide what our telemetry costs."""
    for flag in (b"-00", b"-01"):
        assert follow((("traceparent", PARENT[:-3] + flag),)).headers[0][1][-3:] == b"-01"  # type: ignore[index]


def test_the_trace_state_travels_and_baggage_does_not() -> None:
    """Baggage of a client may hold anything, and would be copied to every call we make."""
    came: HeaderList = (("traceparent", PARENT), ("tracestate", b"vendor=1"), ("baggage", b"user=eve"))

    headers = dict(follow(came).headers)

    assert headers["tracestate"] == b"vendor=1"
    assert "baggage" not in headers


@pytest.mark.parametrize(
    "state",
    [
        b"my prompt: the password is hunter2",
        b"a=1,a=2",
        b"a=" + b"x" * 600,
        b"SECRET" * 170_000,
        b",".join(b"k%d=1" % number for number in range(33)),
        b"a=1,\xff=2",
    ],
)
def test_a_trace_state_that_is_none_goes_no_further_and_is_not_logged(
    state: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """C.5: OpenTelemetry's reader wrote a client's text into the log."""
    trace = follow((("traceparent", PARENT), ("tracestate", state)))

    assert "tracestate" not in dict(trace.headers)
    assert not caplog.records


def test_a_trace_state_may_have_blanks_and_empty_members() -> None:
    """W3C Trace Context, section 3.3.1."""
    trace = follow((("traceparent", PARENT), ("tracestate", b"a=1 , ,t@v=x y,")))
    assert dict(trace.headers)["tracestate"] == b"a=1,t@v=x y"


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"\xff\xfe",
        b"garbage",
        b"00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-01",
        b"ff-" + b"1" * 32 + b"-" + b"1" * 16 + b"-01",
        b"-" * 70_000,
    ],
)
def test_without_a_trace_that_can_be_read_a_new_one_begins(bad: bytes | None) -> None:
    """A broken header is no reason to lose sight of the request."""
    trace = follow((("traceparent", bad), ("tracestate", b"\xff,=,=" * 9_000)))

    assert len(trace.trace_id) == 32
    assert int(trace.trace_id, 16) > 0
    assert trace.headers[0][0] == "traceparent"
    assert follow(()).trace_id != trace.trace_id


@pytest.mark.parametrize("ids", [b"0" * 32 + b"-" + b"1" * 16, b"1" * 32 + b"-" + b"0" * 16])
def test_an_id_of_zeros_is_no_parent(ids: bytes) -> None:
    """W3C Trace Context calls it invalid; whoever sends one is given a trace, and nobody else shares it."""
    trace = follow((("traceparent", b"00-" + ids + b"-01"),))

    assert trace.trace_id not in ("0" * 32, "1" * 32)
    assert trace.headers == (("traceparent", f"00-{trace.trace_id}-{trace.span_id}-01".encode()),)
