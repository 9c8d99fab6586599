"""The headers that every record of ours bears."""

from __future__ import annotations

from producers.envelopes import correlation_of, envelope, event_of
from tests.unit.producers.samples import NOW, ORIGIN, TRACE


def test_an_event_says_what_it_is_and_when_in_binary_mode() -> None:
    """CloudEvents out, whatever came in."""
    event = event_of("headrace.result.v1", tenant="acme", identifier="run", subject="r-1", now_ms=NOW)

    assert envelope(event, TRACE, (("correlation_id", b"c"),)) == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"run"),
        ("ce_type", b"headrace.result.v1"),
        ("ce_source", b"/headrace/acme"),
        ("ce_time", b"2023-11-14T22:13:20.000Z"),
        ("ce_subject", b"r-1"),
        ("content-type", b"application/json"),
        *TRACE,
        ("correlation_id", b"c"),
    )


def test_a_correlation_id_is_echoed_byte_for_byte_in_the_header_it_came_in_and_in_ours() -> None:
    """Spring's is sixteen raw bytes, and its client looks for them under its own name."""
    raw = b"\x00\xff" * 8

    assert correlation_of(ORIGIN, "r-1") == (("correlation_id", raw), ("kafka_correlationId", raw))


def test_an_empty_correlation_id_is_one_and_a_missing_one_is_the_requests_id() -> None:
    """Everybody can find their answer by something."""
    empty = ORIGIN.model_copy(update={"correlation_id": b"", "correlation_header": "correlation_id"})
    missing = empty.model_copy(update={"correlation_id": None})

    assert correlation_of(empty, "r-1") == (("correlation_id", b""),)
    assert correlation_of(missing, "r-1") == (("correlation_id", b"r-1"),)
