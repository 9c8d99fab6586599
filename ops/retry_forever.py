"""Keep following a topic beside the stage's own work, through any broker failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from streams.transport.errors import BrokerError, KafkaUnreachableError

AGAIN_S = 0.5

log = structlog.get_logger()


async def retry_forever(follow: Callable[[], Awaitable[None]]) -> None:
    """Call *follow* again after each broker failure: it resumes at its position, and no outage ends the worker.

    Errors that waiting does not resolve are raised: OffsetLostError, AccessDeniedError.
    """
    while True:
        try:
            await follow()
        except (BrokerError, KafkaUnreachableError) as error:
            log.warning("following_failed", error=str(error))
            await asyncio.sleep(AGAIN_S)
