"""Dead letters."""

from __future__ import annotations

from producers.dead_letters import CUT, dead_letter_record, shortened
from schemas.dead_letters import DeadLetterReason
from schemas.records import HeaderList, Missing, ProducerRecord, Record
from schemas.relocation import relocated
from schemas.topics import DEAD_LETTER_LIMIT
from tests.unit.producers.samples import NOW, TRACE, texts

REASON = DeadLetterReason(code="malformed", kind="MalformedError", message="not JSON", stage="auth", worker="w-1")


def dead_letter(value: bytes | None = b"not json", headers: HeaderList = ()) -> ProducerRecord:
    """Of a record with this value and these headers."""
    record = Record("tenants.acme.requests", 2, 7, NOW, b"s-1", value, headers)
    return dead_letter_record(record, REASON, tenant="acme", trace=TRACE)


def weight(output: ProducerRecord) -> int:
    """Bytes of key, value and headers."""
    headers = sum(len(name) + len(value or b"") for name, value in output.headers)
    return headers + len(output.key or b"") + len(output.value or b"")


def test_a_letter_is_the_record_as_it_came_with_the_reason_beside_it() -> None:
    """An operator must see what the client sent, odd headers included."""
    odd: HeaderList = (("x", None), ("x", b"\xff"), ("ce_id", b"r-1"), ("correlation_id", b"\x00"))

    output = dead_letter(headers=odd)

    assert (output.topic, output.key) == ("platform.dead-letters", b"acme|tenants.acme.requests:2:7")
    assert output.value == b"not json"
    assert output.headers[: len(odd)] == odd
    assert texts(output)["headrace-error-code"] == "malformed"
    assert texts(output)["headrace-source"] == f"tenants.acme.requests/2/7/{NOW}"
    assert CUT not in texts(output)


def test_credentials_are_removed() -> None:
    """A signature or a seal in the dead letters could be used again."""
    output = dead_letter(
        headers=(
            ("headrace-seal", b"s"),
            ("headrace-signature", b"j"),
            ("headrace-input", b"in:0:1"),
            ("headrace-error-code", b"forged"),
        )
    )

    names = [name for name, _ in output.headers]
    assert "headrace-seal" not in names
    assert "headrace-signature" not in names
    assert "headrace-input" not in names  # the committer names the real one
    assert [value for name, value in output.headers if name == "headrace-error-code"] == [b"malformed"]


def test_the_platforms_headers_of_a_client_are_dropped() -> None:
    """C.6: a client's ``headrace-cut`` or ``headrace-replay-count`` would pass for the platform's word."""
    forged = ("cut", "replay-count", "due-at", "relocated", "error-code", "source", "signature", "seal", "new")
    headers: HeaderList = tuple((f"headrace-{name}", b"forged") for name in forged)
    output = dead_letter(headers=(*headers, ("Headrace-Seal", b"forged"), ("HEADRACE-x", b"forged"), ("own", b"kept")))

    assert b"forged" not in {value for _, value in output.headers}
    assert texts(output)["own"] == "kept"


def test_bytes_that_the_transport_did_not_read_are_counted_as_cut() -> None:
    """C.1: an operator sees how large the record was."""
    record = Record("tenants.acme.requests", 2, 7, NOW, b"s-1", b"v", (), Missing(headers=7, value=1_000))
    output = dead_letter_record(record, REASON, tenant="acme", trace=TRACE)

    assert texts(output)[CUT] == "headers 7, value 1000"


def test_a_letter_can_be_found_by_trace_id_and_correlation_even_if_its_record_had_none() -> None:
    """What is missing is added; what is NULL is replaced, for it says nothing."""
    output = dead_letter(headers=(("ce_id", None), ("traceparent", None)))

    assert [value for name, value in output.headers if name == "ce_id"] == [b"tenants.acme.requests:2:7"]
    assert [value for name, value in output.headers if name == "traceparent"] == [TRACE[0][1]]
    assert texts(output)["correlation_id"] == f"tenants.acme.requests:2:7:{NOW}", "the id of its result"


def test_the_clients_trace_is_kept() -> None:
    """A letter belongs to the trace of its request."""
    own = b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00"

    assert [value for name, value in dead_letter(headers=(("traceparent", own),)).headers if name == "traceparent"] == [
        own
    ]


def test_springs_correlation_id_is_said_again_under_our_name() -> None:
    """Byte for byte, as on results."""
    output = dead_letter(headers=(("kafka_correlationId", b"\x00\xff"),))

    assert dict(output.headers)["correlation_id"] == b"\x00\xff"


def test_a_tombstone_stays_one() -> None:
    """None and empty are two things."""
    assert dead_letter(None).value is None
    assert dead_letter(b"").value == b""


def test_what_a_letter_cannot_hold_is_cut_and_says_so() -> None:
    """A compressed batch may hold a record far above every limit: buried whole, it would wedge its shard."""
    huge = dead_letter(b"x" * (DEAD_LETTER_LIMIT + 5), headers=(("kafka_correlationId", b"c" * 100_000),))
    wide = dead_letter(b"v", headers=tuple((f"h{n}", b"x" * 1_000) for n in range(1_000)))

    assert weight(huge) <= DEAD_LETTER_LIMIT
    assert texts(huge)[CUT].startswith("value ")
    assert weight(wide) < 10_000
    assert wide.value == b"v"
    assert texts(wide)[CUT].startswith("headers 100")


def test_a_letter_is_cut_to_what_its_topic_takes_and_keeps_its_reason() -> None:
    """Its value first, and the record's own headers only if that is not enough."""
    whole = dead_letter(b"v" * 9_000, headers=(("ce_id", b"r-1"), ("x", b"x" * 1_000)))

    half, small = shortened(whole, 6_000), shortened(whole, 1_200)

    assert (weight(half) <= 6_000, weight(small) <= 1_200) == (True, True)
    assert weight(half) > 5_900
    assert texts(half)["x"] == "x" * 1_000
    assert texts(half)[CUT] == f"value {9_000 - len(half.value or b'')}"
    assert set(texts(whole)) - set(texts(small)) == {"x"}
    assert texts(small)[CUT] == f"headers 1001, value {9_000 - len(small.value or b'')}"
    assert small.value


def test_a_letter_that_is_cut_again_says_all_that_is_missing() -> None:
    """The broker says no, and not what it would take: a letter may be cut more than once."""
    once = shortened(dead_letter(b"v" * 9_000, headers=(("x", b"x" * 1_000),)), 6_000)
    again = shortened(shortened(once, 3_000), 1_100)

    assert texts(again)[CUT] == f"value {9_000 - len(again.value or b'')}, headers 1001"
    assert [name for name, _ in again.headers].count(CUT) == 1


def test_a_letter_is_never_cut_into_a_tombstone() -> None:
    """The topic is compacted: without a value the letter would be taken back; without room it stays too large."""
    nothing = shortened(dead_letter(b"v" * 100), 10)

    assert nothing.value == b""
    assert texts(nothing)["headrace-error-code"] == "malformed"
    assert shortened(nothing, 10) == nothing
    assert shortened(dead_letter(None), 10).value is None


def test_a_record_that_was_carried_is_buried_as_it_first_stood() -> None:
    """Under the position by which its first reader, its trace and its logs know it; and once, whoever buries it."""
    first = Record("platform.screened", 2, 7, NOW, b"acme|s-1", b"not json", (("a", b"1"),))
    copy = relocated(first)
    again = Record(copy.topic, 2, 20_007, NOW + 9, copy.key, copy.value, copy.headers)

    assert dead_letter_record(again, REASON, tenant="acme", trace=TRACE) == dead_letter_record(
        first, REASON, tenant="acme", trace=TRACE
    )
