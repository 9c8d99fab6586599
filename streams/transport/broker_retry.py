"""Requests to brokers, with retries while a node is unavailable and with deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TypeVar

from streams.transport.aiokafka_types import KafkaError, MetadataRequest, Untyped
from streams.transport.errors import KafkaUnreachableError, may_pass, own, translated

_RETRY_S = 0.1

_Answer = TypeVar("_Answer")


async def until_answered(client: Untyped, ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Return the result of *ask*. Retry transient errors without end: the caller sets the deadline."""
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
    """Translate errors to TransportError. Raise KafkaUnreachableError if *whom* is silent for *deadline_s* seconds."""
    try:
        async with asyncio.timeout(deadline_s):
            with translated():
                yield
    except TimeoutError:
        raise KafkaUnreachableError(whom, f"no answer in {deadline_s:g} s") from None


async def metadata_of(client: Untyped, topics: Collection[str]) -> list[Untyped]:
    """Return one metadata row per topic, from a random broker. Creates no topic."""
    request = MetadataRequest(list(topics), allow_auto_topic_creation=False)
    answer = await client.send(client.get_random_node(), request)
    rows: list[Untyped] = answer.topics
    return rows
