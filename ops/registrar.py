"""The registry's only writer: compare and set, so that two operators never overwrite each other unseen."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

from ops.errors import ChangedMeanwhileError
from producers.registry import registry_record
from schemas.clock import SystemClock
from schemas.tenants import Layout, SealSecret, Tenant
from streams.registry import PARTITION, Registry
from streams.tracing import follow
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, FencedError, OutcomeUnknownError, TransportError
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

TRANSACTIONAL_ID = "headrace.registry"
TRIES = 8
PAUSE_S = 0.1
PATIENCE_S = 10.0

Entry: TypeAlias = Tenant | Layout | SealSecret
Decide: TypeAlias = Callable[[Registry], Iterable[Entry]]
"""Looks at the registry as it stands and says what to write; raises what the operator is to be told."""


async def load(connection: Connection) -> Registry:
    """The registry as it stands. UnknownTopicError if there is none."""
    registry = Registry()
    async with await Reader.open(connection, [PARTITION], name="headrace-registry", deadline_s=PATIENCE_S) as reader:
        await registry.load(reader)
    return registry


async def change(connection: Connection, decide: Decide) -> Registry:
    """Write what *decide* says of the registry as it stands; returns the registry it was decided on.

    Whoever writes at the same time is fenced, or fences us; then it is read and decided again. Raises
    ChangedMeanwhileError when that does not end.
    """
    failure: TransportError | None = None
    for attempt in range(TRIES):
        await asyncio.sleep(random.uniform(0, attempt * PAUSE_S))  # noqa: S311 - so that two do not go on in step
        try:
            return await _change_once(connection, decide)
        except (FencedError, OutcomeUnknownError, BrokerError) as error:
            failure = error  # written or not: the next look will tell
    raise ChangedMeanwhileError from failure


async def _change_once(connection: Connection, decide: Decide) -> Registry:
    """Fence, then read: nobody who came before can still write what has not been seen."""
    async with await TransactionalWriter.open(
        connection, TRANSACTIONAL_ID, name="headrace-registry", deadline_s=PATIENCE_S
    ) as writer:
        registry = await load(connection)
        trace, now_ms = follow(()).headers, SystemClock().now_ms()
        if records := [registry_record(entry, trace=trace, now_ms=now_ms) for entry in decide(registry)]:
            await writer.transact(records)
    return registry
