"""How long a worker may serve: as long as the layout that it was started with is the one that is open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from schemas.tenants import Layout
from streams.journey import ENTRIES
from streams.registry import PARTITION, Registry
from streams.transport.reader import Reader

LOOK_S = 0.005
"""Between two looks at how far the registry has been read."""


class LayoutMovedError(Exception):
    """The layout that this worker was started with is not open any more."""


def admits(layout: Layout | None, stage: str) -> bool:
    """Whether *stage* may run under *layout*, which may be on its way to another."""
    if layout is None:
        return False
    return layout.next is None or (layout.next.closing == "entry" and stage not in ENTRIES)


@dataclass(frozen=True, slots=True)
class Tenure:
    """One stage under one layout. *reader* is the one that follows the registry."""

    stage: str
    layout: Layout
    registry: Registry
    reader: Reader

    @property
    def over(self) -> bool:
        """Whether another layout is open, or about to be."""
        found = self.registry.layout
        return found is None or found.version != self.layout.version or not admits(found, self.stage)

    async def ended(self) -> None:
        """Return once it is over."""
        while not self.over:
            await self.registry.changed()

    def guarding(self, remember: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        """*remember*, once a shard that has just been fenced is known to be still ours to open.

        Whoever moves a layout announces it and then fences every shard of it. So one who fences later than that sees
        the announcement here, and one who fenced earlier is fenced: no shard of a layout that is left writes again.
        """

        async def guarded(shard: int) -> None:
            await self._confirm()
            await remember(shard)

        return guarded

    async def _confirm(self) -> None:
        """LayoutMovedError unless the registry, read as far as it has been written by now, has not moved on."""
        end = (await self.reader.high_watermarks([PARTITION]))[PARTITION]
        while self.reader.position(PARTITION) < end:  # noqa: ASYNC110 - the reader tells nobody how far it is
            await asyncio.sleep(LOOK_S)
        if self.over:
            raise LayoutMovedError(f"layout {self.layout.version} is not open any more")
