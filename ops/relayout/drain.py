"""Wait until a layout has no workers, and no records that only its stages would read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass

from ops.errors import GroupBusyError, UndoneError
from ops.relayout.handover import Handover
from schemas.clock import Clock
from streams.journey import DEPLOYED, INGRESS_STAGES, group_of
from streams.transport.groups import Groups, Member

WAIT_S = 120.0
"""Default limit of a wait in seconds: above a worker's grace, and above the session timeout of a killed worker."""
LOOK_S = 0.3


@dataclass(frozen=True, slots=True)
class LayoutDrain:
    """The drain of one layout. Each wait lasts *wait_s* seconds at most."""

    groups: Groups
    handover: Handover
    wait_s: float
    tell: Callable[[str], None]
    clock: Clock

    async def of_ingress(self) -> None:
        """Wait until no worker reads requests, and the records that the next journey does not read are done. Raises
        GroupBusyError, UndoneError.
        """
        await self._empty(INGRESS_STAGES)
        async for last in self._looks():
            undone = await self.handover.undone()
            if not undone:
                return
            topic, records = next(iter(undone.items()))
            if last:
                raise UndoneError(topic, records, self.wait_s)
            self.tell(f"waiting until {records} records of {topic} are done")

    async def of_all_stages(self) -> None:
        """Wait until every group of the layout is empty. Raises GroupBusyError."""
        await self._empty(DEPLOYED[self.handover.layout.journey])

    async def _empty(self, stages: Iterable[str]) -> None:
        version, told = self.handover.layout.version, ""
        groups = list(dict.fromkeys(group_of(stage, version) for stage in stages))
        async for last in self._looks():
            busy = [(group, members) for group in groups if (members := await self.groups.members(group))]
            if not busy:
                return
            if last:
                raise GroupBusyError(busy[0][0], _names(busy[0][1]), self.wait_s)
            text = "waiting for workers to finish what runs: " + ", ".join(group for group, _ in busy)
            if text != told:
                self.tell(told := text)

    async def _looks(self) -> AsyncGenerator[bool]:
        """Yield False at each check until *wait_s* seconds have passed, then True for the last check."""
        end = self.clock.monotonic() + self.wait_s
        while (left := end - self.clock.monotonic()) > 0:
            yield False
            await asyncio.sleep(min(LOOK_S, left))
        yield True


def _names(members: Iterable[Member]) -> list[str]:
    return [f"{member.client} at {member.host.lstrip('/')}" for member in members]
