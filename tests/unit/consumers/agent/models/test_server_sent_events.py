"""Server-sent events, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from consumers.agent.models.server_sent_events import EventReader

STREAM = (
    b"\xef\xbb\xbf: hello\r\ndata: one\r\n\r\ndata:two\rdata: three\r\r"
    b"event: x\n\nid: 7\ndata\ndata:  four\n\ndata: five"
)
EVENTS = [b"one", b"two\nthree", b"\n four", b"five"]


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_events_do_not_depend_on_where_the_stream_is_cut(cuts: list[int]) -> None:
    """A line feed may come in another piece than its carriage return."""
    places = sorted({0, *cuts, len(STREAM)})
    reader, found = EventReader(), list[bytes]()
    for begin, end in pairwise(places):
        found += reader.feed(STREAM[begin:end])
    found += reader.end()

    assert found == EVENTS


def test_a_stream_of_single_bytes_costs_no_more_than_its_length() -> None:
    """A line that grows byte by byte is not searched from its beginning each time."""
    reader = EventReader()
    for _ in range(500_000):
        assert not list(reader.feed(b"x"))
