"""What a worker and the process of its suspects tell each other: JSON behind four bytes that say how long it is."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, Field, TypeAdapter

from schemas.errors import BY_CODE, HeadraceError, InternalError, ToolFailedError
from schemas.hops import Screened
from schemas.models import Base64, Payload
from schemas.results import Result
from schemas.tenants import Tenant

HEAD = 4
LIMIT = 64 * 1024 * 1024
"""Bytes of one frame: what an agent answers is not limited before its topic is asked."""

Frame = TypeVar("Frame")


class Setup(Payload):
    """The first word to the process: what it needs of the settings, not by environment, which others can read."""

    settings: dict[str, str]
    memory: int
    """Bytes that it may allocate."""


class Task(Payload):
    """Run this request."""

    kind: Literal["task"] = "task"
    number: int
    screened: Screened
    tenant: Tenant
    trace: tuple[tuple[str, Base64 | None], ...]


class Drop(Payload):
    """Nobody waits for this one any more."""

    kind: Literal["drop"] = "drop"
    number: int


class Beat(Payload):
    """The process has loaded its agents, and its loop turns."""

    kind: Literal["beat"] = "beat"


class Answer(Payload):
    """A request has been answered."""

    kind: Literal["answer"] = "answer"
    number: int
    result: Result


class Failure(Payload):
    """A request has failed with an error of ours."""

    kind: Literal["failure"] = "failure"
    number: int
    code: str
    safe: str
    detail: str
    retryable: bool
    retry_after: float | None

    @classmethod
    def of(cls, number: int, error: HeadraceError) -> Failure:
        """The error of a request, so that nothing of its fate is lost."""
        return cls(
            number=number,
            code=error.code,
            safe=error.safe,
            detail=error.detail,
            retryable=error.retryable,
            retry_after=error.retry_after,
        )

    def error(self) -> HeadraceError:
        """The error again."""
        kind = BY_CODE.get(self.code, InternalError)
        if kind is ToolFailedError:
            return ToolFailedError(
                self.safe, detail=self.detail, retry_after=self.retry_after, retryable=self.retryable
            )
        return kind(self.safe, detail=self.detail, retry_after=self.retry_after)


Word: TypeAlias = Annotated[Task | Drop, Field(discriminator="kind")]
Reply: TypeAlias = Annotated[Beat | Answer | Failure, Field(discriminator="kind")]

SETUP: TypeAdapter[Setup] = TypeAdapter(Setup)
WORDS: TypeAdapter[Task | Drop] = TypeAdapter(Word)
REPLIES: TypeAdapter[Beat | Answer | Failure] = TypeAdapter(Reply)


def frame(message: BaseModel) -> bytes:
    """The message as it travels."""
    text = message.model_dump_json().encode()
    return len(text).to_bytes(HEAD) + text


async def read(stream: asyncio.StreamReader, words: TypeAdapter[Frame]) -> Frame | None:
    """The next message; None when the other side has ended, or says what nobody understands."""
    try:
        size = int.from_bytes(await stream.readexactly(HEAD))
        return words.validate_json(await stream.readexactly(size)) if size <= LIMIT else None
    except (asyncio.IncompleteReadError, ConnectionError, ValueError):
        return None
