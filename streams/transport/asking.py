"""Questions to brokers: asked again while a node is away, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from streams.transport.errors import KafkaUnreachableError, may_pass, own, translated
from streams.transport.library import KafkaError, MetadataRequest, Theirs

_RETRY_S = 0.1

_Answer = TypeVar("_Answer")


async def until_answered(client: Theirs, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """What *ask* returns, asked again without end while what it meets may pass: the caller sets the deadline."""
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not may_pass(error):
                raise own(error) from error
        client.force_metadata_update()
        await asyncio.sleep(_RETRY_S)


@asynccontextmanager
async def answered_within(deadline_s: float, whom: str) -> AsyncGenerator[None]:
    """Errors inside are of this room; KafkaUnreachableError if *whom* has not answered after *deadline_s*."""
    try:
        async with asyncio.timeout(deadline_s):
            with translated():
                yield
    except TimeoutError:
        raise KafkaUnreachableError(whom, f"no answer in {deadline_s:g} s") from None


async def metadata_of(client: Theirs, topics: Collection[str]) -> list[Theirs]:
    """How some broker sees *topics* at this moment, a row each; creates none."""
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer = await client.send(client.get_random_node(), request)
    rows: list[Theirs] = answer.topics
    return rows
