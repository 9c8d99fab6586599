"""Conversion of the OpenAI SDK's exceptions to Headrace errors, whose class decides about a retry."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import openai

from schemas.clock import Clock
from schemas.errors import (
    ContextOverflowError,
    ModelError,
    ModelOverloadedError,
    ModelQuotaError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
    chain_of,
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
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def error_of(error: openai.APIError, clock: Clock) -> ModelError:
    """Return the Headrace error for the SDK's. It keeps none of the provider's prose, which may quote prompt or key."""
    if isinstance(error, openai.APIStatusError):
        return _of_status(error, clock)
    if isinstance(error, openai.APITimeoutError) and _ran_out(error):
        return ModelTimeoutError(detail=type(error).__name__)
    return ModelUnavailableError(detail=_causes(error))


def _of_status(error: openai.APIStatusError, clock: Clock) -> ModelError:
    kind, message = _said(error)
    return kind(message, detail=_detail(error), retry_after=retry_after_of(error.response.headers, clock))


def _said(error: openai.APIStatusError) -> tuple[type[ModelError], str]:
    for reason in (error.code, error.type):
        if reason is not None and reason in BY_REASON:
            return BY_REASON[reason]
    status = error.status_code
    unlisted = ModelUnavailableError if status >= _SERVER_ERROR else ModelRejectedError
    return BY_STATUS.get(status, unlisted), f"the provider answered {status}"


def _detail(error: openai.APIStatusError) -> str:
    """Return identifiers that name the fault. They cannot quote the conversation."""
    facts = {"type": error.type, "code": error.code, "param": error.param, "request": error.request_id}
    return " ".join(f"{name}={fact}" for name, fact in facts.items() if isinstance(fact, str) and _NAME.fullmatch(fact))


def _ran_out(error: openai.APITimeoutError) -> bool:
    """Return True if time really ran out: the SDK's aiohttp transport also reports refused and cut connections so."""
    return any(isinstance(cause, TimeoutError) for cause in chain_of(error))


def _causes(error: openai.APIError) -> str:
    return " from ".join(type(cause).__name__ for cause in chain_of(error))


def retry_after_of(headers: Mapping[str, str], clock: Clock) -> float | None:
    """Return the seconds after which the provider accepts a retry, from a number or an HTTP date; None if not given."""
    milliseconds = _seconds(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1_000
    text = headers.get("retry-after", "")
    seconds = _seconds(text)
    return _until(text, clock) if seconds is None else seconds


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _until(text: str, clock: Clock) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    at_ms = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1_000
    return max(0.0, (at_ms - clock.now_ms()) / 1_000)
