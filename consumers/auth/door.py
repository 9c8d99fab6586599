"""The tenant's door: duplicates, session order and concurrency, decided in one place from what the inbox says.

A request is *open* from the moment the door lets it through until any stage closes it; the open ones are counted, not
leased, so nothing can leak. The memory is rebuilt from ``platform.inbox`` whenever the shard opens; a forward that is
decided but not committed counts as open, and is forgotten with the whole memory if its transaction comes to nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from schemas.clock import Clock
from schemas.inbox import InboxEntry, Ticket
from schemas.topics import HOUR_MS, REQUEST_RETENTION_MS

DEDUPE_WINDOW_MS = REQUEST_RETENTION_MS + HOUR_MS
"""After its end a request is remembered as long as a copy of it may lie unread, and a while longer."""

RENEW_MS = 24 * HOUR_MS
"""The log drops what is old: that a partition is served has to be said again, long before that."""

Seen: TypeAlias = Literal["new", "joined", "conflict"]
Queue: TypeAlias = "OrderedDict[asyncio.Future[None], None]"
"""Who waits, in the order of asking; whoever goes away leaves it at no cost."""


@dataclass(slots=True)
class Known:
    """One request that the door remembers."""

    body: str
    lane: str
    open: bool
    at_ms: int


@dataclass(slots=True)
class Gate:
    """One tenant: which lanes are busy, who waits for a lane, who waits for room."""

    open: dict[str, str] = field(default_factory=dict)
    """Lane to the inbox key of the request that holds it."""

    claimed: set[str] = field(default_factory=set)
    """Lanes whose next request has been chosen, and waits for room."""

    lanes: dict[str, Queue] = field(default_factory=dict)
    room: Queue = field(default_factory=OrderedDict)
    promised: int = 0
    """Places given to a waiter that has not run yet."""

    limit: int = 1

    def is_free(self, lane: str) -> bool:
        """Whether a request of this lane may go on to ask for room."""
        return lane not in self.open and lane not in self.claimed

    def has_room(self) -> bool:
        """Whether one more request may be beyond the door."""
        return len(self.open) + self.promised < self.limit


class Door:
    """The door of every tenant of one shard."""

    def __init__(self, clock: Clock, window_ms: int = DEDUPE_WINDOW_MS) -> None:
        self._clock = clock
        self._window_ms = window_ms
        self._known: dict[str, Known] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        """Keys of the known requests that are over, in the order of their ends."""

        self._gates: dict[str, Gate] = {}
        self._serving: dict[str, int] = {}

    def recall(self, key: str, entry: InboxEntry | None, at_ms: int) -> None:
        """Take up one inbox record, in the order of the log; None is its deletion."""
        if entry is None:
            self._drop(key)
        elif entry.state == "serving":
            self._serving[key] = at_ms
        elif entry.ticket is not None:
            self._note(entry.ticket, opened=entry.state == "open", at_ms=at_ms)

    def serves(self, key: str) -> bool:
        """Whether the first offset of a partition has been committed once."""
        return key in self._serving

    def renews(self, key: str) -> bool:
        """Whether it has to be said again that a partition is served. If so, it counts as said."""
        now, said = self._clock.now_ms(), self._serving.get(key)
        if said is not None and now - said < RENEW_MS:
            return False
        self._serving[key] = now
        return True

    def look(self, ticket: Ticket) -> Seen:
        """Whether the request is known already."""
        self._forget_old()
        known = self._known.get(ticket.key)
        if known is None or self._is_old(known):
            return "new"
        return "joined" if known.body == ticket.body else "conflict"

    def in_flight(self, tenant: str) -> int:
        """How many of the tenant's requests are beyond the door."""
        gate = self._gates.get(tenant)
        return len(gate.open) if gate else 0

    def holds(self, tenant: str) -> bool:
        """Whether the tenant has as many beyond the door as it may."""
        gate = self._gates.get(tenant)
        return gate is not None and not gate.has_room()

    async def enter(self, ticket: Ticket, limit: int) -> Seen:
        """Wait until the ticket's lane is free and the tenant has room among its *limit*, in the order of asking.

        "new": the request is open from now on. Otherwise another record with its identity got in before or meanwhile.
        """
        gate = self._gate(ticket.key)
        gate.limit = limit
        self._let_in(gate)
        if (seen := self.look(ticket)) != "new":
            return seen
        await self._claim(gate, ticket.lane)
        try:
            await self._room(gate)
            if (seen := self.look(ticket)) == "new":
                self._note(ticket, opened=True, at_ms=self._clock.now_ms())
            return seen
        finally:
            self._unclaim(gate, ticket.lane)

    async def _claim(self, gate: Gate, lane: str) -> None:
        """Become the next of a lane, from which on nobody of it can get by."""
        if gate.is_free(lane):
            gate.claimed.add(lane)
            return
        queue = gate.lanes.setdefault(lane, OrderedDict())
        await _turn(queue, lambda: self._unclaim(gate, lane))

    def _unclaim(self, gate: Gate, lane: str) -> None:
        """The next of a lane has got in, or goes away."""
        gate.claimed.discard(lane)
        self._hand_on(gate, lane)
        self._let_in(gate)

    async def _room(self, gate: Gate) -> None:
        """Wait for a place. If there is one, nobody waits: those who did have been called."""
        if gate.has_room():
            return
        await _turn(gate.room, lambda: self._give_back(gate))
        gate.promised -= 1

    def _give_back(self, gate: Gate) -> None:
        gate.promised -= 1
        self._let_in(gate)

    def close(self, ticket: Ticket) -> None:
        """The request is over; its place and its lane are free."""
        self._note(ticket, opened=False, at_ms=self._clock.now_ms())

    def _note(self, ticket: Ticket, *, opened: bool, at_ms: int) -> None:
        self._known[ticket.key] = Known(ticket.body, ticket.lane, opened, at_ms)
        self._closed.pop(ticket.key, None)
        gate = self._gate(ticket.key)
        if opened:
            gate.open[ticket.lane] = ticket.key
            return
        self._closed[ticket.key] = None
        self._free(gate, ticket.lane, ticket.key)

    def _free(self, gate: Gate, lane: str, key: str) -> None:
        if gate.open.get(lane) == key:
            del gate.open[lane]
            self._hand_on(gate, lane)
            self._let_in(gate)

    def _hand_on(self, gate: Gate, lane: str) -> None:
        """A free lane goes to the first that waits for it, and to nobody else."""
        queue = gate.lanes.get(lane)
        if queue is None or not gate.is_free(lane):
            return
        if _call(queue):
            gate.claimed.add(lane)
        if not queue:
            del gate.lanes[lane]

    def _let_in(self, gate: Gate) -> None:
        while gate.has_room() and _call(gate.room):
            gate.promised += 1

    def _gate(self, key: str) -> Gate:
        tenant = key.split("|", 1)[0]
        gate = self._gates.get(tenant)
        if gate is None:
            gate = self._gates[tenant] = Gate()
        return gate

    def _drop(self, key: str) -> None:
        self._serving.pop(key, None)
        self._closed.pop(key, None)
        known = self._known.pop(key, None)
        if known is not None and known.open:
            self._free(self._gate(key), known.lane, key)

    def _forget_old(self) -> None:
        """What was closed longer ago than the window, oldest first; open requests are never forgotten."""
        while self._closed and self._is_old(self._known[next(iter(self._closed))]):
            key, _ = self._closed.popitem(last=False)
            del self._known[key]

    def _is_old(self, known: Known) -> bool:
        return not known.open and self._clock.now_ms() - known.at_ms > self._window_ms


async def _turn(queue: Queue, give_back: Callable[[], None]) -> None:
    """Wait to be called from *queue*. Called and cancelled at once, what was called for is given back."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    queue[turn] = None
    try:
        await turn
    except asyncio.CancelledError:
        queue.pop(turn, None)
        if not turn.cancelled():
            give_back()
        raise


def _call(queue: Queue) -> bool:
    """Call the first that still waits; False if nobody does."""
    while queue:
        turn, _ = queue.popitem(last=False)
        if not turn.done():
            turn.set_result(None)
            return True
    return False
