"""The registry's only writer. It compares and sets: two operators never overwrite each other unnoticed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from typing import TypeAlias

from ops.errors import ChangedMeanwhileError
from producers.registry import registry_record
from schemas.clock import SystemClock
from schemas.tenants import Layout, SealKeys, SealSecret, Tenant
from streams.registry.tenants import PARTITION, TenantRegistry
from streams.telemetry.trace_context import follow
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, FencedError, OutcomeUnknownError, TransportError
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

TRANSACTIONAL_ID = "headrace.registry"
TRIES = 8
PAUSE_S = 0.1
PATIENCE_S = 10.0

Entry: TypeAlias = Tenant | Layout | SealSecret | SealKeys
Decide: TypeAlias = Callable[[TenantRegistry], Iterable[Entry]]
"""A function that returns the entries to write, given the current registry. It may raise an error for the operator."""


async def load(connection: Connection) -> TenantRegistry:
    """Return the current registry. Raises UnknownTopicError if there is none."""
    registry = TenantRegistry()
    async with await Reader.open(connection, [PARTITION], name="headrace-registry", deadline_s=PATIENCE_S) as reader:
        await registry.load(reader)
    return registry


async def change(connection: Connection, decide: Decide) -> TenantRegistry:
    """Write the entries that *decide* returns for the current registry, and return that registry.

    A concurrent writer is fenced, or fences this one; then the registry is read and decided again. Raises
    ChangedMeanwhileError after ``TRIES`` attempts.
    """
    failure: TransportError | None = None
    for attempt in range(TRIES):
        await asyncio.sleep(random.uniform(0, attempt * PAUSE_S))  # noqa: S311 - so that two do not go on in step
        try:
            return await _change_once(connection, decide)
        except (FencedError, OutcomeUnknownError, BrokerError) as error:
            failure = error  # the next read shows if the write succeeded
    raise ChangedMeanwhileError from failure


async def _change_once(connection: Connection, decide: Decide) -> TenantRegistry:
    """Fence, then read: no earlier writer can still write a record that this read has not seen."""
    async with await TransactionalWriter.open(
        connection, TRANSACTIONAL_ID, name="headrace-registry", deadline_s=PATIENCE_S
    ) as writer:
        registry = await load(connection)
        trace, now_ms = follow(()).headers, SystemClock().now_ms()
        if records := [registry_record(entry, trace=trace, now_ms=now_ms) for entry in decide(registry)]:
            await writer.transact(records)
    return registry
