"""The tenant's door: duplicates, order, concurrency, rate and cancels, decided in one place from what the inbox says.

A request is *open* from the moment the door lets it through until any stage closes it; the open ones are counted, not
leased, so nothing can leak. The memory is rebuilt from ``platform.inbox`` whenever the shard opens; a forward that is
decided but not committed counts as open, and is forgotten with the whole memory if its transaction comes to nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from consumers.auth.gate import Gate, Turnstile
from consumers.auth.rates import MINUTE_MS, UNLIMITED, Rates
from consumers.auth.spoilage import Spoilage
from consumers.auth.turns import Queue, call, wait, withdraw
from schemas.clock import Clock
from schemas.inbox import InboxEntry, Ticket
from schemas.tenants import DlqLimit
from schemas.topics import HOUR_MS, REQUEST_RETENTION_MS

DEDUPE_WINDOW_MS = REQUEST_RETENTION_MS + HOUR_MS
"""After its end a request is remembered as long as a copy of it may lie unread, and a while longer."""

RENEW_MS = 24 * HOUR_MS
"""The log drops what is old: that a partition is served has to be said again, long before that."""

Seen: TypeAlias = Literal["new", "joined", "conflict", "cancelled"]
Found: TypeAlias = Literal["ahead", "beyond", "over"]
"""Where a cancel finds its request: not let in yet, beyond the door, or answered."""

Aside: TypeAlias = Callable[[], AbstractContextManager[None]]
"""Entered while a request waits for what holds up nobody but its own lane."""

Shut: TypeAlias = Callable[[str, float], None]
"""Told of a tenant whose door has shut, and for how many seconds."""


Spoils: TypeAlias = Callable[[str], DlqLimit | None]
"""How much of a tenant's may become dead letters, by the tenant's name."""


def nobody_told(_tenant: str, _seconds: float) -> None:
    """Nobody wants to hear of shut doors."""


def unlimited(_tenant: str) -> DlqLimit | None:
    """No door ever shuts."""
    return None


@dataclass(slots=True)
class Known:
    """One request that the door remembers."""

    body: str
    lane: str
    open: bool
    at_ms: int
    charged_ms: int | None
    """When it was counted against the tenant's rates."""


class Door:
    """The door of every tenant of one shard."""

    def __init__(
        self, clock: Clock, window_ms: int = DEDUPE_WINDOW_MS, shut: Shut = nobody_told, spoils: Spoils = unlimited
    ) -> None:
        self._clock = clock
        self._window_ms = window_ms
        self._shut, self._spoils = shut, spoils
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
        elif entry.state == "cancelled":
            if key not in self._known:
                self._gate(key).note_cancelled(key, at_ms)
        elif entry.ticket is not None:
            self._take_up(entry.ticket, opened=entry.state == "open", at_ms=at_ms)
            if entry.state == "closed":
                self._gate(key).spoilage.note(at_ms, buried=entry.buried)

    def _take_up(self, ticket: Ticket, *, opened: bool, at_ms: int) -> None:
        """An entry of any stage; each of a request that was charged says when, so that no entry alone is needed."""
        known = self._known.get(ticket.key)
        charged = known.charged_ms if known is not None else None
        if ticket.charged_ms is not None and charged is None:
            charged = ticket.charged_ms
            if charged > self._clock.now_ms() - MINUTE_MS:
                self._gate(ticket.key).charge(ticket, charged)
        self._note(ticket, opened=opened, at_ms=at_ms, charged_ms=charged)

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
        """Whether the request is known already, or was cancelled before it came."""
        self._forget_old()
        known = self._known.get(ticket.key)
        if known is None or self._is_old(known):
            return "cancelled" if self._is_cancelled(ticket.key) else "new"
        return "joined" if known.body == ticket.body else "conflict"

    def _is_cancelled(self, key: str) -> bool:
        cancelled = self._gate(key).cancelled
        at_ms = cancelled.get(key)
        if at_ms is None:
            return False
        if self._clock.now_ms() - at_ms > self._window_ms:
            del cancelled[key]
            return False
        return True

    def cancel(self, key: str) -> Found:
        """The request with this inbox key is not wanted any more. If it waits here, it stops waiting at once."""
        known = self._known.get(key)
        if known is not None and not self._is_old(known):
            return "beyond" if known.open else "over"
        gate = self._gate(key)
        gate.note_cancelled(key, self._clock.now_ms())
        for turn in gate.waiting.get(key, ()):
            withdraw(turn)
        return "ahead"

    def in_flight(self, tenant: str) -> int:
        """How many of the tenant's requests are beyond the door."""
        gate = self._gates.get(tenant)
        return len(gate.open) if gate else 0

    def holds(self, tenant: str) -> bool:
        """Whether the tenant has as many beyond the door as it may."""
        gate = self._gates.get(tenant)
        return gate is not None and not gate.room.fits()

    def spoilage(self, tenant: str) -> Spoilage:
        """What of the tenant's was buried, and whether its door is shut for that."""
        return self._gate(tenant).spoilage

    def charged(self, ticket: Ticket) -> Ticket:
        """The ticket with the moment at which it was counted against the tenant's rates, if it was."""
        known = self._known.get(ticket.key)
        if known is None or known.charged_ms is None:
            return ticket
        return ticket.model_copy(update={"charged_ms": known.charged_ms})

    def admit(self, ticket: Ticket, limit: int, rates: Rates = UNLIMITED) -> Seen | None:
        """As ``enter``, for a request that need not wait for anything; None: it may have to, and nothing is decided.

        Most need not, and to ask for a promise, to take it and to give it back would cost them as much as all the rest.
        """
        gate = self._gate(ticket.key)
        gate.set(limit, rates)
        if (seen := self.look(ticket)) != "new":
            return seen
        if not (gate.is_free(ticket.lane) and rates.is_wide and gate.room.fits()):
            return None
        self._let_through(gate, ticket, rates)
        return "new"

    async def enter(self, ticket: Ticket, limit: int, rates: Rates = UNLIMITED, aside: Aside = nullcontext) -> Seen:
        """Wait until the ticket's lane is free, its agent and user may, and the tenant has room among its *limit* and
        within its rate; in the order of asking.

        "new": the request is open from now on, and charged. Otherwise another record with its identity got in before or
        meanwhile, or it was cancelled.
        """
        if (seen := self.admit(ticket, limit, rates)) is not None:
            return seen
        gate = self._gate(ticket.key)
        if not await self._claim(gate, ticket, aside):
            return self.look(ticket)
        try:
            return await self._go_through(gate, ticket, rates, aside)
        finally:
            self._unclaim(gate, ticket.lane)

    async def _claim(self, gate: Gate, ticket: Ticket, aside: Aside) -> bool:
        """Become the next of a lane, from which on nobody of it can get by. False if it is not wanted any more."""
        lane = ticket.lane
        if gate.is_free(lane):
            gate.claimed.add(lane)
            return True
        with aside():
            queue = gate.lanes.setdefault(lane, OrderedDict())
            return await self._wait(gate, ticket.key, queue, lambda: self._unclaim(gate, lane))

    def _unclaim(self, gate: Gate, lane: str) -> None:
        """The next of a lane has got in, or goes away."""
        gate.claimed.discard(lane)
        self._hand_on(gate, lane)
        gate.room.let_in()

    async def _go_through(self, gate: Gate, ticket: Ticket, rates: Rates, aside: Aside) -> Seen:
        if (seen := self.look(ticket)) != "new":
            return seen
        passed: list[Turnstile] = []
        try:
            for kind, name, limit in (("agent", ticket.agent, rates.agent), ("user", ticket.subject, rates.user)):
                if limit is not None:
                    narrow = gate.narrow_of(kind, name, limit)
                    if not await self._pass(gate, ticket.key, narrow, aside):
                        return self.look(ticket)
                    passed.append(narrow)
            if not await self._pass(gate, ticket.key, gate.room):
                return self.look(ticket)
            passed.append(gate.room)
            if (seen := self.look(ticket)) == "new":
                self._let_through(gate, ticket, rates)
            return seen
        finally:
            for turnstile in passed:
                turnstile.give_back()

    async def _pass(self, gate: Gate, key: str, turnstile: Turnstile, aside: Aside = nullcontext) -> bool:
        """Get a promise. If there is room, nobody waits: those who did have been called. False: not wanted any more."""
        turnstile.let_in()
        if turnstile.fits():
            turnstile.promised += 1
            return True
        turnstile.arm()
        with aside():
            return await self._wait(gate, key, turnstile.queue, turnstile.give_back)

    def _let_through(self, gate: Gate, ticket: Ticket, rates: Rates) -> None:
        now = self._clock.now_ms()
        if rates.any:
            gate.charge(ticket, now)
        self._note(ticket, opened=True, at_ms=now, charged_ms=now if rates.any else None)

    async def _wait(self, gate: Gate, key: str, queue: Queue, give_back: Callable[[], None]) -> bool:
        """Wait to be called from *queue*; False if the request is cancelled meanwhile."""
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = gate.waiting.setdefault(key, set())
        waiting.add(turn)
        try:
            return await wait(queue, turn, give_back)
        finally:
            waiting.discard(turn)
            if not waiting and gate.waiting.get(key) is waiting:
                del gate.waiting[key]

    def close(self, ticket: Ticket) -> None:
        """The request is over; its place and its lane are free."""
        known = self._known.get(ticket.key)
        charged = known.charged_ms if known is not None else None
        self._note(ticket, opened=False, at_ms=self._clock.now_ms(), charged_ms=charged)

    def _note(self, ticket: Ticket, *, opened: bool, at_ms: int, charged_ms: int | None) -> None:
        self._known[ticket.key] = Known(ticket.body, ticket.lane, opened, at_ms, charged_ms)
        self._closed.pop(ticket.key, None)
        gate = self._gate(ticket.key)
        gate.cancelled.pop(ticket.key, None)
        if opened:
            gate.open[ticket.lane] = ticket.key
            return
        self._closed[ticket.key] = None
        self._free(gate, ticket.lane, ticket.key)

    def _free(self, gate: Gate, lane: str, key: str) -> None:
        if gate.open.get(lane) == key:
            del gate.open[lane]
            self._hand_on(gate, lane)
            gate.room.let_in()

    def _hand_on(self, gate: Gate, lane: str) -> None:
        """A free lane goes to the first that waits for it, and to nobody else."""
        queue = gate.lanes.get(lane)
        if queue is None or not gate.is_free(lane):
            return
        if call(queue):
            gate.claimed.add(lane)
        if not queue:
            del gate.lanes[lane]

    def _gate(self, key: str) -> Gate:
        tenant = key.split("|", 1)[0]
        gate = self._gates.get(tenant)
        if gate is None:
            gate = self._gates[tenant] = Gate(self._clock, partial(self._shut, tenant), partial(self._spoils, tenant))
        return gate

    def _drop(self, key: str) -> None:
        self._serving.pop(key, None)
        self._closed.pop(key, None)
        self._gate(key).cancelled.pop(key, None)
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
