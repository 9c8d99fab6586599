"""The request that a client sends to an agent."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AwareDatetime,
    Field,
    StringConstraints,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)

from schemas.models import Payload, TolerantPayload

REQUEST_TYPE = "headrace.request.v1"

SessionId: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-{}~]+( [!-{}~]+)*$")
]
"""Printable ASCII with single spaces inside, but without ``|``, which separates the parts of a key."""

YEAR_S = 366 * 24 * 3_600

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=YEAR_S, strict=True)]
"""Seconds from the broker's append time of the request."""

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?(?P<zone>[Zz]|[+-]\d{2}:\d{2})?")
_DURATION = re.compile(r"P(?:(\d{1,3})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:[.,]\d{1,6})?)S)?)?")
_UNITS = (86_400, 3_600, 60, 1)
_FORMS = "write seconds as 30, a duration as PT30S, or a moment with its zone as 2030-01-31T12:00:00Z"


def _written_out(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was sent
    """Return a deadline that pydantic reads as intended: it would read -5 as five seconds before 1970."""
    if isinstance(value, str):
        return _moment_or_seconds(value)
    if value is None or isinstance(value, datetime) or (isinstance(value, int | float) and 0 < value <= YEAR_S):
        return value
    message = f"not more than zero and at most {YEAR_S} seconds: {_FORMS}"
    raise ValueError(message)


def _moment_or_seconds(text: str) -> str | float:
    moment = _RFC3339.fullmatch(text[:40])
    if moment is not None and moment["zone"] is None:
        message = "the moment has no zone: write it as 2030-01-31T12:00:00Z, or with an offset such as +01:00"
        raise ValueError(message)
    duration = _DURATION.fullmatch(text[:40])
    seconds = 0.0 if duration is None else _seconds(duration)
    if moment is None and not 0 < seconds <= YEAR_S:
        message = f"neither a moment nor a duration of up to a year: {_FORMS}"
        raise ValueError(message)
    return text if moment is not None else seconds


def _seconds(duration: re.Match[str]) -> float:
    """Return an ISO 8601 duration in seconds. Months and years are not accepted, because their length varies."""
    numbers = [float((number or "0").replace(",", ".")) for number in duration.groups()]
    return sum(number * unit for number, unit in zip(numbers, _UNITS, strict=True))


def _deadline(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - as above
    """Validate a deadline with one message for all its forms. A union's own message names only its first form."""
    try:
        return handler(_written_out(value))
    except ValidationError:
        raise ValueError(_FORMS) from None


Deadline: TypeAlias = Annotated[
    Seconds | AwareDatetime | None,
    WrapValidator(_deadline),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": YEAR_S},
                {"type": "string", "format": "date-time"},
                {"type": "string", "format": "duration"},
                {"type": "null"},
            ]
        }
    ),
]
"""Seconds from the broker's append time, an ISO 8601 duration, or an RFC 3339 timestamp with its offset from UTC."""

PARTS = 256
"""Text parts of one input."""

METADATA = 256
"""Entries of a request's metadata."""


class TextPart(TolerantPayload):
    """One text part of an input."""

    type: Literal["text"] = "text"
    text: str


class Budget(Payload):
    """The most that one run may spend."""

    tokens: Annotated[int, Field(gt=0)] | None = None
    usd: Annotated[float, Field(gt=0)] | None = None


class Request(TolerantPayload):
    """One request to one agent."""

    agent: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    input: str | Annotated[tuple[TextPart, ...], Field(max_length=PARTS)]
    session: SessionId | None = None
    deadline: Deadline = None
    """Seconds from the broker's append time, a duration such as PT30S, or a timestamp in RFC 3339."""

    stream: bool = False
    budget: Budget | None = None
    metadata: Annotated[dict[str, str], Field(max_length=METADATA)] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the input as one text, with parts joined by newlines."""
        if isinstance(self.input, str):
            return self.input
        return "\n".join(part.text for part in self.input)
