"""The admission state of one tenant: its busy lanes, and the queues for lanes, rates and concurrency."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from consumers.admission.control_rate import ControlRate
from consumers.admission.dead_letter_breaker import DeadLetterBreaker, LimitOf
from consumers.admission.fifo import Waiter, WaitQueue, wake_first
from consumers.admission.rates import Rate, Rates
from schemas.admissions import AdmissionKey
from schemas.clock import Clock

CHECK_S = 1.0
"""The longest wait in seconds before a rate queue reads the clock again, to notice a clock that was corrected."""

RATE_QUEUES = 1_024
"""Rate queues of agents and users that are kept before idle ones are removed."""

CANCELLED = 10_000
"""Cancelled requests that are remembered for each tenant before they arrive; then the oldest is forgotten."""

FORGOTTEN_AT_ONCE = 4
"""Old cancels that one control record removes. Each adds at most one, so the log does not grow."""


class RateQueue:
    """The queue of requests that wait for a rate. It calls each one as soon as the rate allows it."""

    __slots__ = ("queue", "rate", "reserved", "timer")

    def __init__(self, clock: Clock) -> None:
        self.rate = Rate(clock)
        self.queue: WaitQueue = OrderedDict()
        self.reserved = 0
        """Places reserved for requests that have not been admitted yet."""

        self.timer: asyncio.TimerHandle | None = None

    def has_room(self) -> bool:
        """Return True if one more request may be admitted."""
        return self.rate.has_room(self.reserved)

    def admit_waiting(self) -> None:
        """Call waiting requests while there is room, and set a timer for the rest."""
        while self.queue and self.has_room() and wake_first(self.queue):
            self.reserved += 1
        if self.queue:
            self.arm()

    def arm(self) -> None:
        """Set a timer for a waiting request, for the time at which one more may fit."""
        if self.timer is None and (frees_ms := self.frees_ms()):
            wait_s = min(CHECK_S, max(0.001, frees_ms / 1_000))
            self.timer = asyncio.get_running_loop().call_later(wait_s, self._again)

    def frees_ms(self) -> int:
        """Return the milliseconds until one more request may fit; 0 if time alone changes nothing."""
        return 0 if self.rate.has_room(self.reserved) else max(1, self.rate.frees_ms())

    def release(self) -> None:
        """Release a reserved place once its request is admitted or gives up."""
        self.reserved -= 1
        self.admit_waiting()

    def _again(self) -> None:
        self.timer = None
        self.admit_waiting()


@dataclass(slots=True)
class ConcurrencySlots:
    """The open requests of the whole tenant, and how many there may be."""

    open: dict[str, str] = field(default_factory=dict)
    """Lane to the admission log key of its open request."""

    limit: int = 1


class ConcurrencyQueue(RateQueue):
    """The queue of requests that wait for the tenant's concurrency, rate and dead-letter breaker."""

    __slots__ = ("breaker", "slots")

    def __init__(self, clock: Clock, slots: ConcurrencySlots, breaker: DeadLetterBreaker) -> None:
        super().__init__(clock)
        self.slots, self.breaker = slots, breaker

    def has_room(self) -> bool:
        """Return True if the tenant may have one more open request."""
        free = len(self.slots.open) + self.reserved < self.slots.limit
        return free and not self.breaker.open_for_ms() and super().has_room()

    def frees_ms(self) -> int:
        """Return the milliseconds until one more request may fit; 0 if time alone changes nothing."""
        return self.breaker.open_for_ms() or super().frees_ms()


class TenantAdmission:
    """The admission state of one tenant."""

    __slots__ = (
        "_clock",
        "_prune_above",
        "breaker",
        "cancelled",
        "concurrency",
        "control_rate",
        "lanes",
        "rate_queues",
        "reserved_lanes",
        "settled",
        "slots",
        "waiting",
    )

    def __init__(self, clock: Clock, on_open: Callable[[float], None], limit_of: LimitOf) -> None:
        self._clock = clock
        self.slots = ConcurrencySlots()
        self.breaker = DeadLetterBreaker(clock, on_open, limit_of)
        self.concurrency = ConcurrencyQueue(clock, self.slots, self.breaker)
        self.reserved_lanes: set[str] = set()
        """Lanes whose next request is chosen and waits for admission."""

        self.lanes: dict[str, WaitQueue] = {}
        self.rate_queues: dict[tuple[str, str], RateQueue] = {}
        """Rate queues of agents and users, by kind and name."""

        self._prune_above = RATE_QUEUES

        self.waiting: dict[str, set[Waiter]] = {}
        """Admission log key to the waiters with it: a duplicate waits like the first request."""

        self.settled: deque[str] = deque(maxlen=CANCELLED)
        """Admission log keys of requests whose cancel is not needed any more."""

        self.control_rate = ControlRate(clock)
        self.cancelled: OrderedDict[str, int] = OrderedDict()
        """Admission log keys of requests cancelled before admission, with the time of the cancel."""

    @property
    def open(self) -> dict[str, str]:
        """Lane to the admission log key of its open request."""
        return self.slots.open

    def is_free(self, lane: str) -> bool:
        """Return True if the lane has no open request and no claim."""
        return lane not in self.slots.open and lane not in self.reserved_lanes

    def set(self, limit: int, rates: Rates) -> None:
        """Apply the limits that the registry holds now, and call the requests that now fit."""
        self.slots.limit, self.concurrency.rate.limit = limit, rates.tenant
        self.concurrency.admit_waiting()

    def change(self, limit: int, rates: Rates) -> None:
        """Apply changed limits also to the agents and users for whom requests wait now."""
        for (kind, _), queue in self.rate_queues.items():
            queue.rate.limit = rates.agent if kind == "agent" else rates.user
            queue.admit_waiting()
        self.set(limit, rates)

    def rate_queue_of(self, kind: str, name: str, limit: int | None) -> RateQueue:
        """Return the rate queue of one agent or user; *limit* None leaves its limit unchanged."""
        found = self.rate_queues.get((kind, name))
        if found is None:
            if len(self.rate_queues) >= self._prune_above:
                self._forget_idle()
            found = self.rate_queues[kind, name] = RateQueue(self._clock)
        if limit is not None:
            found.rate.limit = limit
        return found

    def _forget_idle(self) -> None:
        idle = [
            key for key, each in self.rate_queues.items() if each.rate.idle and not each.reserved and not each.queue
        ]
        for key in idle:
            del self.rate_queues[key]
        self._prune_above = max(RATE_QUEUES, 2 * len(self.rate_queues))

    def charge(self, admission: AdmissionKey, at_ms: int) -> None:
        """Charge an admitted request to the rates of its tenant, its agent and its user."""
        self.concurrency.rate.charge(at_ms)
        self.rate_queue_of("agent", admission.agent, None).rate.charge(at_ms)
        self.rate_queue_of("user", admission.subject, None).rate.charge(at_ms)

    def note_cancelled(self, key: str, at_ms: int) -> None:
        """Remember the cancel of a request that is not admitted. A flood of cancels forgets the oldest."""
        self.cancelled.pop(key, None)
        self.cancelled[key] = at_ms
        if len(self.cancelled) > CANCELLED:
            self.settle_cancel(next(iter(self.cancelled)))

    def settle_cancel(self, key: str) -> None:
        """Forget a cancel that is over, or one too many. Its record in the log is deleted later."""
        if self.cancelled.pop(key, None) is not None:
            self.settled.append(key)

    def forget_cancels(self, before_ms: int) -> list[str]:
        """Return the keys of a few cancels to delete from the log: settled ones, and those older than *before_ms*."""
        forgotten = list[str]()
        while self.settled and len(forgotten) < FORGOTTEN_AT_ONCE:
            forgotten.append(self.settled.popleft())
        while self.cancelled and len(forgotten) < FORGOTTEN_AT_ONCE:
            key, at_ms = next(iter(self.cancelled.items()))
            if at_ms >= before_ms:
                break
            del self.cancelled[key]
            forgotten.append(key)
        return forgotten
