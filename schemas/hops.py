"""What travels between the stages. Each hop contains the one before, and adds what it learned."""

from __future__ import annotations

from typing import Literal

from schemas.inbox import Identity, Ticket
from schemas.models import Base64, Payload
from schemas.requests import Request

AUTHORIZED_TYPE = "headrace.authorized.v1"
SCREENED_TYPE = "headrace.screened.v1"


class Origin(Payload):
    """The client's record, as far as the answer needs it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """The broker's append time."""

    key: Base64 | None = None
    correlation_id: Base64 | None = None
    """Echoed byte for byte."""

    correlation_header: str = "correlation_id"
    """The header that it came in."""

    @property
    def position(self) -> str:
        """``topic:partition:offset``."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class Authorized(Payload):
    """A request whose caller is known and may make it."""

    request: Request
    identity: Identity
    run_id: str
    ticket: Ticket
    origin: Origin
    reply_to: str
    queued_ms: int = 0
    """From the broker's append time to the door's decision."""

    auth_ms: int = 0
    authorized_at_ms: int = 0

    @property
    def tenant(self) -> str:
        """The tenant it belongs to."""
        return self.identity.tenant

    @property
    def request_id(self) -> str:
        """The client's id of the request."""
        return self.identity.id

    @property
    def deadline_ms(self) -> int:
        """When the answer is worth nothing any more, since the epoch."""
        return self.ticket.deadline_ms


class Verdict(Payload):
    """What one guard says of a content. Evidence is where it was found, never what."""

    guard: str
    action: Literal["pass", "flag", "redact", "block", "review"] = "pass"
    score: float = 0.0
    evidence: tuple[tuple[int, int], ...] = ()
    """Spans of the content, as offsets of characters."""

    note: str = ""
    """Why, in the guard's own words; holds no content."""


class Screened(Payload):
    """A request that the guards let through, with what they changed."""

    authorized: Authorized
    text: str
    """The input as the model may see it: normalised, redacted where a guard said so."""

    verdicts: tuple[Verdict, ...] = ()
    tainted: bool = False
    guard_ms: int = 0
    screened_at_ms: int = 0
    attempt: int = 1
    """Of the run; retries count it up."""
