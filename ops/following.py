"""Following a topic beside the stage's own work, through whatever the brokers go through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from streams.transport.errors import BrokerError, KafkaUnreachableError

AGAIN_S = 0.5

log = structlog.get_logger()


async def persistently(follow: Callable[[], Awaitable[None]]) -> None:
    """Call *follow* again when a broker has failed it: it goes on where it was, and no outage ends the worker.

    What no waiting mends is raised: OffsetLostError, AccessDeniedError.
    """
    while True:
        try:
            await follow()
        except (BrokerError, KafkaUnreachableError) as error:
            log.warning("following_failed", error=str(error))
            await asyncio.sleep(AGAIN_S)
