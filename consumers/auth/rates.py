"""How many requests a minute: exact, for whichever minute one looks at.

Source: the sliding window log, as B. Beyer et al. call for in "Site Reliability Engineering" (2016), chapter 21, for
limits that may neither be passed nor leave anything unused. A leaky bucket would let through twice its burst.
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
    """Requests a minute of the whole tenant, of each agent and of each user; None: as many as come."""

    tenant: int | None = None
    agent: int | None = None
    user: int | None = None

    @property
    def any(self) -> bool:
        """Whether anything is limited."""
        return not (self.tenant is None and self.agent is None and self.user is None)

    @property
    def is_wide(self) -> bool:
        """Whether at most the tenant as a whole is limited."""
        return self.agent is None and self.user is None


UNLIMITED = Rates()


def rates_of(limits: Limits) -> Rates:
    """What a tenant's record says."""
    if limits.rpm is None and limits.rpm_per_agent is None and limits.rpm_per_user is None:
        return UNLIMITED
    return Rates(limits.rpm, limits.rpm_per_agent, limits.rpm_per_user)


class Rate:
    """The moments of the last minute at which something was let in."""

    __slots__ = ("_clock", "_times", "limit")

    def __init__(self, clock: Clock, limit: int | None = None) -> None:
        self._clock = clock
        self._times: deque[int] = deque()
        self.limit = limit

    def fits(self, promised: int) -> bool:
        """Whether one more may go in now, with *promised* others on their way."""
        return self.limit is None or self._recent() + promised < self.limit

    def frees_ms(self) -> int:
        """Until the oldest falls out of the minute; a minute if there is none."""
        if not self._recent():
            return MINUTE_MS
        return self._times[0] + MINUTE_MS - self._clock.now_ms()

    @property
    def idle(self) -> bool:
        """Whether nothing went in during the last minute."""
        return not self._recent()

    def charge(self, at_ms: int) -> None:
        """Something was let in at *at_ms*; the log may say so late, and of what is long over."""
        self._recent()
        if at_ms <= self._clock.now_ms() - MINUTE_MS:
            return
        if self._times and at_ms < self._times[-1]:
            insort(self._times, at_ms)
        else:
            self._times.append(at_ms)

    def _recent(self) -> int:
        now, times = self._clock.now_ms(), self._times
        if times and times[-1] > now:  # the clock was set back, or the former owner's runs ahead
            self._times = times = deque(min(each, now) for each in times)
        while times and times[0] <= now - MINUTE_MS:
            times.popleft()
        return len(times)
