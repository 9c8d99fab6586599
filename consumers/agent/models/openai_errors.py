"""Conversion of a provider's error answers to Headrace errors, whose class decides about a retry."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from schemas.clock import Clock
from schemas.errors import (
    LONGEST_WAIT_S,
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    seconds_of,
)

BY_REASON: Mapping[str, tuple[type[ModelError], str]] = {
    "insufficient_quota": (ModelQuotaError, "the provider's quota is spent"),
    "context_length_exceeded": (ContextOverflowError, "the conversation is longer than the model's context"),
    "exceed_context_size_error": (ContextOverflowError, "the conversation is longer than the model's context"),
}
"""By the error's ``code``, else its ``type``: OpenAI's names, and llama.cpp's."""

BY_STATUS: Mapping[int, type[ModelError]] = {
    408: ModelTimeoutError,
    409: ModelOverloadedError,
    429: ModelOverloadedError,
    503: ModelOverloadedError,
    504: ModelTimeoutError,
    529: ModelOverloadedError,
}
_SERVER_ERROR = 500
CHARGED = frozenset({408, 502, 504})
"""Statuses of a server in between, behind which the model may have answered. No other error answer is charged."""

_NUMBER = re.compile(r"[0-9]{1,300}(\.[0-9]{0,300})?")
_DATE_LIMIT = 64
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error answer. The types of its facts are the provider's: each may be any JSON value."""

    status: int
    headers: Mapping[str, str]
    code: object = None
    type: object = None
    param: object = None


def error_of(refusal: Refusal, clock: Clock, odd: Callable[[str], None]) -> ModelError:
    """Return the Headrace error. It keeps none of the provider's prose, which may quote prompt or key.

    *odd* is called with ``retry_after`` if the provider's is clamped or dropped.
    """
    kind, message = _said(refusal)
    error = kind(message, detail=_detail(refusal), retry_after=retry_after_of(refusal.headers, clock, odd))
    error.uncharged = refusal.status not in CHARGED
    return error


def _said(refusal: Refusal) -> tuple[type[ModelError], str]:
    for reason in (refusal.code, refusal.type):
        if isinstance(reason, str) and reason in BY_REASON:
            return BY_REASON[reason]
    status = refusal.status
    unlisted = ModelUnavailableError if status >= _SERVER_ERROR else ModelRejectedError
    return BY_STATUS.get(status, unlisted), f"the provider answered {status}"


def _detail(refusal: Refusal) -> str:
    """Return identifiers that name the fault. They cannot quote the conversation."""
    request = refusal.headers.get("x-request-id")
    facts = {"type": refusal.type, "code": refusal.code, "param": refusal.param, "request": request}
    return " ".join(f"{name}={fact}" for name, fact in facts.items() if isinstance(fact, str) and _NAME.fullmatch(fact))


def retry_after_of(headers: Mapping[str, str], clock: Clock, odd: Callable[[str], None]) -> float | None:
    """Return the seconds after which the provider accepts a retry; None if it names no time above zero.

    Reads a number or an HTTP date. A time beyond ``LONGEST_WAIT_S`` is clamped. *odd* is told if it is clamped, or
    dropped because it is negative or unreadable.
    """
    given = [
        _seconds(headers.get("retry-after-ms", ""), 1_000),
        _seconds(headers.get("retry-after", ""), 1),
        _until(headers.get("retry-after", ""), clock),
    ]
    asked = next((seconds for seconds in given if seconds is not None), None)
    if (asked is None and _named(headers)) or (asked is not None and asked > LONGEST_WAIT_S):
        odd("retry_after")
    return seconds_of(asked)


def _named(headers: Mapping[str, str]) -> bool:
    return any(headers.get(name, "") for name in ("retry-after", "retry-after-ms"))


def _seconds(text: str, per_second: int) -> float | None:
    """Return the seconds in plain digits, with or without a fraction; None for any other text."""
    return float(text) / per_second if _NUMBER.fullmatch(text.strip()) else None


def _until(text: str, clock: Clock) -> float | None:
    """Return the seconds to an HTTP date, 0 for a past one; None for any other text or a date that cannot be."""
    if len(text) > _DATE_LIMIT:
        return None
    try:
        moment = parsedate_to_datetime(text)
        at_ms = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1_000
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return max(0.0, (at_ms - clock.now_ms()) / 1_000)
