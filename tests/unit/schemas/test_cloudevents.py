"""Binary, structured and bare JSON say the same; nonsense says so with one of our errors."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.cloudevents import STRUCTURED, CloudEvent, read, time_of
from schemas.errors import MalformedError, RecordError, TooLargeError, UnsupportedVersionError
from schemas.headers import Headers
from schemas.records import HeaderList

DATA = b'{"agent":"echo","input":"hello"}'
ATTRIBUTES = {"id": "r1", "source": "/shop", "type": "headrace.request.v1", "subject": "s", "time": "2030-01-31"}
EVENT = CloudEvent(DATA, **ATTRIBUTES)


def _read(value: bytes | None, **texts: str) -> CloudEvent:
    return read(value, Headers(tuple((name.replace("__", "-"), text.encode()) for name, text in texts.items())))


def _structured(**changes: object) -> bytes:
    event = {"specversion": "1.0", **ATTRIBUTES, "data": json.loads(DATA)} | changes
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def test_what_is_written_in_binary_mode_reads_the_same() -> None:
    """Our results are read by our own client."""
    assert read(DATA, Headers(EVENT.headers())) == EVENT


def test_attributes_that_are_absent_are_not_written() -> None:
    """An empty header is not the same as none."""
    assert CloudEvent(b"").headers() == (("ce_specversion", b"1.0"), ("content-type", b"application/json"))


@pytest.mark.parametrize("content_type", [STRUCTURED, f"{STRUCTURED}; charset=utf-8", STRUCTURED.upper()])
def test_structured_mode_reads_the_same_as_binary(content_type: str) -> None:
    """A media type may bear parameters and capitals."""
    assert _read(_structured(), content__type=content_type) == EVENT


def test_a_structured_event_is_known_without_its_content_type() -> None:
    """Whoever types into a Kafka UI sets none."""
    assert _read(_structured()) == EVENT
    assert _read(_structured(), content__type="application/json") == EVENT


def test_a_structured_event_is_known_however_far_back_its_version_stands() -> None:
    """JSON has no order: data of some size may come first."""
    data = {"agent": "echo", "input": "x" * 10_000}
    value = json.dumps({"id": "r1", "data": data, "specversion": "1.0"}).encode()

    assert json.loads(_read(value).data) == data


def test_data_in_base64_are_the_bytes_they_stand_for() -> None:
    """Section 3.1.1 of the JSON format."""
    assert _read(_structured(data=..., data_base64=base64.b64encode(DATA).decode())) == EVENT


@pytest.mark.parametrize("garbage", ["no base64!", "e30", "ä", 5, None, ["e30="]])
def test_what_is_no_base64_is_malformed(garbage: object) -> None:
    """Of any type, since clients send any."""
    with pytest.raises(MalformedError, match="base64"):
        _read(_structured(data_base64=garbage))


def test_bare_json_is_an_event_without_attributes() -> None:
    """The least that a client can do is enough."""
    assert _read(DATA) == CloudEvent(DATA)


def test_a_bare_request_that_speaks_of_a_specversion_stays_bare() -> None:
    """Only a key of the outermost object makes an event."""
    value = b'{"agent":"echo","input":"hello","metadata":{"specversion":"1.0"}}'

    assert _read(value) == CloudEvent(value)


@pytest.mark.parametrize("value", [DATA, _structured()])
def test_a_schema_registrys_prefix_is_taken_off(value: bytes) -> None:
    """Confluent's serializers put a zero byte and four bytes of schema id before the JSON."""
    assert _read(b"\x00\x00\x00\x10\x92" + value) == _read(value)


def test_a_prefix_with_nothing_behind_it_stays() -> None:
    """Five bytes are garbage, not an empty event."""
    assert _read(b"\x00\x00\x00\x10\x92").data == b"\x00\x00\x00\x10\x92"


@pytest.mark.parametrize("version", ["0.3", "1.1", "", "x" * 1_000])
def test_another_version_is_unsupported_in_either_mode(version: str) -> None:
    """A later version may mean something else by the same names."""
    with pytest.raises(UnsupportedVersionError):
        _read(DATA, ce_specversion=version)
    with pytest.raises(UnsupportedVersionError):
        _read(_structured(specversion=version))


@pytest.mark.parametrize("identifier", ["", "x" * 129, "a\nb", "a\x00", "a\u200bb"])
def test_an_id_that_is_long_empty_or_not_printable_is_malformed(identifier: str) -> None:
    """It stands in keys, headers and logs."""
    with pytest.raises(MalformedError, match="id"):
        _read(DATA, ce_id=identifier)
    with pytest.raises(MalformedError, match="id"):
        _read(_structured(id=identifier))


def test_an_id_of_128_printable_characters_is_taken_and_a_source_of_256() -> None:
    """The limits themselves are allowed, in any script."""
    event = _read(DATA, ce_id="ä" * 128, ce_source="/" * 256)

    assert (event.id, event.source) == ("ä" * 128, "/" * 256)


def test_a_source_over_its_limit_is_malformed() -> None:
    """It is part of the identity."""
    with pytest.raises(MalformedError, match="source"):
        _read(DATA, ce_source="/" * 257)


@pytest.mark.parametrize("value", [b"not json", b"", None, b"[]", b"1", b'"text"', b"\xff", b"[" * 5_000])
def test_what_is_no_structured_event_is_malformed(value: bytes | None) -> None:
    """The content type promised one."""
    with pytest.raises(RecordError):
        _read(value, content__type=STRUCTURED)


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time"])
def test_an_attribute_that_is_no_text_is_malformed(name: str) -> None:
    """1 and "1" would be one id to some readers and two to others."""
    with pytest.raises(MalformedError, match=name):
        _read(_structured(**{name: 1}))


def test_an_attribute_that_is_null_is_absent() -> None:
    """As a header that is NULL."""
    assert _read(_structured(subject=None)).subject is None


_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["ce_specversion", "ce_id", "ce_source", "ce_type", "content-type", "other"]),
        st.none() | st.binary(max_size=40) | st.sampled_from([b"1.0", STRUCTURED.encode()]),
    ),
    max_size=6,
).map(tuple)
_VALUES = (
    st.none()
    | st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["specversion", "id", "data", "data_base64", "x"]), inner, max_size=5)
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)


@given(value=_VALUES, headers=_HEADERS)
def test_arbitrary_bytes_raise_our_errors_or_none(value: bytes | None, headers: HeaderList) -> None:
    """Whatever a producer writes ends in an event or in a dead letter, never in a crash (I10)."""
    try:
        event = read(value, Headers(headers))
    except RecordError:
        return

    assert isinstance(event.data, bytes)


def test_a_time_is_written_in_utc_with_milliseconds() -> None:
    """RFC 3339, as CloudEvents asks for."""
    assert time_of(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"


@pytest.mark.parametrize(
    "body",
    [
        b'{"agent":"echo","input":[' + b",".join([b'{"text":""}'] * 87_000) + b"]}",
        b'{"agent":"echo","input":[' + b",".join([b"1"] * 500_000) + b"]}",
        b'{"specversion":"1.0","data":{"agent":"echo","input":"x","z":[' + b",".join([b"{}"] * 300_000) + b"]}}",
        b"[" * 1_000_000,
        b'"a",' * 250_000,
    ],
    ids=["parts", "numbers", "structured", "depth", "texts"],
)
def test_values_are_counted_before_they_are_parsed(body: bytes) -> None:
    """C.2: each value costs as much as a kilobyte of text; half a million faults took 4.7 s to report."""
    with pytest.raises(TooLargeError, match="10000 values"):
        read(body, Headers(()))


def test_the_separators_in_a_text_are_no_values() -> None:
    """A megabyte of prose or of program text is one value."""
    text = json.dumps({"agent": "echo", "input": 'call(a, b)[0]; {"x": "\\"}, ' * 30_000}).encode()
    assert read(text, Headers(())).data == text


def test_values_in_base64_are_counted_too() -> None:
    """The data of a structured event are a body of their own."""
    data = base64.b64encode(b"[" + b"1," * 10_000 + b"1]").decode()
    with pytest.raises(TooLargeError):
        read(json.dumps({"specversion": "1.0", "data_base64": data}).encode(), Headers(()))
