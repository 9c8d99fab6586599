"""The scheduler of one worker: it shares run slots and the event loop among tenants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from streams.burst import Burst
from streams.fairness import RoundRobin

SHARE = 8.0
"""The run slots that a tenant of weight 1 may hold for each free slot.

One tenant alone fills eight ninths of a worker; two fill eight seventeenths each. A tenant that comes later finds free
slots, and does not wait for a run to end. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for
Shared-Memory Packet Switches" (1998), which bounds buffers in this way."""

Turn: TypeAlias = "asyncio.Future[None]"


class Scheduler:
    """Starts jobs at once while slots are free and the event loop is not behind; else tenants take turns.

    A job without a tenant has no share limit. ``begin`` takes a slot, ``turn`` waits for one and takes it, and ``end``
    returns it.
    """

    def __init__(self, limit: int, weight: Callable[[str], float]) -> None:
        self._limit, self._weight = limit, weight
        self._of: dict[str, int] = {}
        self._waiting: RoundRobin[Turn] = RoundRobin(weight)
        self._called: Counter[str] = Counter()
        """By tenant, the turns that were granted and whose tasks have not resumed yet."""

        self._burst = Burst(self._call)
        self.running = 0
        """The number of taken slots."""

    def starts(self, tenant: str) -> bool:
        """Return True if a job of *tenant* may begin now. It overtakes no waiting job: those may not begin now."""
        free = self._limit - self.running
        if free <= 0 or self._burst.left <= 0:
            return False
        held = self._of.get(tenant, 0)
        return not held or not tenant or held < SHARE * self._weight(tenant) * free

    @property
    def spent(self) -> bool:
        """True if no more jobs may begin before the event loop has run."""
        return self._burst.left <= 0

    def begin(self, tenant: str) -> None:
        """Take a slot for a job of *tenant*."""
        burst = self._burst
        burst.left -= 1
        if not burst.spent:
            burst.arrange()
        self.running += 1
        self._of[tenant] = self._of.get(tenant, 0) + 1

    def pause(self) -> None:
        """Close the current burst: the caller yields to the event loop."""
        self._burst.close()

    def end(self, tenant: str) -> None:
        """Return the slot of a job of *tenant*, and start the jobs whose turn it is."""
        self.running -= 1
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]
        if self._waiting:
            self._call()

    def _call(self) -> None:
        while self._burst.left > 0 and (found := self._waiting.next(self.starts)) is not None:
            tenant, turn = found
            if not turn.done():  # cancelled, and its task has not resumed yet
                self.begin(tenant)
                self._called[tenant] += 1
                turn.set_result(None)

    async def turn(self, tenant: str, cost: float) -> None:
        """Wait until a job of *tenant*, of this estimated *cost*, may begin. On return the job holds a slot.

        For each tenant, calls return in the order in which they were made.
        """
        if self.starts(tenant) and not self._called.get(tenant):
            self.begin(tenant)
            return
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.add(tenant, turn, cost)
        if not self._called.get(tenant):  # else its future would be done already, and awaiting it would not wait
            self._call()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.remove(tenant, turn)
            if not turn.cancelled():  # granted and cancelled at the same time
                self.end(tenant)
            raise
        finally:
            if not turn.cancelled():
                self._seen(tenant)

    def _seen(self, tenant: str) -> None:
        self._called[tenant] -= 1
        if not self._called[tenant]:
            del self._called[tenant]
            self._call()
