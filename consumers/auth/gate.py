"""The admission state of one tenant: its busy lanes, and the queues for lanes, rates and concurrency."""

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
"""The longest wait in seconds before a rate queue reads the clock again, to notice a clock that was corrected."""

NARROWS = 1_024
"""Rate queues of agents and users that are kept before idle ones are removed."""

CANCELLED = 10_000
"""Cancelled requests that are remembered for each tenant before they arrive; then the oldest is forgotten."""


class Turnstile:
    """The queue of requests that wait for a rate. It calls each one as soon as the rate allows it."""

    __slots__ = ("promised", "queue", "rate", "timer")

    def __init__(self, clock: Clock) -> None:
        self.rate = Rate(clock)
        self.queue: Queue = OrderedDict()
        self.promised = 0
        """Places reserved for requests that have not been admitted yet."""

        self.timer: asyncio.TimerHandle | None = None

    def fits(self) -> bool:
        """Return True if one more request may be admitted."""
        return self.rate.fits(self.promised)

    def let_in(self) -> None:
        """Call waiting requests while there is room, and set a timer for the rest."""
        while self.queue and self.fits() and call(self.queue):
            self.promised += 1
        if self.queue:
            self.arm()

    def arm(self) -> None:
        """Set a timer for a waiting request, for the time at which one more may fit."""
        if self.timer is None and (frees_ms := self.frees_ms()):
            wait_s = min(LOOK_S, max(0.001, frees_ms / 1_000))
            self.timer = asyncio.get_running_loop().call_later(wait_s, self._again)

    def frees_ms(self) -> int:
        """Return the milliseconds until one more request may fit; 0 if time alone changes nothing."""
        return 0 if self.rate.fits(self.promised) else max(1, self.rate.frees_ms())

    def give_back(self) -> None:
        """Release a reserved place once its request is admitted or gives up."""
        self.promised -= 1
        self.let_in()

    def _again(self) -> None:
        self.timer = None
        self.let_in()


@dataclass(slots=True)
class Places:
    """The open requests of the whole tenant, and how many there may be."""

    open: dict[str, str] = field(default_factory=dict)
    """Lane to the admission log key of its open request."""

    limit: int = 1


class Room(Turnstile):
    """The queue of requests that wait for the tenant's concurrency, rate and dead-letter breaker."""

    __slots__ = ("places", "spoilage")

    def __init__(self, clock: Clock, places: Places, spoilage: Spoilage) -> None:
        super().__init__(clock)
        self.places, self.spoilage = places, spoilage

    def fits(self) -> bool:
        """Return True if the tenant may have one more open request."""
        free = len(self.places.open) + self.promised < self.places.limit
        return free and not self.spoilage.shut_ms() and super().fits()

    def frees_ms(self) -> int:
        """Return the milliseconds until one more request may fit; 0 if time alone changes nothing."""
        return self.spoilage.shut_ms() or super().frees_ms()


class Gate:
    """The admission state of one tenant."""

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
        """Lanes whose next request is chosen and waits for admission."""

        self.lanes: dict[str, Queue] = {}
        self.narrow: dict[tuple[str, str], Turnstile] = {}
        """Rate queues of agents and users, by kind and name."""

        self._crowded = NARROWS

        self.waiting: dict[str, set[Turn]] = {}
        """Admission log key to the waiters with it: a duplicate waits like the first request."""

        self.cancelled: OrderedDict[str, int] = OrderedDict()
        """Admission log keys of requests cancelled before admission, with the time of the cancel."""

    @property
    def open(self) -> dict[str, str]:
        """Lane to the admission log key of its open request."""
        return self.places.open

    def is_free(self, lane: str) -> bool:
        """Return True if the lane has no open request and no claim."""
        return lane not in self.places.open and lane not in self.claimed

    def set(self, limit: int, rates: Rates) -> None:
        """Apply the limits that the registry holds now, and call the requests that now fit."""
        self.places.limit, self.room.rate.limit = limit, rates.tenant
        self.room.let_in()

    def narrow_of(self, kind: str, name: str, limit: int | None) -> Turnstile:
        """Return the rate queue of one agent or user; *limit* None leaves its limit unchanged."""
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
        """Charge an admitted request to the rates of its tenant, its agent and its user."""
        self.room.rate.charge(at_ms)
        self.narrow_of("agent", ticket.agent, None).rate.charge(at_ms)
        self.narrow_of("user", ticket.subject, None).rate.charge(at_ms)

    def note_cancelled(self, key: str, at_ms: int) -> None:
        """Remember the cancel of a request that is not admitted. A flood of cancels forgets the oldest."""
        self.cancelled[key] = at_ms
        if len(self.cancelled) > CANCELLED:
            self.cancelled.popitem(last=False)
