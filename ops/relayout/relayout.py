"""Move a cluster to its next layout: announce it, drain the old layout, hand it over, then open the next one.

Each step may be killed and repeated. ``platform.tenants`` holds the progress. The layout has a ``next`` from the
announcement on; at the end, the next layout replaces it. Workers that see the announcement finish their runs and end.
New workers wait until the next layout is open (``streams/layout_guard.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ops import registry_writer
from ops.errors import ChangedMeanwhileError, LayoutDiffersError, NoLayoutError
from ops.provision import Wish, written
from ops.registry_writer import Entry
from ops.relayout.drain import WAIT_S, LayoutDrain
from ops.relayout.handover import Handover, left_behind
from ops.topology import Change
from producers.registry import registry_record
from schemas.clock import Clock, SystemClock
from schemas.records import ProducerRecord
from schemas.tenants import Layout, LayoutMove
from schemas.topics import PLATFORM
from streams.registry.tenants import TenantRegistry
from streams.telemetry.trace_context import follow
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, FencedError, OutcomeUnknownError, TransportError
from streams.transport.groups import Groups
from streams.transport.writer import TransactionalWriter

NAME = "headrace-relayout"
TRIES = 8
SHARDED = tuple(topic.name for topic in PLATFORM if topic.partitions == "shards")
"""Topics with one partition for each shard."""


@dataclass(frozen=True, slots=True)
class Relayout:
    """The move of one cluster to the wanted layout."""

    connection: Connection
    wish: Wish
    tell: Callable[[str], None]
    """Called with each line for the person at the terminal."""

    wait_s: float = WAIT_S
    """Seconds for workers to end, and for the records that the next journey does not read to be done."""

    clock: Clock = field(default_factory=SystemClock)

    async def apply(self) -> list[Change]:
        """Make the move, or continue one that was begun. Return the changes: none if the layout is as wanted.

        Raises NoLayoutError, LayoutDiffersError, GroupBusyError, UndoneError, ChangedMeanwhileError. After any of them,
        correct the cause and run it again.
        """
        async with (
            await Admin.open(self.connection, name=NAME) as admin,
            await Groups.open(self.connection, name=NAME) as groups,
        ):
            layout = await self._announce(admin)
            if layout.next is None:
                return []
            layout_drain = LayoutDrain(
                groups, Handover(self.connection, groups, layout), self.wait_s, self.tell, self.clock
            )
            if layout.next.closing == "entry":
                await layout_drain.of_ingress()
                layout = await self._close_all(layout)
            await layout_drain.of_all_stages()
            return await self._finish(admin, groups, layout)

    # --- announcement -------------------------------------------------------------------------------------------------

    async def _announce(self, admin: Admin) -> Layout:
        """Announce the move and return the layout in the registry: it has a ``next`` unless it is as wanted."""
        partitions = max((await admin.partition_counts(SHARDED)).values())

        def decide(registry: TenantRegistry) -> list[Entry]:
            wanted = self._announced(registry.layout, partitions)
            return [] if wanted == registry.layout else [wanted]

        registry = await registry_writer.change(self.connection, decide)
        return self._announced(registry.layout, partitions)

    def _announced(self, layout: Layout | None, partitions: int) -> Layout:
        if layout is None:
            raise NoLayoutError
        move = self._move(layout)
        if layout.next is None and (move.shards, move.journey) == (layout.shards, layout.journey):
            return layout
        if move.shards < partitions:
            raise LayoutDiffersError(
                f"the platform's topics have {partitions} partitions, and Kafka takes none away:"
                f" --shards must be {partitions} or more"
            )
        return layout.model_copy(update={"next": move})

    def _move(self, layout: Layout) -> LayoutMove:
        """Return the wanted move. An unset value is taken from the move under way, else from the layout."""
        shape = layout.next or layout
        journey = self.wish.journey or shape.journey
        closing: Literal["entry", "all"] = "entry" if left_behind(layout.journey, journey) else "all"
        return LayoutMove(shards=self.wish.shards or shape.shards, journey=journey, closing=closing)

    async def _close_all(self, layout: Layout) -> Layout:
        """Announce that all stages close: the stages that read requests have, and no record is left behind."""
        closed = layout.model_copy(update={"next": layout.next and layout.next.model_copy(update={"closing": "all"})})

        def decide(registry: TenantRegistry) -> list[Entry]:
            if registry.layout != layout:
                raise ChangedMeanwhileError
            return [closed]

        await registry_writer.change(self.connection, decide)
        return closed

    # --- handover and opening -----------------------------------------------------------------------------------------

    async def _finish(self, admin: Admin, groups: Groups, layout: Layout) -> list[Change]:
        """Open the next layout, again and again if a concurrent writer of the registry fences this one.

        Each attempt reads the registry first, and repeats everything. Raises ChangedMeanwhileError after ``TRIES``
        attempts.
        """
        failure: TransportError | None = None
        for _ in range(TRIES):
            try:
                return await self._open_next(admin, groups, layout)
            except (FencedError, OutcomeUnknownError, BrokerError) as error:
                failure = error
        raise ChangedMeanwhileError from failure

    async def _open_next(self, admin: Admin, groups: Groups, layout: Layout) -> list[Change]:
        """Hand the layout over and open the next one.

        Everything is written under the registry's transactional id, so that no other writer changes the layout
        meanwhile.
        """
        following = layout.following()
        opened = written(following)
        async with await TransactionalWriter.open(
            self.connection, registry_writer.TRANSACTIONAL_ID, name=NAME
        ) as writer:
            if await self._found(layout, following) == following:  # opened by another, or by an unacknowledged try
                return [opened]
            handover = Handover(self.connection, groups, layout)
            await handover.fence()
            changes = [*await _grow(admin, following), *await handover.hand_down_memory(writer, self.tell)]
            async for change in handover.hand_down_offsets(admin, writer):
                changes.append(change)
                await self._found(layout)
            await writer.transact([_record(following, self.clock)])
        return [*changes, opened]

    async def _found(self, *expected: Layout) -> Layout:
        """Return the layout in the registry. Raises ChangedMeanwhileError if it is none of *expected*.

        Call it each time that the writer has fenced: it then sees everything written before.
        """
        found = (await registry_writer.load(self.connection)).layout
        if found is None or found not in expected:
            raise ChangedMeanwhileError
        return found


async def _grow(admin: Admin, layout: Layout) -> list[Change]:
    """Add partitions to the topics that have one for each shard."""
    counts = await admin.partition_counts(SHARDED)
    short = [name for name in SHARDED if counts.get(name, 0) < layout.shards]
    await admin.add_partitions(dict.fromkeys(short, layout.shards))
    return [Change("grow", name, f"partitions: {counts[name]}, now {layout.shards}") for name in short]


def _record(layout: Layout, clock: Clock) -> ProducerRecord:
    return registry_record(layout, trace=follow(()).headers, now_ms=clock.now_ms())
