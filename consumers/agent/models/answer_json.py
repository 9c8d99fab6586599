"""JSON of a provider: strict and fast first, then tolerant of what real providers get wrong. Both are bounded."""

from __future__ import annotations

import json
import math
from typing import Any

import orjson

from schemas.errors import ModelUnreadableError

VALUES_LIMIT = 20_000
"""Values in one answer. A body of 4 MiB can hold millions, and each costs the event loop time and memory."""

_DIGITS = 300
"""Digits of a whole number; a longer one becomes infinite, as a JSON number of another kind would."""


def parse(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body. Raise ModelUnreadableError for anything else."""
    _check(body)
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = _tolerant(body)
    if not isinstance(value, dict):
        raise ModelUnreadableError(f"the provider's answer is not a chat completion: it is {len(body)} bytes of JSON")
    return value


def _tolerant(body: bytes) -> object:
    """Return the JSON value in a body with invalid text, lone surrogates, control characters, NaN or a byte order mark.

    Such faults are in one character, and the rest of the answer is what was paid for.
    """
    text = body.decode(json.detect_encoding(body), "replace")
    _check(text.encode(errors="replace"))
    try:
        return json.loads(text, strict=False, parse_int=_whole)
    except (ValueError, RecursionError):
        message = "the provider's answer is not a chat completion: it is not JSON"
        raise ModelUnreadableError(message, detail=f"{len(body)} bytes") from None


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS else math.copysign(math.inf, -1 if digits[0] == "-" else 1)


def _check(body: bytes) -> None:
    """Raise ModelUnreadableError if a body has too many values. It counts them without making them."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = plain.split(b'"')[::2] if plain.count(b'"') <= 4 * VALUES_LIMIT else None
    if outside is None or sum(map(_begun, outside)) > VALUES_LIMIT:
        raise ModelUnreadableError(f"the provider's answer has more than {VALUES_LIMIT} values")


def _begun(text: bytes) -> int:
    return text.count(b",") + text.count(b"[") + text.count(b"{")
