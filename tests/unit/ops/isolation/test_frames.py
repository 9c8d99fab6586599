"""What a worker and the process of its suspects tell each other arrives as it was said, or not at all."""

from __future__ import annotations

import asyncio

import pytest

from consumers.fencing_token import FencingToken
from consumers.meter import AgentEnded, HandoffEnded, Measurement, ModelCallEnded, ToolCallEnded
from ops.isolation.frames import (
    LIMIT,
    REPLIES,
    WORDS,
    Beat,
    Drop,
    Failure,
    Lease,
    Measured,
    RunAnswer,
    SpanEnded,
    Task,
    frame,
    read,
)
from schemas.errors import BY_CODE, HeadraceError, ToolFailedError
from schemas.results import Result
from schemas.tenants import Tenant
from tests.unit.producers.samples import SCREENED, TRACE

pytestmark = pytest.mark.anyio

RESULT = Result(request_id="r-1", run_id="run-1", agent="echo", status="succeeded", output={"a": [1, None, "é"]})

MEASUREMENTS: list[Measurement] = [
    AgentEnded(agent="echo", outcome="ok", seconds=0.5, resumed=True),
    ModelCallEnded(agent="echo", model="m", outcome="ok", seconds=0.5, input_tokens=7, output_tokens=3),
    ToolCallEnded(agent="echo", tool="t", outcome="tool_failed", seconds=0.5),
    HandoffEnded(agent="echo", target="other", outcome="ok"),
]


LEASE = Lease(number=1, token=FencingToken(2, 3), owned_until=12.5)


def stream(*pieces: bytes) -> asyncio.StreamReader:
    """What has arrived, and then the end."""
    reader = asyncio.StreamReader()
    for piece in pieces:
        reader.feed_data(piece)
    reader.feed_eof()
    return reader


async def test_words_and_replies_arrive_as_they_were_said() -> None:
    """The request whole, with what is not text in it."""
    words = [
        Task(number=1, screened=SCREENED, tenant=Tenant(id="acme"), trace=(*TRACE, ("b", b"\xff")), lease=LEASE),
        LEASE,
        Drop(number=1),
    ]
    replies = [
        Beat(),
        SpanEnded(span=b"\x00\xff"),
        *(Measured(measurement=each) for each in MEASUREMENTS),
        RunAnswer(number=1, result=RESULT),
        Failure.of(2, ToolFailedError("no", retryable=True)),
    ]

    heard = stream(*map(frame, words))
    for word in words:
        assert await read(heard, WORDS) == word
    heard = stream(*map(frame, replies))
    for reply in replies:
        assert await read(heard, REPLIES) == reply
    assert await read(heard, REPLIES) is None


@pytest.mark.parametrize("kind", BY_CODE.values(), ids=lambda kind: kind.__name__)
def test_every_error_keeps_its_fate(kind: type[HeadraceError]) -> None:
    """Its class, what may be shown, what may not, and when to come back."""
    error = kind("what may be shown", detail="what may not", retry_after=2.5)
    if isinstance(error, ToolFailedError):
        error.retryable = True

    back = Failure.of(1, error).error()

    assert (type(back), str(back), back.detail) == (kind, "what may be shown", "what may not")
    assert (back.retryable, back.retry_after) == (error.retryable, 2.5)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x00\x00",
        b"\x00\x00\x00\x09{}",
        b"\x00\x00\x00\x02{}",
        b"\x00\x00\x00\x04\xff\xfe{}",
    ],
)
async def test_what_is_cut_short_or_makes_no_sense_is_the_end(said: bytes) -> None:
    """Whatever a dying process has written last, or an agent has written into a descriptor that is not its own."""
    assert await read(stream(said), REPLIES) is None


async def test_a_length_that_no_frame_has_is_the_end_at_once() -> None:
    """Nobody waits for four gigabytes."""
    reader = asyncio.StreamReader()
    reader.feed_data((LIMIT + 1).to_bytes(4))
    async with asyncio.timeout(1):
        assert await read(reader, REPLIES) is None
