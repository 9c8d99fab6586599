"""The sums of usage records, by spender and period."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from consumers.agent.budget.port import TENANT, Charge, PeriodTotal, Spender, user_spender
from schemas.usage import UsageRecord, day_of, pico_of

Period = tuple[str, date]


class LedgerShare(NamedTuple):
    """A part of a run's usage that counts for one agent on one day."""

    agent: str
    day: date
    generation: str
    tokens: int
    pico: int


def shares_of(usage: UsageRecord) -> Iterator[LedgerShare]:
    """Yield the shares of a run. Together they are its whole usage. Raises ValueError for a time beyond the calendar.

    Usage that no share states counts for the run's agent on the day on which the run ended.
    """
    tokens, pico = usage.input_tokens + usage.output_tokens, pico_of(usage.cost_usd)
    for each in usage.agents:
        share = LedgerShare(
            each.agent, each.day, each.generation, each.input_tokens + each.output_tokens, pico_of(each.cost_usd)
        )
        yield share
        tokens, pico = tokens - share.tokens, pico - share.pico
    if tokens > 0 or pico > 0:
        yield LedgerShare(usage.agent, day_of(usage.at_ms), "", max(0, tokens), max(0, pico))


@dataclass(slots=True)
class AccountSums:
    """The sums of one tenant's usage from the month of *today* on."""

    today: date
    """The day of UTC by the clock of the store. Earlier days count for their month only."""

    counted: str = ""
    """The generation of the store that has counted its own calls: shares of it are left out. Empty: none is."""

    runs: int = 0
    users: dict[Spender, str] | None = None
    """The subject of each user, if they are wanted."""

    _sums: dict[tuple[Spender, Period], list[int]] = field(default_factory=dict[tuple[Spender, Period], list[int]])

    def add(self, usage: UsageRecord) -> None:
        """Add one run. Raises ValueError for a time beyond the calendar."""
        user = user_spender(usage.issuer, usage.subject)
        for share in list(shares_of(usage)):
            if not (self.counted and share.generation == self.counted):
                self._add(share, user)
        if self.users is not None:
            self.users[user] = usage.subject
        self.runs += 1

    def _add(self, share: LedgerShare, user: Spender) -> None:
        for period in self._periods(share.day):
            for spender in (TENANT, user, Spender("agent", share.agent)):
                found = self._sums.setdefault((spender, period), [0, 0])
                found[0] += share.tokens
                found[1] += share.pico

    def _periods(self, day: date) -> Iterator[Period]:
        if day >= self.today:
            yield "day", day
        if (month := day.replace(day=1)) >= self.today.replace(day=1):
            yield "month", month

    def __len__(self) -> int:
        """Return the number of sums, which is what they need memory for."""
        return len(self._sums)

    def charge(self, spender: Spender, period: Period) -> Charge:
        """Return the usage of a spender in a period: ``day`` or ``month``, and its first day."""
        return Charge(*self._sums.get((spender, period), (0, 0)))

    def totals(self) -> list[PeriodTotal]:
        """Return the sums."""
        return [
            PeriodTotal(spender, "day" if name == "day" else "month", start, tokens, pico)
            for (spender, (name, start)), (tokens, pico) in self._sums.items()
        ]
