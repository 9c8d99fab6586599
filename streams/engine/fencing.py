"""The two transactional ids of a shard: fence every former producer, and take an id that is free.

A transaction that wrote to a topic cannot end while that topic has too few in-sync replicas. The broker refuses its
marker. A producer that asks for the id is told to wait, for hours if need be. One tenant's topic would stop all tenants
of the shard. So each shard has a spare id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from streams.transport.errors import TransportError
from streams.transport.transactional_producer import TransactionalProducer

SPARE: Final = "|spare"
LOOK_S = 0.5
"""Seconds to wait for a transaction that is ending. After them its coordinator is asked for the cause."""

RETRY_S = 0.05

log = structlog.get_logger()


async def fenced(producer: Callable[[str], TransactionalProducer], transactional_id: str) -> TransactionalProducer:
    """Return a publisher with a free id, after both ids of the shard have been fenced (I5).

    The caller sets the deadline. An id that cannot be taken counts as fenced once two conditions hold: its coordinator
    has decided to abort the open transaction, and the group's offsets know that. The epoch was bumped then, so no part
    of the transaction can become visible.
    """
    first, spare = producer(transactional_id), transactional_id + SPARE
    try:
        if await _has(first, transactional_id):
            await _fence_other(first, spare)
            return first
    except BaseException:  # on cancellation too: leave no socket open
        await first.kill()
        raise
    log.warning("transaction_end_blocked", transactional_id=transactional_id, fallback=spare)
    await first.kill()
    second = await _opened(producer(spare))
    second.settling |= first.settling
    second.blocked_id = transactional_id
    return second


async def _opened(producer: TransactionalProducer) -> TransactionalProducer:
    try:
        await producer.fence()
    except BaseException:  # on cancellation too
        await producer.kill()
        raise
    return producer


async def _has(producer: TransactionalProducer, transactional_id: str) -> bool:
    """Fence the id. Return False if that has to wait for a transaction which can do no harm."""
    async with asyncio.TaskGroup() as tasks:
        fence = tasks.create_task(producer.fence())
        while not fence.done():
            await asyncio.wait([fence], timeout=LOOK_S)
            if not fence.done() and await _is_harmless(producer, transactional_id):
                fence.cancel()
                return False
    return True


async def _fence_other(producer: TransactionalProducer, spare: str) -> None:
    """Fence the spare id: a former owner may still use it, though few ever did."""
    waited = 0.0
    while not await producer.fence_other(spare):
        if waited >= LOOK_S and await _is_harmless(producer, spare):
            return
        await asyncio.sleep(RETRY_S)
        waited += RETRY_S


async def _is_harmless(producer: TransactionalProducer, transactional_id: str) -> bool:
    """Return True if the coordinator reports that the transaction is harmless, False if it cannot be asked."""
    try:
        return await producer.harmless(transactional_id)
    except TransportError as error:
        log.info("transaction_not_known", transactional_id=transactional_id, error=str(error))
        return False
