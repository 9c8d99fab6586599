"""The layout guard: a worker may serve only while the layout that it was started with is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schemas.tenants import Layout
from streams.journey import INGRESS_STAGES
from streams.registry.tenants import PARTITION, TenantRegistry
from streams.transport.reader import Reader

LOOK_S = 0.005
"""The time between two checks of how far the registry has been read."""


class LayoutMovedError(Exception):
    """The layout that this worker was started with is no longer open."""


def admits(layout: Layout | None, stage: str) -> bool:
    """Return True if *stage* may run under *layout*, which may be moving to another layout."""
    if layout is None:
        return False
    return layout.next is None or (layout.next.closing == "entry" and stage not in INGRESS_STAGES)


@dataclass(frozen=True, slots=True)
class LayoutGuard:
    """The guard of one stage under one layout. *reader* is the one that follows the registry."""

    stage: str
    layout: Layout
    registry: TenantRegistry
    reader: Reader

    @property
    def over(self) -> bool:
        """True if another layout is open, or about to be."""
        found = self.registry.layout
        return found is None or found.version != self.layout.version or not admits(found, self.stage)

    async def ended(self) -> None:
        """Wait until the layout is no longer open to this stage."""
        while not self.over:
            await self.registry.changed()

    def guarding(self, remember: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        """Return *remember* behind a check that a shard which has just been fenced is still ours to open.

        A relayout first announces itself in the registry, and then fences every shard of the old layout. A worker that
        fences later sees the announcement here. A worker that fenced earlier is fenced itself. So no shard of an old
        layout writes again.
        """

        async def guarded(shard: int) -> None:
            await self._confirm()
            await remember(shard)

        return guarded

    async def _confirm(self) -> None:
        """Read the registry to its current end. Raise LayoutMovedError if the layout is no longer open."""
        end = (await self.reader.high_watermarks([PARTITION]))[PARTITION]
        while self.reader.position(PARTITION) < end:  # noqa: ASYNC110 - the reader tells nobody how far it is
            await asyncio.sleep(LOOK_S)
        if self.over:
            raise LayoutMovedError(f"layout {self.layout.version} is not open any more")
