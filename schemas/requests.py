"""The request that a client sends to an agent."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AwareDatetime, BeforeValidator, Field, StringConstraints

from schemas.models import Payload, TolerantPayload

REQUEST_TYPE = "headrace.request.v1"

SessionId: TypeAlias = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-{}~]+( [!-{}~]+)*$")
]
"""Printable ASCII with single spaces inside, but without ``|``, which separates the parts of a key."""

YEAR_S = 366 * 24 * 3_600

Seconds: TypeAlias = Annotated[float, Field(gt=0, le=YEAR_S, strict=True)]
"""Seconds from the broker's append time of the request."""

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}")


def _written_out(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was sent
    """Refuse values that are not RFC 3339 text. Pydantic would read -5 as five seconds before 1970."""
    if isinstance(value, int | float) or (isinstance(value, str) and not _RFC3339.match(value)):
        message = "write a moment as 2030-01-31T12:00:00Z"
        raise ValueError(message)
    return value


Moment: TypeAlias = Annotated[AwareDatetime, BeforeValidator(_written_out)]
"""An RFC 3339 timestamp with its offset from UTC."""


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
    input: str | tuple[TextPart, ...]
    session: SessionId | None = None
    deadline: Seconds | Moment | None = None
    """Seconds from the broker's append time, or a timestamp in RFC 3339."""

    stream: bool = False
    budget: Budget | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @property
    def text(self) -> str:
        """Return the input as one text, with parts joined by newlines."""
        if isinstance(self.input, str):
            return self.input
        return "\n".join(part.text for part in self.input)
