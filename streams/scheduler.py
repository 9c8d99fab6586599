"""Who starts when not everybody can: run slots and the event loop of one worker, shared by its tenants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from streams.burst import Burst
from streams.fairness import RoundRobin

SHARE = 8.0
"""Run slots that a tenant of weight 1 may hold for each one that is free.

One tenant alone fills eight ninths of a worker, two fill eight seventeenths each: somebody who comes later finds slots
free, and waits for nobody's run to end. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for
Shared-Memory Packet Switches" (1998), which bounds buffers in this way.
"""

Turn: TypeAlias = "asyncio.Future[None]"


class Scheduler:
    """Lets jobs begin: at once while there are slots enough and the loop is not behind, else by turns.

    A tenant without a name has no share to keep to. A slot is taken by ``begin``, or by ``turn`` for who waits, and
    given back by ``end``.
    """

    def __init__(self, limit: int, weight: Callable[[str], float]) -> None:
        self._limit, self._weight = limit, weight
        self._of: dict[str, int] = {}
        self._waiting: RoundRobin[Turn] = RoundRobin(weight)
        self._called: Counter[str] = Counter()
        """By tenant, turns that have come and whose tasks have not seen it yet."""

        self._burst = Burst(self._call)
        self.running = 0
        """Slots that are taken."""

    def starts(self, tenant: str) -> bool:
        """Whether a job of *tenant* may begin now. Nobody is overtaken: whoever waits, may not."""
        free = self._limit - self.running
        if free <= 0 or self._burst.left <= 0:
            return False
        held = self._of.get(tenant, 0)
        return not held or not tenant or held < SHARE * self._weight(tenant) * free

    @property
    def spent(self) -> bool:
        """Whether no more may begin before the loop has had its turn."""
        return self._burst.left <= 0

    def begin(self, tenant: str) -> None:
        """A job of *tenant* has begun."""
        burst = self._burst
        burst.left -= 1
        if not burst.spent:
            burst.arrange()
        self.running += 1
        self._of[tenant] = self._of.get(tenant, 0) + 1

    def pause(self) -> None:
        """Whoever lets jobs begin lets the loop have its turn."""
        self._burst.close()

    def end(self, tenant: str) -> None:
        """A job of *tenant* is over: whoever's turn it is begins."""
        self.running -= 1
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]
        if self._waiting:
            self._call()

    def _call(self) -> None:
        while self._burst.left > 0 and (found := self._waiting.next(self.starts)) is not None:
            tenant, turn = found
            if not turn.done():  # it has been cancelled, and has not noticed yet
                self.begin(tenant)
                self._called[tenant] += 1
                turn.set_result(None)

    async def turn(self, tenant: str, cost: float) -> None:
        """Wait until a job of *tenant*, of this estimated *cost*, may begin. When this returns it has begun.

        Returns in the order of asking, for each tenant: who has been called is not overtaken on the way.
        """
        if self.starts(tenant) and not self._called.get(tenant):
            self.begin(tenant)
            return
        turn: Turn = asyncio.get_running_loop().create_future()
        self._waiting.add(tenant, turn, cost)
        if not self._called.get(tenant):  # else its future would be done, and awaited without a wait
            self._call()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.remove(tenant, turn)
            if not turn.cancelled():  # called and cancelled at once
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
