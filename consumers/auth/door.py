"""The admission controller: it decides duplicates, order, concurrency, rates and cancels from the admission log.

A request is *open* from its admission until a stage closes it. Open requests are counted, not leased, so no count can
leak. The controller rebuilds its memory from ``platform.inbox`` whenever the shard opens. A forward that is decided but
not committed counts as open. If its transaction aborts, the whole memory is discarded, and the forward with it.
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
"""Milliseconds for which a closed request is remembered: as long as a copy may stay unread, plus one hour."""

RENEW_MS = 24 * HOUR_MS
"""Milliseconds after which a ``serving`` event is written again, well before the admission log deletes the old one."""

Seen: TypeAlias = Literal["new", "joined", "conflict", "cancelled"]
Found: TypeAlias = Literal["ahead", "beyond", "over"]
"""State of the request to cancel: ``ahead`` is not admitted yet, ``beyond`` is open, ``over`` is closed."""

Aside: TypeAlias = Callable[[], AbstractContextManager[None]]
"""A context manager entered while a request waits in a way that holds up only its own lane."""

Shut: TypeAlias = Callable[[str, float], None]
"""Callback with a tenant whose dead-letter breaker tripped, and for how many seconds."""


Spoils: TypeAlias = Callable[[str], DlqLimit | None]
"""Lookup of a tenant's dead-letter limit by the tenant's id; None: the breaker never trips."""


def nobody_told(_tenant: str, _seconds: float) -> None:
    """Ignore the notice of a tripped breaker."""


def unlimited(_tenant: str) -> DlqLimit | None:
    """Return None: the dead-letter breaker never trips."""
    return None


@dataclass(slots=True)
class Known:
    """One request that the admission controller remembers."""

    body: str
    lane: str
    open: bool
    at_ms: int
    charged_ms: int | None
    """Time of its charge against the rates, in milliseconds since the epoch; None if it was not charged."""


class Door:
    """The admission controller for all tenants of one shard."""

    def __init__(
        self, clock: Clock, window_ms: int = DEDUPE_WINDOW_MS, shut: Shut = nobody_told, spoils: Spoils = unlimited
    ) -> None:
        self._clock = clock
        self._window_ms = window_ms
        self._shut, self._spoils = shut, spoils
        self._known: dict[str, Known] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        """Keys of the remembered requests that are closed, in the order of closing."""

        self._gates: dict[str, Gate] = {}
        self._serving: dict[str, int] = {}

    def recall(self, key: str, entry: InboxEntry | None, at_ms: int) -> None:
        """Apply one record of the admission log, in the order of the log; None deletes its key."""
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
        """Apply an event of any stage. Each event of a charged request holds the charge's time, so any one suffices."""
        known = self._known.get(ticket.key)
        charged = known.charged_ms if known is not None else None
        if ticket.charged_ms is not None and charged is None:
            charged = ticket.charged_ms
            if charged > self._clock.now_ms() - MINUTE_MS:
                self._gate(ticket.key).charge(ticket, charged)
        self._note(ticket, opened=opened, at_ms=at_ms, charged_ms=charged)

    def serves(self, key: str) -> bool:
        """Return True if the partition's first offset has been committed."""
        return key in self._serving

    def renews(self, key: str) -> bool:
        """Return True if a new ``serving`` event of the partition is due, and count it as written."""
        now, said = self._clock.now_ms(), self._serving.get(key)
        if said is not None and now - said < RENEW_MS:
            return False
        self._serving[key] = now
        return True

    def look(self, ticket: Ticket) -> Seen:
        """Return ``joined`` or ``conflict`` for a known request, ``cancelled`` if cancelled before, else ``new``."""
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
        """Cancel the request with this admission log key and return its state. If it waits, its wait ends at once."""
        known = self._known.get(key)
        if known is not None and not self._is_old(known):
            return "beyond" if known.open else "over"
        gate = self._gate(key)
        gate.note_cancelled(key, self._clock.now_ms())
        for turn in gate.waiting.get(key, ()):
            withdraw(turn)
        return "ahead"

    def in_flight(self, tenant: str) -> int:
        """Return the number of the tenant's open requests."""
        gate = self._gates.get(tenant)
        return len(gate.open) if gate else 0

    def holds(self, tenant: str) -> bool:
        """Return True if the tenant's concurrency, rate or dead-letter breaker allows no further request now."""
        gate = self._gates.get(tenant)
        return gate is not None and not gate.room.fits()

    def spoilage(self, tenant: str) -> Spoilage:
        """Return the tenant's dead-letter breaker."""
        return self._gate(tenant).spoilage

    def charged(self, ticket: Ticket) -> Ticket:
        """Return the admission key with the time of its charge against the rates, if it was charged."""
        known = self._known.get(ticket.key)
        if known is None or known.charged_ms is None:
            return ticket
        return ticket.model_copy(update={"charged_ms": known.charged_ms})

    def admit(self, ticket: Ticket, limit: int, rates: Rates = UNLIMITED) -> Seen | None:
        """Decide as ``enter`` does, without a wait; return None, with nothing decided, if the request may have to wait.

        Most requests need not wait. A future to reserve and release a place would double the cost of their admission.
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
        """Wait until the request may be admitted, in order of arrival, and return the decision.

        It waits for its lane, its agent's and user's rates, and the tenant's concurrency *limit*, rate and dead-letter
        breaker. ``new``: the request is now open, and charged. Otherwise another record with its identity was admitted
        before or meanwhile, or the request was cancelled.
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
        """Claim the lane, so that no other request of it can overtake. Return False if the request was cancelled."""
        lane = ticket.lane
        if gate.is_free(lane):
            gate.claimed.add(lane)
            return True
        with aside():
            queue = gate.lanes.setdefault(lane, OrderedDict())
            return await self._wait(gate, ticket.key, queue, lambda: self._unclaim(gate, lane))

    def _unclaim(self, gate: Gate, lane: str) -> None:
        """Release the claim on a lane once its request is admitted or gives up."""
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
        """Reserve a place at once if there is room, else wait for one. Return False if the request was cancelled.

        Taking a free place overtakes no request: those that waited have been called first.
        """
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
        """Wait to be called from *queue*; return False if the request is cancelled meanwhile."""
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
        """Close the request, and free its place and its lane."""
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
        """Give a free lane to the first request that waits for it, and to no other."""
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
        """Forget requests closed longer ago than the window, oldest first. Open requests are never forgotten."""
        while self._closed and self._is_old(self._known[next(iter(self._closed))]):
            key, _ = self._closed.popitem(last=False)
            del self._known[key]

    def _is_old(self, known: Known) -> bool:
        return not known.open and self._clock.now_ms() - known.at_ms > self._window_ms
