"""The payloads between stages. Each hop contains the previous hop and adds the findings of its stage.

Only the client's input does not pass the guards: after them, the hop has their text instead.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.admissions import AdmissionKey, Identity
from schemas.models import Base64, Payload
from schemas.requests import Request
from schemas.usage import RunUsage

AUTHORIZED_TYPE = "headrace.authorized.v1"
SCREENED_TYPE = "headrace.screened.v1"


class Origin(Payload):
    """The parts of the client's record that its result needs."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """The broker's append time, in milliseconds since the epoch."""

    key: Base64 | None = None
    correlation_id: Base64 | None = None
    """The client's correlation id, echoed byte for byte."""

    correlation_header: str = "correlation_id"
    """The name of the header that carried the correlation id."""

    @property
    def position(self) -> str:
        """Return ``topic:partition:offset`` of the client's record."""
        return f"{self.topic}:{self.partition}:{self.offset}"


class Authorized(Payload):
    """A request whose caller is identified and authorized."""

    request: Request
    identity: Identity
    run_id: str
    admission: AdmissionKey
    origin: Origin
    reply_to: str
    queued_ms: int = 0
    """Milliseconds from the broker's append time to the admission of the request."""

    auth_ms: int = 0
    authorized_at_ms: int = 0

    @property
    def tenant(self) -> str:
        """Return the id of the request's tenant."""
        return self.identity.tenant

    @property
    def request_id(self) -> str:
        """Return the client's id of the request."""
        return self.identity.id

    @property
    def deadline_ms(self) -> int:
        """Return the deadline of the request, in milliseconds since the epoch."""
        return self.admission.deadline_ms

    def without_input(self) -> Authorized:
        """Return the same with an empty input, for a hop that has the text the guards passed."""
        return self.model_copy(update={"request": self.request.model_copy(update={"input": ""})})


class Verdict(Payload):
    """The decision of one guard about a content. The evidence gives positions, never the content."""

    guard: str
    action: Literal["pass", "flag", "redact", "block", "review"] = "pass"
    score: float = 0.0
    evidence: tuple[tuple[int, int], ...] = ()
    """Spans of the content, as character offsets."""

    note: str = ""
    """The reason of the guard, without content."""


class Screened(Payload):
    """A request that the guards passed, with their changes to its input."""

    authorized: Authorized
    """Its input is empty; earlier builds repeated the client's input here."""

    text: str
    """The input for the model: normalised, and redacted where a guard requires it."""

    verdicts: tuple[Verdict, ...] = ()
    placeholders: dict[str, str] = Field(default_factory=dict)
    """The personal data that the text has placeholders for: the placeholder to the original."""

    tainted: bool = False
    guard_ms: int = 0
    screened_at_ms: int = 0
    attempt: int = 1
    """The number of this attempt at the run. The first is 1, and each retry adds 1."""

    usage: RunUsage = RunUsage()
    """The usage of the earlier attempts."""
