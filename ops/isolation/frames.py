"""The messages between a worker and its process for suspects: JSON after a four-byte length."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

from consumers.fencing_token import FencingToken
from consumers.meter import Measurement
from schemas.errors import BY_CODE, HeadraceError, InternalError, ToolFailedError, seconds_of
from schemas.models import Base64, Payload
from schemas.results import Result
from schemas.stage_records import Screened
from schemas.tenants import Tenant
from schemas.usage import RunUsage

HEAD = 4
LIMIT = 64 * 1024 * 1024
"""The most bytes of one frame. An agent's output is not limited before its topic is known."""

Frame = TypeVar("Frame")


class HostSetup(Payload):
    """The first message to the process: its settings. Environment variables would be readable by others."""

    settings: dict[str, str]
    memory: int
    """The most bytes that the process may allocate."""

    now_ms: int
    """The worker's time now. The process continues it: the machine's clock may be wrong."""

    spans: bool = False
    """True if the worker exports spans."""

    captures_content: bool = False


class Lease(Payload):
    """The ownership of a run, as it is in the worker now."""

    kind: Literal["lease"] = "lease"
    number: int
    token: FencingToken
    owned_until: Annotated[float, Field(ge=0)]
    """The end of the time in which the run may start steps, in monotonic seconds. All processes of a machine share that
    clock. So a frame that is read late, or a worker that is stopped, lengthens nothing. 0: it is over."""


class Task(Payload):
    """A request to run."""

    kind: Literal["task"] = "task"
    number: int
    screened: Screened
    tenant: Tenant
    trace: tuple[tuple[str, Base64 | None], ...]
    usage: RunUsage = RunUsage()
    """The usage of the run so far."""

    lease: Lease
    started_before: bool = False
    store_changed: bool = False


class Drop(Payload):
    """A task whose result is no longer needed."""

    kind: Literal["drop"] = "drop"
    number: int


class Beat(Payload):
    """A heartbeat: the process has loaded its agents, and its event loop runs."""

    kind: Literal["beat"] = "beat"


class Spent(Payload):
    """The usage of a request so far. It counts also if the process dies."""

    kind: Literal["spent"] = "spent"
    number: int
    usage: RunUsage


class SpanEnded(Payload):
    """An encoded span of an agent. The worker exports it: the process does not know the collector."""

    kind: Literal["span"] = "span"
    span: Base64


class Measured(Payload):
    """A figure of an agent, for the worker's metrics."""

    kind: Literal["measured"] = "measured"
    measurement: Annotated[Measurement, Field(discriminator="kind")]


class RunAnswer(Payload):
    """The result of a request."""

    kind: Literal["answer"] = "answer"
    number: int
    result: Result


class Failure(Payload):
    """The HeadraceError of a failed request."""

    kind: Literal["failure"] = "failure"
    number: int
    code: str
    public_message: str
    detail: str
    retryable: bool
    retry_after: float | None

    @classmethod
    def of(cls, number: int, error: HeadraceError) -> Failure:
        """Build the message from an error, with everything that decides how the error is handled."""
        return cls(
            number=number,
            code=error.code,
            public_message=error.public_message,
            detail=error.detail,
            retryable=error.retryable,
            retry_after=seconds_of(error.retry_after),
        )

    def error(self) -> HeadraceError:
        """Return the error that this message was built from."""
        kind = BY_CODE.get(self.code, InternalError)
        if kind is ToolFailedError:
            return ToolFailedError(
                self.public_message, detail=self.detail, retry_after=self.retry_after, retryable=self.retryable
            )
        return kind(self.public_message, detail=self.detail, retry_after=self.retry_after)


Word: TypeAlias = Annotated[Task | Lease | Drop, Field(discriminator="kind")]
Reply: TypeAlias = Annotated[Beat | Spent | SpanEnded | Measured | RunAnswer | Failure, Field(discriminator="kind")]

SETUP: TypeAdapter[HostSetup] = TypeAdapter(HostSetup)
WORDS: TypeAdapter[Task | Lease | Drop] = TypeAdapter(Word)
REPLIES: TypeAdapter[Reply] = TypeAdapter(Reply)


def frame(message: BaseModel) -> bytes:
    """Return the encoded message."""
    text = message.model_dump_json().encode()
    return len(text).to_bytes(HEAD) + text


async def read(stream: asyncio.StreamReader, words: TypeAdapter[Frame]) -> Frame | None:
    """Return the next message, or None if the other side has ended or sent an invalid message."""
    try:
        size = int.from_bytes(await stream.readexactly(HEAD))
        return words.validate_json(await stream.readexactly(size)) if size <= LIMIT else None
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
