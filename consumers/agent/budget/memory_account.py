"""The counts of one account in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, TypeAlias

from consumers.agent.budget.port import (
    CallLimits,
    Charge,
    Granted,
    LimitName,
    Period,
    PeriodTotal,
    SoftLimit,
    Spender,
)
from consumers.agent.budget.token_bucket import QueuedBucket

ReservationState: TypeAlias = Literal["held", "called"]
PERIODS: tuple[Literal["day", "month"], ...] = ("day", "month")


@dataclass(slots=True)
class StoredReservation:
    """A reservation that has not ended."""

    granted: Granted
    ends_ms: int
    counted: bool
    """True if the account has limits of days or months."""

    state: ReservationState = "held"

    @property
    def unknown_charge(self) -> Charge:
        """The charge if nothing more becomes known: all of it once the call was sent."""
        return Charge(self.granted.tokens, self.granted.pico) if self.state == "called" else Charge()


def start_of(period: Period, day: date) -> str:
    """Return the name of the period that has *day*."""
    return day.isoformat() if period == "day" else f"{day:%Y-%m}"


@dataclass(slots=True)
class BudgetAccount:
    """The reservations of one account, and what its spenders have used."""

    generation: str = ""
    """Empty until the account is loaded."""

    calls: dict[str, StoredReservation] = field(default_factory=dict[str, StoredReservation])
    used: Counter[tuple[str, Spender, str]] = field(default_factory=Counter[tuple[str, Spender, str]])
    """By the start of the period, the spender and the measure."""

    held: Counter[tuple[Spender, str]] = field(default_factory=Counter[tuple[Spender, str]])
    buckets: dict[Spender, QueuedBucket] = field(default_factory=dict[Spender, QueuedBucket])
    alerted: set[tuple[str, SoftLimit]] = field(default_factory=set[tuple[str, SoftLimit]])

    def bucket(self, limits: CallLimits, now_ms: int) -> QueuedBucket:
        """Return the spender's bucket, refilled."""
        cap = limits.minute_tokens or 0
        found = self.buckets.setdefault(limits.spender, QueuedBucket(cap, now_ms))
        found.refill(cap, now_ms)
        return found

    def keep(self, stored: StoredReservation) -> None:
        """Add a reservation."""
        self.calls[stored.granted.call] = stored
        if stored.counted:
            self._hold(stored.granted, 1)

    def finish(self, stored: StoredReservation, charge: Charge, now_ms: int, *, unknown: bool = False) -> None:
        """Replace a reservation by *charge*, which is *unknown* to the ledger if the call has never told it.

        Another generation takes a charge that is known from the ledger, when its run has ended.
        """
        granted = stored.granted
        del self.calls[granted.call]
        if stored.counted:
            self._hold(granted, -1)
            if self.generation and (unknown or self.generation == granted.generation):
                self.charge(granted, charge)
        for limits in granted.limits:
            if limits.minute_tokens is not None:
                back = granted.tokens - charge.tokens
                self.bucket(limits, now_ms).put_back(back, limits.minute_tokens, now_ms)

    def sweep(self, now_ms: int) -> None:
        """End the reservations that have expired."""
        for stored in [each for each in self.calls.values() if each.ends_ms <= now_ms]:
            self.finish(stored, stored.unknown_charge, now_ms, unknown=True)

    def charge(self, granted: Granted, charge: Charge) -> None:
        """Count the usage of a call for all of its spenders."""
        for limits in granted.limits:
            for period in PERIODS:
                self._add(limits.spender, start_of(period, granted.day), charge)

    def load(self, total: PeriodTotal) -> None:
        """Add a total of the ledger."""
        self._add(total.spender, start_of(total.period, total.start), Charge(total.tokens, total.pico))

    def alerts(self, limits: Iterable[CallLimits], soft: float, day: date) -> tuple[SoftLimit, ...]:
        """Return the soft limits that are reached now, each only once."""
        found: list[SoftLimit] = []
        for each in limits:
            for name, limit in limits_of(each):
                key = start_of(name.period, day), SoftLimit(each.spender, name)
                if self.used[key[0], each.spender, name.measure] >= soft * limit and key not in self.alerted:
                    self.alerted.add(key)
                    found.append(key[1])
        return tuple(found)

    def _hold(self, granted: Granted, sign: int) -> None:
        for limits in granted.limits:
            self.held[limits.spender, "tokens"] += sign * granted.tokens
            self.held[limits.spender, "usd"] += sign * granted.pico

    def _add(self, spender: Spender, start: str, charge: Charge) -> None:
        self.used[start, spender, "tokens"] += charge.tokens
        self.used[start, spender, "usd"] += charge.pico


def limits_of(limits: CallLimits) -> Iterable[tuple[LimitName, int]]:
    """Yield the limits of days and months that a spender has."""
    kind = limits.spender.kind
    for name, limit in (
        (LimitName(kind, "day", "tokens"), limits.day_tokens),
        (LimitName(kind, "day", "usd"), limits.day_pico),
        (LimitName(kind, "month", "tokens"), limits.month_tokens),
        (LimitName(kind, "month", "usd"), limits.month_pico),
    ):
        if limit is not None:
            yield name, limit
