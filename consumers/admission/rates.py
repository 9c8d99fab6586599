"""Request rates per minute, exact for every window of one minute.

Source: the sliding window log, as B. Beyer et al. call for in "Site Reliability Engineering" (2016), chapter 21, for
limits that may neither be exceeded nor leave capacity unused. A leaky bucket would admit twice its burst.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass

from schemas.clock import Clock
from schemas.tenants import Limits

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests per minute of the whole tenant, of each agent and of each user; None: no limit."""

    tenant: int | None = None
    agent: int | None = None
    user: int | None = None

    @property
    def any(self) -> bool:
        """True if at least one rate is limited."""
        return not (self.tenant is None and self.agent is None and self.user is None)

    @property
    def only_tenant_limit(self) -> bool:
        """True if at most the tenant's own rate is limited."""
        return self.agent is None and self.user is None


UNLIMITED = Rates()


def rates_of(limits: Limits) -> Rates:
    """Return the rates of a tenant's limits."""
    if limits.rpm is None and limits.rpm_per_agent is None and limits.rpm_per_user is None:
        return UNLIMITED
    return Rates(limits.rpm, limits.rpm_per_agent, limits.rpm_per_user)


class Rate:
    """The admission times of the last minute, and how many there may be."""

    __slots__ = ("_clock", "_times", "limit")

    def __init__(self, clock: Clock, limit: int | None = None) -> None:
        self._clock = clock
        self._times: deque[int] = deque()
        self.limit = limit

    def has_room(self, promised: int) -> bool:
        """Return True if one more request may be admitted now, with *promised* others reserved."""
        return self.limit is None or self._recent() + promised < self.limit

    def frees_ms(self) -> int:
        """Return the milliseconds until the oldest admission leaves the minute; a minute if there is none."""
        if not self._recent():
            return MINUTE_MS
        return self._times[0] + MINUTE_MS - self._clock.now_ms()

    @property
    def idle(self) -> bool:
        """True if there was no admission during the last minute."""
        return not self._recent()

    def charge(self, at_ms: int) -> None:
        """Count an admission at *at_ms*. The admission log may report it late, or after its minute is over."""
        self._recent()
        if at_ms <= self._clock.now_ms() - MINUTE_MS:
            return
        if self._times and at_ms < self._times[-1]:
            insort(self._times, at_ms)
        else:
            self._times.append(at_ms)

    def _recent(self) -> int:
        now, times = self._clock.now_ms(), self._times
        if times and times[-1] > now:  # the clock was set back, or the former owner's clock runs ahead
            self._times = times = deque(min(each, now) for each in times)
        while times and times[0] <= now - MINUTE_MS:
            times.popleft()
        return len(times)
