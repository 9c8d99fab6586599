"""CloudEvents 1.0 on Kafka: reads binary, structured and bare JSON; writes binary.

Source: CloudEvents Kafka protocol binding 1.0.2, sections 3.1 to 3.4.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pydantic_core import from_json, to_json

from schemas.errors import MalformedError, TooLargeError, UnsupportedVersionError
from schemas.headers import CONTENT_TYPE, Headers
from schemas.records import HeaderList

SPEC_VERSION = "1.0"
STRUCTURED = "application/cloudevents+json"
JSON = "application/json"
ID_LIMIT = 128
SOURCE_LIMIT = 256
VALUES = 10_000
"""Values of one JSON body: items of arrays and fields of objects."""

_REGISTRY_PREFIX = 5
_TEXT = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
"""A JSON text. The possessive repeats keep a search linear."""

_TEXTS = 2 * VALUES + 2
"""Texts that are left out of a count. A body with more has too many values anyway."""

_VERSION_HEADER, _TYPE_HEADER = ("ce_specversion", SPEC_VERSION.encode()), (CONTENT_TYPE, JSON.encode())


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The attributes of one event and its data as JSON bytes. A missing attribute is None."""

    data: bytes
    id: str | None = None
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: str | None = None

    def headers(self) -> HeaderList:
        """Return the headers of binary mode."""
        headers: list[tuple[str, bytes | None]] = [_VERSION_HEADER]
        if self.id is not None:
            headers.append(("ce_id", self.id.encode()))
        if self.type is not None:
            headers.append(("ce_type", self.type.encode()))
        if self.source is not None:
            headers.append(("ce_source", self.source.encode()))
        if self.time is not None:
            headers.append(("ce_time", self.time.encode()))
        if self.subject is not None:
            headers.append(("ce_subject", self.subject.encode()))
        headers.append(_TYPE_HEADER)
        return tuple(headers)


def attributes(*, id: str, kind: str, source: str, time: str, subject: str) -> HeaderList:
    """Return the binary-mode headers of a complete platform event, in half the time of ``CloudEvent.headers``."""
    return (
        _VERSION_HEADER,
        ("ce_id", id.encode()),
        ("ce_type", kind.encode()),
        ("ce_source", source.encode()),
        ("ce_time", time.encode()),
        ("ce_subject", subject.encode()),
        _TYPE_HEADER,
    )


def time_of(milliseconds: int) -> str:
    """Return a time, given in milliseconds since the epoch, as RFC 3339 in UTC."""
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def read(value: bytes | None, headers: Headers) -> CloudEvent:
    """Return the event of a record in any of the three modes. Raise MalformedError or UnsupportedVersionError."""
    body = _without_registry_prefix(value or b"")
    check_values(body)
    mode = (headers.text(CONTENT_TYPE) or "").split(";", 1)[0].strip().lower()
    if mode == STRUCTURED or (headers.text("ce_specversion") is None and _looks_structured(body)):
        return _checked(_structured(body))
    return _checked(_binary(body, headers))


def check_values(body: bytes) -> None:
    """Raise TooLargeError if a JSON body has more than ``VALUES`` values: each costs as much as a kilobyte of text.

    Counting is much cheaper than parsing. Texts are left out only if the body may have too many with them.
    """
    if _separators(body) > VALUES and _separators(_TEXT.sub(b"", body, _TEXTS)) > VALUES:
        message = f"the JSON has more than {VALUES} values: send long content as one text"
        raise TooLargeError(message)


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _without_registry_prefix(value: bytes) -> bytes:
    """Remove the prefix of a schema registry's serializer: a zero byte and a schema id of four bytes."""
    if len(value) > _REGISTRY_PREFIX and value[0] == 0:
        return value[_REGISTRY_PREFIX:]
    return value


def _looks_structured(body: bytes) -> bool:
    """Return True if the body is a structured event. Users of a Kafka UI rarely set a content type."""
    return b'"specversion"' in body and isinstance(event := _json(body), dict) and "specversion" in event


def _json(body: bytes) -> Any:  # noqa: ANN401 - JSON is whatever it is
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        message = "the value is not JSON"
        raise MalformedError(message, detail=str(error)) from error


def _binary(body: bytes, headers: Headers) -> CloudEvent:
    if (version := headers.text("ce_specversion")) not in (None, SPEC_VERSION):
        message = f"CloudEvents {str(version)[:16]} is not spoken here"
        raise UnsupportedVersionError(message)
    return CloudEvent(
        data=body,
        id=headers.text("ce_id"),
        source=headers.text("ce_source"),
        type=headers.text("ce_type"),
        subject=headers.text("ce_subject"),
        time=headers.text("ce_time"),
    )


def _structured(body: bytes) -> CloudEvent:
    event = _json(body)
    if not isinstance(event, dict):
        message = "a structured event is an object"
        raise MalformedError(message)
    if event.get("specversion") != SPEC_VERSION:
        message = "the event's specversion is not spoken here"
        raise UnsupportedVersionError(message)
    texts = {name: _text(event, name) for name in ("id", "source", "type", "subject", "time")}
    return CloudEvent(data=_data(event), **texts)


def _text(event: dict[str, Any], name: str) -> str | None:
    value = event.get(name)
    if value is not None and not isinstance(value, str):
        message = f"the attribute {name} is not a text"
        raise MalformedError(message)
    return value


def _data(event: dict[str, Any]) -> bytes:
    if "data_base64" not in event:
        return to_json(event.get("data"))
    try:
        data = base64.b64decode(event["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        message = "data_base64 is not base64"
        raise MalformedError(message) from error
    check_values(data)
    return data


def _checked(event: CloudEvent) -> CloudEvent:
    for name, text, limit in (("id", event.id, ID_LIMIT), ("source", event.source, SOURCE_LIMIT)):
        if text is not None and not is_name(text, limit):
            message = f"the event's {name} is not 1 to {limit} printable characters"
            raise MalformedError(message)
    return event


def is_name(text: str, limit: int) -> bool:
    """Return True if *text* may name an event or its source: 1 to *limit* printable characters."""
    return 0 < len(text) <= limit and text.isprintable()
