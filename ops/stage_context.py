"""Build a stage's context before it runs: a worker that does not fit its cluster refuses to start."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from ops.connection import connection_of
from ops.errors import LayoutDiffersError, LayoutMovingError, NoLayoutError, OneCopyError, OperationError
from ops.few_copies import warn_of_few_copies
from ops.seal_keys import check_seal_keys, seals_of
from ops.settings import Settings
from schemas.clock import Clock
from schemas.seals import Seals
from schemas.tenants import Layout
from schemas.topics import INTERNAL, PLATFORM, SHARDS, TENANTS
from streams.engine.layout_guard import LayoutGuard, admits
from streams.journey import DEPLOYED
from streams.registry.tenants import TenantRegistry
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import UnknownTopicError
from streams.transport.reader import Reader

ENOUGH_BROKERS = 3
"""The brokers from which on each topic of the platform must have more than one copy."""

LAYOUT_PATIENCE_S = 60.0
"""Seconds that a stage waits for the topics and the layout of a cluster that is being set up."""

LOOKS, LOOK_S = 10, 0.3
"""Checks of a number of partitions that differs, and the seconds between them."""


@dataclass(frozen=True, slots=True)
class StageContext:
    """The context of a stage: the cluster, its registry, its layout and its seals."""

    connection: Connection
    registry: TenantRegistry
    reader: Reader
    """The reader that the registry follows; open as long as the stage."""

    layout: Layout
    layout_guard: LayoutGuard
    """The period in which ``layout`` is the one to serve under."""

    seals: Seals
    clock: Clock


async def stage_context(
    settings: Settings,
    stage: str,
    clock: Clock,
    stack: AsyncExitStack,
    patience_s: float = LAYOUT_PATIENCE_S,
    deadline_s: float = LAYOUT_PATIENCE_S,
) -> StageContext:
    """Return the context of *stage*. Raises LayoutDiffersError if the cluster's layout does not fit it.

    Raises SealKeyError if its seal keys differ from the cluster's.
    Raises NoLayoutError if there is no layout after *patience_s* seconds, or LayoutMovingError if it is closed to
    *stage*. Raises KafkaUnreachableError if Kafka does not answer for *deadline_s* seconds.
    """
    connection, registry = connection_of(settings), TenantRegistry()
    reader = await Reader.open(connection, TENANTS.name, name="headrace-registry", deadline_s=deadline_s)
    stack.push_async_callback(reader.close)
    await registry.load(reader, deadline_s)
    layout = await _layout(registry, reader, stage, patience_s)
    _stage_fits(stage, layout)
    async with await Admin.open(connection, deadline_s=deadline_s) as admin:
        await _shards_fit(admin, layout)
        await _copies_fit(admin)
        seals = seals_of(settings, registry, await admin.cluster_id())
        await warn_of_few_copies(admin, registry)
        check_seal_keys(seals, registry)
    layout_guard = LayoutGuard(stage, layout, registry, reader)
    return StageContext(connection, registry, reader, layout, layout_guard, seals, clock)


async def _layout(registry: TenantRegistry, reader: Reader, stage: str, patience_s: float) -> Layout:
    """Return the layout once it is open for *stage*."""
    try:
        async with asyncio.timeout(patience_s):
            while registry.layout is None or not admits(registry.layout, stage):
                await registry.take(reader)
    except TimeoutError:
        raise _not_open(registry.layout) from None
    return registry.layout


def _not_open(layout: Layout | None) -> OperationError:
    return NoLayoutError() if layout is None else LayoutMovingError(layout)


async def _shards_fit(admin: Admin, layout: Layout) -> None:
    """Raise LayoutDiffersError if the number of shards differs, or UnknownTopicError if no broker tells it.

    Partitions without a leader count: a broker that is away comes back. Brokers learn of new partitions one after
    another.
    """
    found = (await admin.partition_counts([SHARDS.name])).get(SHARDS.name, 0)
    for _ in range(LOOKS):
        if found == layout.shards:
            return
        await asyncio.sleep(LOOK_S)
        found = (await admin.partition_counts([SHARDS.name])).get(SHARDS.name, 0)
    if not found:
        raise UnknownTopicError(SHARDS.name)
    raise LayoutDiffersError(
        f"{SHARDS.name} has {found} partitions, and the layout has {layout.shards} shards:"
        " `headrace topics plan` shows what differs"
    )


async def _copies_fit(admin: Admin) -> None:
    """Raise OneCopyError if a topic that every result depends on has one copy, on three brokers or more.

    If its only broker fails, an offset or the end of a transaction is lost, and results with it.
    """
    found = await admin.replication([*INTERNAL, *(topic.name for topic in PLATFORM)])
    single = sorted(name for name, copies in found.copies.items() if copies == 1)
    if single and len(found.brokers) >= ENOUGH_BROKERS:
        raise OneCopyError(single, len(found.brokers))


def _stage_fits(stage: str, layout: Layout) -> None:
    """Raise LayoutDiffersError if the journey lacks *stage*: two journeys at once would answer each request twice."""
    names = DEPLOYED[layout.journey]
    if stage not in names:
        raise LayoutDiffersError(
            f"this cluster runs the journey {layout.journey}, which has no stage {stage}: run {', '.join(names)}"
        )
