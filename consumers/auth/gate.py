"""One tenant at the door: which lanes are busy, who waits for a lane, for an agent's or user's rate, or for room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from consumers.auth.rates import Rate, Rates
from consumers.auth.spoilage import Limit, Spoilage
from consumers.auth.turns import Queue, Turn, call
from schemas.clock import Clock
from schemas.inbox import Ticket

LOOK_S = 1.0
"""The longest a rate waits before it looks at the clock again: one that was set right is noticed."""

NARROWS = 1_024
"""Rates of agents and users that are kept before the idle ones are looked for."""

CANCELLED = 10_000
"""Requests that were cancelled before they came, a tenant; then the oldest word is forgotten."""


class Turnstile:
    """Those that wait for a rate, called as it lets them through."""

    __slots__ = ("promised", "queue", "rate", "timer")

    def __init__(self, clock: Clock) -> None:
        self.rate = Rate(clock)
        self.queue: Queue = OrderedDict()
        self.promised = 0
        """Places given to somebody who has not gone through yet."""

        self.timer: asyncio.TimerHandle | None = None

    def fits(self) -> bool:
        """Whether one more may go through."""
        return self.rate.fits(self.promised)

    def let_in(self) -> None:
        """Call those for whom there is room; come back when the rate lets the next one through."""
        while self.queue and self.fits() and call(self.queue):
            self.promised += 1
        if self.queue:
            self.arm()

    def arm(self) -> None:
        """Somebody waits: look again when time may let one more through."""
        if self.timer is None and (frees_ms := self.frees_ms()):
            wait_s = min(LOOK_S, max(0.001, frees_ms / 1_000))
            self.timer = asyncio.get_running_loop().call_later(wait_s, self._again)

    def frees_ms(self) -> int:
        """Until time may let one more through; 0: time changes nothing."""
        return 0 if self.rate.fits(self.promised) else max(1, self.rate.frees_ms())

    def give_back(self) -> None:
        """Somebody has gone through, or will not."""
        self.promised -= 1
        self.let_in()

    def _again(self) -> None:
        self.timer = None
        self.let_in()


@dataclass(slots=True)
class Places:
    """Of the whole tenant, beyond the door."""

    open: dict[str, str] = field(default_factory=dict)
    """Lane to the inbox key of the request that holds it."""

    limit: int = 1


class Room(Turnstile):
    """Those that wait for the tenant's places, for its rate, and for its door to open again."""

    __slots__ = ("places", "spoilage")

    def __init__(self, clock: Clock, places: Places, spoilage: Spoilage) -> None:
        super().__init__(clock)
        self.places, self.spoilage = places, spoilage

    def fits(self) -> bool:
        """Whether one more request may be beyond the door."""
        free = len(self.places.open) + self.promised < self.places.limit
        return free and not self.spoilage.shut_ms() and super().fits()

    def frees_ms(self) -> int:
        """Until time may let one more through; 0: time changes nothing."""
        return self.spoilage.shut_ms() or super().frees_ms()


class Gate:
    """What the door knows of one tenant."""

    __slots__ = (
        "_clock",
        "_crowded",
        "cancelled",
        "claimed",
        "lanes",
        "narrow",
        "places",
        "room",
        "spoilage",
        "waiting",
    )

    def __init__(self, clock: Clock, shut: Callable[[float], None], spoils: Limit) -> None:
        self._clock = clock
        self.places = Places()
        self.spoilage = Spoilage(clock, shut, spoils)
        self.room = Room(clock, self.places, self.spoilage)
        self.claimed: set[str] = set()
        """Lanes whose next request has been chosen, and waits for room."""

        self.lanes: dict[str, Queue] = {}
        self.narrow: dict[tuple[str, str], Turnstile] = {}
        """Of agents and users."""

        self._crowded = NARROWS

        self.waiting: dict[str, set[Turn]] = {}
        """Inbox key to those that wait with it: a duplicate waits like the first."""

        self.cancelled: OrderedDict[str, int] = OrderedDict()
        """Inbox keys of requests that were cancelled before the door let them in, and when."""

    @property
    def open(self) -> dict[str, str]:
        """Lane to the inbox key of the request that holds it."""
        return self.places.open

    def is_free(self, lane: str) -> bool:
        """Whether a request of this lane may go on to ask for room."""
        return lane not in self.places.open and lane not in self.claimed

    def set(self, limit: int, rates: Rates) -> None:
        """The limits as the registry has them now."""
        self.places.limit, self.room.rate.limit = limit, rates.tenant
        self.room.let_in()

    def narrow_of(self, kind: str, name: str, limit: int | None) -> Turnstile:
        """The rate of one agent or user; *limit* None: as it was."""
        found = self.narrow.get((kind, name))
        if found is None:
            if len(self.narrow) >= self._crowded:
                self._forget_idle()
            found = self.narrow[kind, name] = Turnstile(self._clock)
        if limit is not None:
            found.rate.limit = limit
        return found

    def _forget_idle(self) -> None:
        idle = [key for key, each in self.narrow.items() if each.rate.idle and not each.promised and not each.queue]
        for key in idle:
            del self.narrow[key]
        self._crowded = max(NARROWS, 2 * len(self.narrow))

    def charge(self, ticket: Ticket, at_ms: int) -> None:
        """The request was let in: it counts for its tenant, its agent and its user."""
        self.room.rate.charge(at_ms)
        self.narrow_of("agent", ticket.agent, None).rate.charge(at_ms)
        self.narrow_of("user", ticket.subject, None).rate.charge(at_ms)

    def note_cancelled(self, key: str, at_ms: int) -> None:
        """Whoever comes with this key is not wanted. Bounded: a flood of such words forgets the oldest."""
        self.cancelled[key] = at_ms
        if len(self.cancelled) > CANCELLED:
            self.cancelled.popitem(last=False)
