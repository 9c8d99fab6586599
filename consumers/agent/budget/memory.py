"""The counts of budgets in memory, for one process: tests, and the local share while Valkey is away."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from consumers.agent.budget.memory_account import BudgetAccount, StoredReservation, limits_of, start_of
from consumers.agent.budget.port import (
    Answer,
    BudgetSpent,
    BudgetUse,
    Charge,
    Claim,
    Granted,
    LimitName,
    MustWait,
    PeriodTotal,
    SoftLimit,
    Spender,
    Unloaded,
)
from schemas.clock import Clock

HELD_MS = 30_000
"""Milliseconds after which a reservation is free again if its call was not sent."""

SHORTEST_WAIT_MS, LONGEST_WAIT_MS = 50, 1_000
IN_FLIGHT_WAIT_MS = 250
"""Milliseconds before a call is asked for again that waits for the end of others."""


@dataclass(slots=True)
class MemoryBudgetStore:
    """The counts of all accounts, in this process."""

    clock: Clock
    held_ms: int = HELD_MS
    generation: str = ""
    """That of a new account; not empty if there is no ledger to load it from."""

    accounts: dict[str, BudgetAccount] = field(default_factory=dict[str, BudgetAccount])

    async def reserve(self, claim: Claim) -> Answer:
        """Reserve the claim from all of its spenders, or from none."""
        account, now_ms = self._account(claim.account), self.clock.now_ms()
        account.sweep(now_ms)
        if before := account.calls.get(claim.call):
            account.finish(before, before.unknown_charge, now_ms, unknown=True)
        periodic = any(each.periodic for each in claim.limits)
        if periodic and not account.generation:
            return Unloaded(claim.account)
        if not periodic and account.generation:
            await self.forget(claim.account)
        return _Reserving(account, claim, now_ms, self.held_ms).answer()

    async def called(self, granted: Granted) -> bool:
        """State that the call is about to be sent. Return False if the reservation is gone."""
        stored = self._account(granted.account).calls.get(granted.call)
        if stored is None or stored.granted.owner != granted.owner:
            return False
        stored.state, stored.ends_ms = "called", self.clock.now_ms() + granted.call_ms
        return True

    async def settle(self, granted: Granted, charge: Charge) -> tuple[SoftLimit, ...]:
        """Replace the reservation by *charge*, and return the soft limits that it reaches."""
        account, now_ms = self._account(granted.account), self.clock.now_ms()
        stored = account.calls.get(granted.call)
        if stored is None or stored.granted.owner != granted.owner:
            return ()
        account.finish(stored, charge, now_ms)
        today = _day(now_ms)
        return account.alerts(granted.limits, granted.soft, today) if granted.day == today else ()

    async def needs_load(self, account: str) -> bool:
        """Return True if the account's usage is unknown."""
        return not self._account(account).generation

    async def load(self, account: str, totals: Sequence[PeriodTotal]) -> str:
        """Add the totals of the ledger to the account, once, and return its generation; empty if it has one already."""
        found = self._account(account)
        if found.generation:
            return ""
        for total in totals:
            found.load(total)
        found.generation = secrets.token_hex(8)
        return found.generation

    async def add_late(self, account: str, generation: str, totals: Sequence[PeriodTotal]) -> bool:
        """Add usage of runs that an earlier generation counted. Return False if this one is over."""
        found = self._account(account)
        if found.generation != generation:
            return False
        for total in totals:
            found.load(total)
        return True

    async def forget(self, account: str) -> None:
        """Require that the account is loaded again, from nothing."""
        found = self._account(account)
        found.generation = ""
        found.used.clear()
        found.alerted.clear()

    async def read(self, account: str, spenders: Sequence[Spender]) -> tuple[BudgetUse, ...]:
        """Return the usage of the spenders."""
        found, today = self._account(account), _day(self.clock.now_ms())
        return tuple(_use(found, spender, today) for spender in spenders)

    def _account(self, name: str) -> BudgetAccount:
        return self.accounts.setdefault(name, BudgetAccount(self.generation))


@dataclass(slots=True)
class _Reserving:
    """One attempt to reserve."""

    account: BudgetAccount
    claim: Claim
    now_ms: int
    held_ms: int
    output: int = 0
    waits: MustWait | None = None
    refused: BudgetSpent | None = None

    def answer(self) -> Answer:
        claim, day = self.claim, _day(self.now_ms)
        self.output = claim.size.output_tokens
        alerts = self.account.alerts(claim.limits, claim.soft, day)
        self._check_periods(day)
        self._check_caps()
        if self.refused is not None:
            return self.refused._replace(alerts=alerts)
        if self.waits is None:
            self._check_buckets()
        return self.waits or self._granted(day, alerts)

    def _check_periods(self, day: date) -> None:
        for each in self.claim.limits:
            for name, limit in limits_of(each):
                used = self.account.used[start_of(name.period, day), each.spender, name.measure]
                self._check(name, limit, used, self.account.held[each.spender, name.measure])

    def _check(self, name: LimitName, limit: int, used: int, held: int) -> None:
        fixed, unit = self._amounts(name)
        least, free = fixed + self.claim.size.least_output_tokens * unit, limit - used - held
        if least > limit - used:
            self._refuse(BudgetSpent(name, least > limit, limit, least))
        elif least > free:
            self._wait(name, IN_FLIGHT_WAIT_MS)
        elif unit:
            self.output = min(self.output, (free - fixed) // unit)

    def _amounts(self, name: LimitName) -> tuple[int, int]:
        """Return the amount of the prompt and that of one output token."""
        size = self.claim.size
        return (size.prompt_tokens, 1) if name.measure == "tokens" else (size.prompt_pico, size.output_pico)

    def _check_caps(self) -> None:
        size = self.claim.size
        for each in self.claim.limits:
            if each.minute_tokens is None:
                continue
            if size.least_tokens > each.minute_tokens:
                name = LimitName(each.spender.kind, "minute", "tokens")
                self._refuse(
                    BudgetSpent(name, too_large=True, limit_amount=each.minute_tokens, amount=size.least_tokens)
                )
            self.output = min(self.output, each.minute_tokens - size.prompt_tokens)

    def _check_buckets(self) -> None:
        need, ticket = self.claim.size.prompt_tokens + self.output, self._ticket()
        for each in self.claim.limits:
            if each.minute_tokens is not None and self.waits is None:
                bucket = self.account.bucket(each, self.now_ms)
                wait_ms = bucket.wait_ms(self.claim.call, ticket, need, each.minute_tokens)
                if wait_ms is not None:
                    self._wait(LimitName(each.spender.kind, "minute", "tokens"), wait_ms)

    def _granted(self, day: date, alerts: tuple[SoftLimit, ...]) -> Granted:
        claim, size = self.claim, self.claim.size
        granted = Granted(
            account=claim.account,
            call=claim.call,
            owner=claim.owner,
            day=day,
            tokens=size.prompt_tokens + self.output,
            pico=size.prompt_pico + self.output * size.output_pico,
            generation=self.account.generation,
            limits=claim.limits,
            soft=claim.soft,
            alerts=alerts,
            call_ms=claim.call_ms,
        )
        for each in claim.limits:
            if each.minute_tokens is not None:
                self.account.bucket(each, self.now_ms).take(claim.call, granted.tokens)
        self.account.keep(StoredReservation(granted, self.now_ms + self.held_ms, counted=_counted(granted)))
        return granted

    def _ticket(self) -> int:
        return self.claim.ticket or self.now_ms * 1_000

    def _wait(self, name: LimitName, wait_ms: float) -> None:
        bounded = math.ceil(min(LONGEST_WAIT_MS, max(SHORTEST_WAIT_MS, wait_ms)) - 1e-6)
        self.waits = self.waits or MustWait(name, bounded / 1_000, self._ticket())

    def _refuse(self, spent: BudgetSpent) -> None:
        self.refused = self.refused or spent


def _counted(granted: Granted) -> bool:
    return any(each.periodic for each in granted.limits)


def _day(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1_000, UTC).date()


def _use(account: BudgetAccount, spender: Spender, day: date) -> BudgetUse:
    used = [account.used[start_of(period, day), spender, name] for period in ("day", "month") for name in MEASURES]
    held = [account.held[spender, name] for name in MEASURES]
    return BudgetUse(spender, day, *used, *held)


MEASURES = ("tokens", "usd")
