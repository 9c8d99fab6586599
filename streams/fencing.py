"""A shard's two transactional ids: all that were used before are fenced, and one that is free is taken.

A transaction that a topic took part in cannot end while that topic has too few copies in step: its marker is refused,
and whoever asks for the id is told to wait, for hours if need be. One tenant's topic would stop all tenants of the
shard. So there is a spare id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from streams.transport.errors import TransportError
from streams.transport.publisher import Publisher

SPARE: Final = "|spare"
LOOK_S = 0.5
"""How long a transaction that is ending is waited for before its coordinator is asked what it is waiting for."""

RETRY_S = 0.05

log = structlog.get_logger()


async def fenced(publisher: Callable[[str], Publisher], transactional_id: str) -> Publisher:
    """A publisher whose id is free, after both ids of the shard have been fenced (I5). The caller sets the deadline.

    An id that cannot be had counts as fenced once its coordinator has decided to abort what is open under it, and the
    group's offsets know that: the epoch was bumped then, and nothing of it can become visible any more.
    """
    first, spare = publisher(transactional_id), transactional_id + SPARE
    try:
        if await _has(first, transactional_id):
            await _fence_other(first, spare)
            return first
    except BaseException:  # cancelled too: no socket stays open
        await first.kill()
        raise
    log.warning("transaction_cannot_end", transactional_id=transactional_id, instead=spare)
    await first.kill()
    return await _opened(publisher(spare))


async def _opened(publisher: Publisher) -> Publisher:
    try:
        await publisher.fence()
    except BaseException:  # as above
        await publisher.kill()
        raise
    return publisher


async def _has(publisher: Publisher, transactional_id: str) -> bool:
    """Fence it. False if that has to wait for a transaction which can do no harm."""
    async with asyncio.TaskGroup() as tasks:
        fence = tasks.create_task(publisher.fence())
        while not fence.done():
            await asyncio.wait([fence], timeout=LOOK_S)
            if not fence.done() and await _is_harmless(publisher, transactional_id):
                fence.cancel()
                return False
    return True


async def _fence_other(publisher: Publisher, spare: str) -> None:
    """Nobody may be left on the spare id; few ever were."""
    waited = 0.0
    while not await publisher.fence_other(spare):
        if waited >= LOOK_S and await _is_harmless(publisher, spare):
            return
        await asyncio.sleep(RETRY_S)
        waited += RETRY_S


async def _is_harmless(publisher: Publisher, transactional_id: str) -> bool:
    """What the coordinator says; if it cannot be asked, there is nothing to rely on."""
    try:
        return await publisher.harmless(transactional_id)
    except TransportError as error:
        log.info("transaction_not_known", transactional_id=transactional_id, error=str(error))
        return False
