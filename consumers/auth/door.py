"""The tenant's door: duplicates, session order and concurrency, decided in one place from what the inbox says.

A request is *open* from the moment the door lets it through until any stage closes it; the open ones are counted, not
leased, so nothing can leak. The memory is rebuilt from ``platform.inbox`` whenever the shard opens; a forward that is
decided but not committed counts as open, and is forgotten with the whole memory if its transaction comes to nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from schemas.clock import Clock
    from schemas.inbox import InboxEntry, Ticket

DEDUPE_WINDOW_MS = 24 * 3_600_000

Seen: TypeAlias = Literal["new", "joined", "conflict"]


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

    lanes: dict[str, deque[asyncio.Future[None]]] = field(default_factory=dict)
    room: deque[asyncio.Future[None]] = field(default_factory=deque)
    promised: int = 0
    """Places given to a waiter that has not run yet."""

    limit: int = 1


class Door:
    """The door of every tenant of one shard."""

    def __init__(self, clock: Clock, window_ms: int = DEDUPE_WINDOW_MS) -> None:
        self._clock = clock
        self._window_ms = window_ms
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._gates: dict[str, Gate] = {}
        self._serving: set[str] = set()

    def recall(self, key: str, entry: InboxEntry | None, at_ms: int) -> None:
        """Take up one inbox record, in the order of the log; None is its deletion."""
        if entry is None:
            self._drop(key)
        elif entry.state == "serving":
            self._serving.add(key)
        elif entry.ticket is not None:
            self._note(entry.ticket, opened=entry.state == "open", at_ms=at_ms)

    def serves(self, key: str) -> bool:
        """Whether the first offset of a partition has been committed once."""
        return key in self._serving

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

    async def enter(self, ticket: Ticket, limit: int) -> Seen:
        """Wait until the ticket's lane is free and the tenant has room among its *limit*, in the order of asking.

        "new": the request is open from now on. Otherwise another record with its identity got in before or meanwhile.
        """
        gate = self._gate(ticket.key)
        gate.limit = limit
        if (seen := self.look(ticket)) != "new":
            return seen
        await self._lane(gate, ticket.lane)
        if gate.room or len(gate.open) + gate.promised >= limit:
            await self._room(gate)
        if (seen := self.look(ticket)) == "new":
            self._note(ticket, opened=True, at_ms=self._clock.now_ms())
        else:
            self._let_in(gate)
        return seen

    async def _lane(self, gate: Gate, lane: str) -> None:
        while lane in gate.open:
            async with _queued(gate.lanes.setdefault(lane, deque())) as turn:
                await turn

    async def _room(self, gate: Gate) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        gate.room.append(turn)
        self._let_in(gate)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(gate, turn)
            raise
        gate.promised -= 1

    def _give_up(self, gate: Gate, turn: asyncio.Future[None]) -> None:
        """A waiter that goes away leaves its place, or hands on the one it was promised."""
        if turn.cancelled():
            gate.room.remove(turn)
        else:
            gate.promised -= 1
        self._let_in(gate)

    def close(self, ticket: Ticket) -> None:
        """The request is over; its place and its lane are free."""
        self._note(ticket, opened=False, at_ms=self._clock.now_ms())

    def _note(self, ticket: Ticket, *, opened: bool, at_ms: int) -> None:
        self._known[ticket.key] = Known(ticket.body, ticket.lane, opened, at_ms)
        self._known.move_to_end(ticket.key)
        gate = self._gate(ticket.key)
        if opened:
            gate.open[ticket.lane] = ticket.key
        elif gate.open.get(ticket.lane) == ticket.key:
            self._free(gate, ticket.lane)

    def _free(self, gate: Gate, lane: str) -> None:
        del gate.open[lane]
        for turn in gate.lanes.pop(lane, ()):
            if not turn.done():
                turn.set_result(None)
        self._let_in(gate)

    def _let_in(self, gate: Gate) -> None:
        while gate.room and len(gate.open) + gate.promised < gate.limit:
            turn = gate.room.popleft()
            gate.promised += 1
            turn.set_result(None)

    def _gate(self, key: str) -> Gate:
        return self._gates.setdefault(key.split("|", 1)[0], Gate())

    def _drop(self, key: str) -> None:
        self._serving.discard(key)
        known = self._known.pop(key, None)
        if known is not None and known.open and self._gate(key).open.get(known.lane) == key:
            self._free(self._gate(key), known.lane)

    def _forget_old(self) -> None:
        """What was closed longer ago than the window, oldest first; open requests are never forgotten."""
        for key in list(self._oldest()):
            del self._known[key]

    def _oldest(self) -> list[str]:
        old: list[str] = []
        for key, known in self._known.items():
            if not self._is_old(known):
                break
            old.append(key)
        return old

    def _is_old(self, known: Known) -> bool:
        return not known.open and self._clock.now_ms() - known.at_ms > self._window_ms


@asynccontextmanager
async def _queued(queue: deque[asyncio.Future[None]]) -> AsyncIterator[asyncio.Future[None]]:
    """A place in a queue that is given up however the wait ends."""
    turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    queue.append(turn)
    try:
        yield turn
    finally:
        if turn in queue:
            queue.remove(turn)
