"""The admission controller: it decides duplicates, order, concurrency, rates and cancels from the admission log.

A request is *open* from its admission until a stage closes it. Open requests are counted, not leased, so no count
can leak. The controller rebuilds its memory from ``platform.admissions`` whenever the shard opens. A forward that is
decided but not committed counts as open. If its transaction aborts, the whole memory is discarded, and the forward
with it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from consumers.admission.dead_letter_breaker import DeadLetterBreaker
from consumers.admission.fifo import WaitQueue, wait, wake_first, withdraw
from consumers.admission.rates import MINUTE_MS, UNLIMITED, Rates
from consumers.admission.tenant_admission import RateQueue, TenantAdmission
from schemas.admissions import AdmissionEvent, AdmissionKey, cancelled_key
from schemas.clock import Clock
from schemas.tenants import DlqLimit
from schemas.topics import HOUR_MS, REQUEST_RETENTION_MS

DEDUPE_WINDOW_MS = REQUEST_RETENTION_MS + HOUR_MS
"""Milliseconds for which a closed request is remembered: as long as a copy may stay unread, plus one hour."""

CANCEL_WINDOW_MS = REQUEST_RETENTION_MS // 2
"""Milliseconds for which a cancel waits for its request. No request waits longer, because ``max_wait`` is shorter."""

SERVING_RENEWAL_MS = 24 * HOUR_MS
"""Milliseconds after which a ``serving`` event is written again, well before the admission log deletes the old one."""

AdmissionDecision: TypeAlias = Literal["new", "joined", "conflict", "cancelled", "withdrawn"]
"""``withdrawn``: the wait was ended from outside, and the request is not admitted."""

CancelResult: TypeAlias = Literal["ahead", "beyond", "over"]
"""State of the request to cancel: ``ahead`` is not admitted yet, ``beyond`` is open, ``over`` is closed."""

WaitScope: TypeAlias = Callable[[], AbstractContextManager[None]]
"""A context manager entered while a request waits in a way that holds up only its own lane."""

OnBreakerOpen: TypeAlias = Callable[[str, float], None]
"""Callback with a tenant whose dead-letter breaker tripped, and for how many seconds."""


DeadLetterLimitOf: TypeAlias = Callable[[str], DlqLimit | None]
"""Lookup of a tenant's dead-letter limit by the tenant's id; None: the breaker never trips."""


def no_callback(_tenant: str, _seconds: float) -> None:
    """Ignore the notice of a tripped breaker."""


def unlimited(_tenant: str) -> DlqLimit | None:
    """Return None: the dead-letter breaker never trips."""
    return None


@dataclass(slots=True)
class KnownRequest:
    """One request that the admission controller remembers."""

    body: str
    lane: str
    open: bool
    at_ms: int
    charged_ms: int | None
    """Time of its charge against the rates, in milliseconds since the epoch; None if it was not charged."""


class AdmissionController:
    """The admission controller for all tenants of one shard."""

    def __init__(
        self,
        clock: Clock,
        window_ms: int = DEDUPE_WINDOW_MS,
        on_open: OnBreakerOpen = no_callback,
        limit_of: DeadLetterLimitOf = unlimited,
    ) -> None:
        self._clock = clock
        self._window_ms = window_ms
        self._on_open, self._limit_of = on_open, limit_of
        self._known: dict[str, KnownRequest] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        """Keys of the remembered requests that are closed, in the order of closing."""

        self._tenants: dict[str, TenantAdmission] = {}
        self._serving: dict[str, int] = {}

    def apply(self, key: str, entry: AdmissionEvent | None, at_ms: int) -> None:
        """Apply one record of the admission log, in the order of the log; None deletes its key."""
        if entry is None:
            self._drop(key)
        elif entry.state == "serving":
            self._serving[key] = at_ms
        elif entry.state == "cancelled":
            request = cancelled_key(key) or key
            if request not in self._known:
                self._tenant_admission(request).note_cancelled(request, at_ms)
        elif entry.admission is not None:
            self._apply_request(entry.admission, opened=entry.state == "open", at_ms=at_ms)
            if entry.state == "closed":
                self._tenant_admission(key).breaker.note(at_ms, dead_lettered=entry.dead_lettered)

    def _apply_request(self, admission: AdmissionKey, *, opened: bool, at_ms: int) -> None:
        """Apply an event of any stage. Each event of a charged request holds the charge's time, so any one suffices."""
        known = self._known.get(admission.key)
        charged = known.charged_ms if known is not None else None
        if admission.charged_ms is not None and charged is None:
            charged = admission.charged_ms
            if charged > self._clock.now_ms() - MINUTE_MS:
                self._tenant_admission(admission.key).charge(admission, charged)
        self._remember(admission, opened=opened, at_ms=at_ms, charged_ms=charged)

    def is_served(self, key: str) -> bool:
        """Return True if the partition's first offset has been committed."""
        return key in self._serving

    def renewal_due(self, key: str) -> bool:
        """Return True if a new ``serving`` event of the partition is due, and count it as written."""
        now, written_ms = self._clock.now_ms(), self._serving.get(key)
        if written_ms is not None and now - written_ms < SERVING_RENEWAL_MS:
            return False
        self._serving[key] = now
        return True

    def lookup(self, admission: AdmissionKey) -> AdmissionDecision:
        """Return ``joined`` or ``conflict`` for a known request, ``cancelled`` if cancelled before, else ``new``."""
        self._evict_expired()
        known = self._known.get(admission.key)
        if known is None or self._is_expired(known):
            return "cancelled" if self._is_cancelled(admission.key) else "new"
        return "joined" if known.body == admission.body else "conflict"

    def _is_cancelled(self, key: str) -> bool:
        at_ms = self._tenant_admission(key).cancelled.get(key)
        return at_ms is not None and self._clock.now_ms() - at_ms <= min(self._window_ms, CANCEL_WINDOW_MS)

    def forget_cancels(self, tenant: str) -> list[str]:
        """Forget a few of the tenant's old cancels and return their request keys, for deletion from the log."""
        return self._tenant_admission(tenant).forget_cancels(self._clock.now_ms() - CANCEL_WINDOW_MS)

    def charge_control(self, tenant: str, size: int, per_minute: int) -> float:
        """Charge a control record of *size* bytes to the tenant's rate. Return the seconds that it must wait."""
        return self._tenant_admission(tenant).control_rate.charge(size, per_minute)

    def cancel(self, key: str) -> CancelResult:
        """Cancel the request with this admission log key and return its state. If it waits, its wait ends at once."""
        known = self._known.get(key)
        if known is not None and not self._is_expired(known):
            return "beyond" if known.open else "over"
        tenant_admission = self._tenant_admission(key)
        tenant_admission.note_cancelled(key, self._clock.now_ms())
        for waiter in tenant_admission.waiting.get(key, ()):
            withdraw(waiter)
        return "ahead"

    def set_limits(self, tenant: str, limit: int, rates: Rates) -> None:
        """Apply changed limits to the requests that wait already."""
        if (tenant_admission := self._tenants.get(tenant)) is not None:
            tenant_admission.change(limit, rates)

    def withdraw_waiting(self, tenant: str) -> None:
        """End the waits of all requests of *tenant*; each gets the decision ``withdrawn``."""
        tenant_admission = self._tenants.get(tenant)
        for waiters in list(tenant_admission.waiting.values()) if tenant_admission else ():
            for waiter in waiters:
                withdraw(waiter)

    def in_flight(self, tenant: str) -> int:
        """Return the number of the tenant's open requests."""
        tenant_admission = self._tenants.get(tenant)
        return len(tenant_admission.open) if tenant_admission else 0

    def is_limited(self, tenant: str) -> bool:
        """Return True if the tenant's concurrency, rate or dead-letter breaker allows no further request now."""
        tenant_admission = self._tenants.get(tenant)
        return tenant_admission is not None and not tenant_admission.concurrency.has_room()

    def breaker(self, tenant: str) -> DeadLetterBreaker:
        """Return the tenant's dead-letter breaker."""
        return self._tenant_admission(tenant).breaker

    def charged(self, admission: AdmissionKey) -> AdmissionKey:
        """Return the admission key with the time of its charge against the rates, if it was charged."""
        known = self._known.get(admission.key)
        if known is None or known.charged_ms is None:
            return admission
        return admission.model_copy(update={"charged_ms": known.charged_ms})

    def admit(self, admission: AdmissionKey, limit: int, rates: Rates = UNLIMITED) -> AdmissionDecision | None:
        """Decide as ``enter`` does, without a wait; return None, with nothing decided, if the request may have to wait.

        Most requests need not wait. A future to reserve and release a place would double the cost of their admission.
        """
        tenant_admission = self._tenant_admission(admission.key)
        tenant_admission.set(limit, rates)
        if (lookup := self.lookup(admission)) != "new":
            return lookup
        if not (
            tenant_admission.is_free(admission.lane)
            and rates.only_tenant_limit
            and tenant_admission.concurrency.has_room()
        ):
            return None
        self._admit_now(tenant_admission, admission, rates)
        return "new"

    async def enter(
        self, admission: AdmissionKey, limit: int, rates: Rates = UNLIMITED, wait_scope: WaitScope = nullcontext
    ) -> AdmissionDecision:
        """Wait until the request may be admitted, in order of arrival, and return the decision.

        It waits for its lane, its agent's and user's rates, and the tenant's concurrency *limit*, rate and dead-letter
        breaker. ``new``: the request is now open, and charged. Otherwise another record with its identity was admitted
        before or meanwhile, or the request was cancelled or withdrawn.
        """
        if (lookup := self.admit(admission, limit, rates)) is not None:
            return lookup
        tenant_admission = self._tenant_admission(admission.key)
        if not await self._reserve_lane(tenant_admission, admission, wait_scope):
            return self._ended(admission)
        try:
            return await self._await_limits(tenant_admission, admission, rates, wait_scope)
        finally:
            self._release_lane(tenant_admission, admission.lane)

    async def _reserve_lane(
        self, tenant_admission: TenantAdmission, admission: AdmissionKey, wait_scope: WaitScope
    ) -> bool:
        """Claim the lane, so that no other request of it can overtake. Return False if the request was cancelled."""
        lane = admission.lane
        if tenant_admission.is_free(lane):
            tenant_admission.reserved_lanes.add(lane)
            return True
        with wait_scope():
            queue = tenant_admission.lanes.setdefault(lane, OrderedDict())
            return await self._wait(
                tenant_admission, admission.key, queue, lambda: self._release_lane(tenant_admission, lane)
            )

    def _release_lane(self, tenant_admission: TenantAdmission, lane: str) -> None:
        """Release the claim on a lane once its request is admitted or gives up."""
        tenant_admission.reserved_lanes.discard(lane)
        self._wake_next_in_lane(tenant_admission, lane)
        tenant_admission.concurrency.admit_waiting()

    async def _await_limits(
        self, tenant_admission: TenantAdmission, admission: AdmissionKey, rates: Rates, wait_scope: WaitScope
    ) -> AdmissionDecision:
        if (lookup := self.lookup(admission)) != "new":
            return lookup
        acquired: list[RateQueue] = []
        try:
            for kind, name, limit in (("agent", admission.agent, rates.agent), ("user", admission.subject, rates.user)):
                if limit is not None:
                    limited = tenant_admission.rate_queue_of(kind, name, limit)
                    if not await self._acquire(tenant_admission, admission.key, limited, wait_scope):
                        return self._ended(admission)
                    acquired.append(limited)
            if not await self._acquire(tenant_admission, admission.key, tenant_admission.concurrency):
                return self._ended(admission)
            acquired.append(tenant_admission.concurrency)
            if (lookup := self.lookup(admission)) == "new":
                self._admit_now(tenant_admission, admission, rates)
            return lookup
        finally:
            for rate_queue in acquired:
                rate_queue.release()

    def _ended(self, admission: AdmissionKey) -> AdmissionDecision:
        """Return the decision after a wait that ended without a call."""
        lookup = self.lookup(admission)
        return "withdrawn" if lookup == "new" else lookup

    async def _acquire(
        self, tenant_admission: TenantAdmission, key: str, rate_queue: RateQueue, wait_scope: WaitScope = nullcontext
    ) -> bool:
        """Reserve a place at once if there is room, else wait for one. Return False if the request was cancelled.

        Taking a free place overtakes no request: those that waited have been called first.
        """
        rate_queue.admit_waiting()
        if rate_queue.has_room():
            rate_queue.reserved += 1
            return True
        rate_queue.arm()
        with wait_scope():
            return await self._wait(tenant_admission, key, rate_queue.queue, rate_queue.release)

    def _admit_now(self, tenant_admission: TenantAdmission, admission: AdmissionKey, rates: Rates) -> None:
        now = self._clock.now_ms()
        if rates.any:
            tenant_admission.charge(admission, now)
        self._remember(admission, opened=True, at_ms=now, charged_ms=now if rates.any else None)

    async def _wait(
        self, tenant_admission: TenantAdmission, key: str, queue: WaitQueue, give_back: Callable[[], None]
    ) -> bool:
        """Wait to be called from *queue*; return False if the request is cancelled meanwhile."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = tenant_admission.waiting.setdefault(key, set())
        waiting.add(waiter)
        try:
            return await wait(queue, waiter, give_back)
        finally:
            waiting.discard(waiter)
            if not waiting and tenant_admission.waiting.get(key) is waiting:
                del tenant_admission.waiting[key]

    def close(self, admission: AdmissionKey) -> None:
        """Close the request, and free its place and its lane."""
        known = self._known.get(admission.key)
        charged = known.charged_ms if known is not None else None
        self._remember(admission, opened=False, at_ms=self._clock.now_ms(), charged_ms=charged)

    def _remember(self, admission: AdmissionKey, *, opened: bool, at_ms: int, charged_ms: int | None) -> None:
        self._known[admission.key] = KnownRequest(admission.body, admission.lane, opened, at_ms, charged_ms)
        self._closed.pop(admission.key, None)
        tenant_admission = self._tenant_admission(admission.key)
        tenant_admission.settle_cancel(admission.key)
        if opened:
            tenant_admission.open[admission.lane] = admission.key
            return
        self._closed[admission.key] = None
        self._free(tenant_admission, admission.lane, admission.key)

    def _free(self, tenant_admission: TenantAdmission, lane: str, key: str) -> None:
        if tenant_admission.open.get(lane) == key:
            del tenant_admission.open[lane]
            self._wake_next_in_lane(tenant_admission, lane)
            tenant_admission.concurrency.admit_waiting()

    def _wake_next_in_lane(self, tenant_admission: TenantAdmission, lane: str) -> None:
        """Give a free lane to the first request that waits for it, and to no other."""
        queue = tenant_admission.lanes.get(lane)
        if queue is None or not tenant_admission.is_free(lane):
            return
        if wake_first(queue):
            tenant_admission.reserved_lanes.add(lane)
        if not queue:
            del tenant_admission.lanes[lane]

    def _tenant_admission(self, key: str) -> TenantAdmission:
        tenant = key.split("|", 1)[0]
        tenant_admission = self._tenants.get(tenant)
        if tenant_admission is None:
            tenant_admission = self._tenants[tenant] = TenantAdmission(
                self._clock, partial(self._on_open, tenant), partial(self._limit_of, tenant)
            )
        return tenant_admission

    def _drop(self, key: str) -> None:
        if (request := cancelled_key(key)) is not None:
            self._tenant_admission(key).cancelled.pop(request, None)
            return
        self._serving.pop(key, None)
        self._closed.pop(key, None)
        self._tenant_admission(key).cancelled.pop(key, None)
        known = self._known.pop(key, None)
        if known is not None and known.open:
            self._free(self._tenant_admission(key), known.lane, key)

    def _evict_expired(self) -> None:
        """Forget requests closed longer ago than the window, oldest first. Open requests are never forgotten."""
        while self._closed and self._is_expired(self._known[next(iter(self._closed))]):
            key, _ = self._closed.popitem(last=False)
            del self._known[key]

    def _is_expired(self, known: KnownRequest) -> bool:
        return not known.open and self._clock.now_ms() - known.at_ms > self._window_ms
