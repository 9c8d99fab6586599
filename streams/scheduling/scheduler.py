"""The scheduler of one worker: it shares run slots and the event loop among tenants."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol, TypeAlias

from streams.scheduling.deficit_round_robin import DeficitRoundRobin
from streams.scheduling.loop_budget import LoopBudget

SHARE = 8.0
"""The run slots that a tenant of weight 1 may hold for each free slot.

One tenant alone fills eight ninths of a worker; two fill eight seventeenths each. A tenant that comes later finds free
slots, and does not wait for a run to end. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for
Shared-Memory Packet Switches" (1998), which bounds buffers in this way."""

Waiter: TypeAlias = "asyncio.Future[None]"


class Scheduler:
    """Starts jobs at once while slots are free and the event loop is not behind; else tenants take turns.

    A job without a tenant has no share limit. ``begin`` takes a slot, ``turn`` waits for one and takes it, and ``end``
    returns it.
    """

    def __init__(self, limit: int, weight: Callable[[str], float]) -> None:
        self._limit, self._weight = limit, weight
        self._of: dict[str, int] = {}
        self._waiting: DeficitRoundRobin[Waiter] = DeficitRoundRobin(weight)
        self._called: Counter[str] = Counter()
        """By tenant, the turns that were granted and whose tasks have not resumed yet."""

        self._loop_budget = LoopBudget(self._call)
        self.running = 0
        """The number of taken slots."""

    def starts(self, tenant: str) -> bool:
        """Return True if a job of *tenant* may begin now. It overtakes no waiting job: those may not begin now."""
        free = self._limit - self.running
        if free <= 0 or self._loop_budget.left <= 0:
            return False
        held = self._of.get(tenant, 0)
        return not held or not tenant or held < SHARE * self._weight(tenant) * free

    @property
    def spent(self) -> bool:
        """True if no more jobs may begin before the event loop has run."""
        return self._loop_budget.left <= 0

    def begin(self, tenant: str) -> None:
        """Take a slot for a job of *tenant*."""
        loop_budget = self._loop_budget
        loop_budget.left -= 1
        if not loop_budget.spent:
            loop_budget.arrange()
        self.running += 1
        self._of[tenant] = self._of.get(tenant, 0) + 1

    def pause(self) -> None:
        """Close the current burst: the caller yields to the event loop."""
        self._loop_budget.close()

    def end(self, tenant: str) -> None:
        """Return the slot of a job of *tenant*, and start the jobs whose turn it is."""
        self.running -= 1
        self._of[tenant] -= 1
        if not self._of[tenant]:
            del self._of[tenant]
        if self._waiting:
            self._call()

    def _call(self) -> None:
        while self._loop_budget.left > 0 and (found := self._waiting.next(self.starts)) is not None:
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
        await self._granted(tenant, cost)

    async def turn_again(self, tenant: str) -> None:
        """Wait for a slot for a job of *tenant* that has begun and has given its slot back.

        It comes before the tenant's jobs that have not begun, and costs nothing: its tenant has paid for the job.
        """
        if self.starts(tenant):
            self.begin(tenant)
        else:
            await self._granted(tenant, 0.0, early=True)

    async def _granted(self, tenant: str, cost: float, *, early: bool = False) -> None:
        turn: Waiter = asyncio.get_running_loop().create_future()
        self._waiting.add(tenant, turn, cost, early=early)
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


class InFlight:
    """Two counts with limits. ``changed`` is set whenever there may be room again.

    A holder may hold no more than is still free. One that floods takes half, two take a third each, and a later holder
    finds room. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
    Switches" (1998). Records already over a limit stay: a fetch cannot know how much it will return.
    """

    def __init__(self, limit: int, size: int) -> None:
        self.limit, self._size = limit, size
        self.taken = 0
        """The number of records held."""

        self.bytes = 0
        """The bytes of these records."""

        self.changed = asyncio.Event()
        self._of: dict[Hashable, list[int]] = {}

    @property
    def free(self) -> int:
        """The number of records that may be taken now; zero or less if records or bytes are full."""
        return self.limit - self.taken if self.bytes < self._size else 0

    @property
    def free_bytes(self) -> int:
        """The number of bytes that may be taken now."""
        return self._size - self.bytes

    def room(self, holder: Hashable) -> int:
        """Return the number of records that *holder* may take now; zero or less if its share is full."""
        taken, size = self._of.get(holder, (0, 0))
        return self.free - taken if size < self.free_bytes else 0

    def take(self, holder: Hashable, size: int) -> None:
        """Add one record of *size* bytes."""
        self.taken += 1
        self.bytes += size
        held = self._of.get(holder)
        if held is None:
            self._of[holder] = [1, size]
        else:
            held[0] += 1
            held[1] += size

    def give(self, holder: Hashable, size: int) -> None:
        """Remove one record of *size* bytes."""
        self.taken -= 1
        self.bytes -= size
        held = self._of[holder]
        held[0] -= 1
        held[1] -= size
        if not held[0]:
            del self._of[holder]
        self.changed.set()


COST_WEIGHT = 0.2
"""Weight of the newest run in its tenant's average."""

UNKNOWN_COST_S = 1.0
"""Expected seconds of a first run, as long as no run of any tenant has been measured."""


class CostEstimate:
    """Moving averages in seconds. A tenant without a history gets the average of all tenants."""

    def __init__(self) -> None:
        self._of: dict[str, float] = {}
        self._all = UNKNOWN_COST_S

    def expected(self, tenant: str) -> float:
        """Return the expected seconds of the tenant's next run."""
        return self._of.get(tenant, self._all)

    def note(self, tenant: str, seconds: float) -> None:
        """Add a run of *tenant* that has taken *seconds*."""
        self._all += COST_WEIGHT * (seconds - self._all)
        before = self._of.get(tenant, seconds)
        self._of[tenant] = before + COST_WEIGHT * (seconds - before)


_LOOK_S = 0.05


class Pausable(Protocol):
    """The owner of the jobs that may be held back."""

    def is_paused(self) -> bool:
        """Return True if nothing may start now."""
        ...


class PauseGate:
    """The pause shared by waiting tasks, thousands at a time. One of them polls the owner."""

    def __init__(self, owner: Pausable) -> None:
        self._owner = owner
        self._looks = False
        self._looked = asyncio.Event()

    async def over(self) -> None:
        """Wait while the owner is held back."""
        while self._owner.is_paused():
            await (self._looked.wait() if self._looks else self._look())

    async def _look(self) -> None:
        self._looks = True
        self._looked.clear()
        try:
            while self._owner.is_paused():  # noqa: ASYNC110 - three conditions, one of them time
                await asyncio.sleep(_LOOK_S)
        finally:  # if it is cancelled, another waiting task polls
            self._looks = False
            self._looked.set()
