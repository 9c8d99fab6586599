"""The run slot of one job, which it gives back while it waits."""

from __future__ import annotations

import asyncio
from types import TracebackType

from streams.scheduling.scheduler import Scheduler


class RunSlot:
    """The slot that a job of *tenant* holds from its beginning until ``close``.

    Waits of one job may overlap, if it does several things at once. The first one gives the slot back, and the first
    that ends takes one again: from then on the job runs.
    """

    __slots__ = ("_closed", "_one_at_a_time", "_scheduler", "_tenant", "held")

    def __init__(self, scheduler: Scheduler, tenant: str) -> None:
        self._scheduler, self._tenant = scheduler, tenant
        self._one_at_a_time = asyncio.Lock()
        self._closed = False
        self.held = True
        """True while the job has a slot."""

    def waiting(self) -> WaitingScope:
        """Return a scope that gives the slot to others, and takes one again at its end."""
        return WaitingScope(self)

    def close(self) -> None:
        """Give the slot back for good: the job has ended. Waits that outlive it change nothing."""
        self.give()
        self._closed = True

    def give(self) -> None:
        """Give the slot back, if the job has one."""
        if self.held:
            self.held = False
            self._scheduler.end(self._tenant)

    def take_now(self) -> None:
        """Take a slot, beyond the limit if need be. Later jobs wait until the number is below the limit again."""
        if self._lacks():
            self.held = True
            self._scheduler.begin(self._tenant)

    async def take(self) -> None:
        """Wait for a slot, before the jobs of the tenant that have not begun. A cancelled wait takes one at once."""
        async with self._one_at_a_time:
            if not self._lacks():
                return
            await self._scheduler.turn_again(self._tenant)
            if self._lacks():
                self.held = True
            else:  # a cancelled wait beside this one has taken a slot, or the job has ended
                self._scheduler.end(self._tenant)

    def _lacks(self) -> bool:
        return not self.held and not self._closed


class WaitingScope:
    """One wait of a job. A cancelled job does not wait for a slot at the end: its cancellation must not hang."""

    __slots__ = ("_slot",)

    def __init__(self, slot: RunSlot) -> None:
        self._slot = slot

    async def __aenter__(self) -> None:
        """Give the slot back."""
        self._slot.give()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Take a slot again."""
        if kind is not None and not issubclass(kind, Exception):
            self._slot.take_now()
            return
        try:
            await self._slot.take()
        except asyncio.CancelledError:
            self._slot.take_now()
            raise
