"""The counts of budgets in Valkey. Each call of a method is one script, and one round trip."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from functools import lru_cache
from typing import Any

from redis.exceptions import OutOfMemoryError, ResponseError

from consumers.agent.budget.port import (
    Answer,
    BudgetSpent,
    BudgetUse,
    CallLimits,
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
from consumers.agent.budget.scripts import BudgetScripts, budget_scripts
from consumers.valkey.errors import ValkeyCallError
from consumers.valkey.info import check_info, parse_info
from consumers.valkey.link import Argument, ValkeyLink, served
from consumers.valkey.lua import LuaScript, evaluate
from schemas.errors import BudgetUnavailableError
from schemas.keys import BudgetPart, budget_key

TIMEOUT_S = 1.0
"""Seconds for a call."""

HELD_MS = 30_000
"""Milliseconds after which a reservation is free again if its call was not sent."""

SWEEPS = 1_000
"""Calls in a row that end expired reservations, before one is refused because of them."""

MOST_LOADED = 2**63 - 1
"""The largest count of Valkey. Any limit is below it."""

LOAD_ROWS = 500
"""Totals that one call loads: Valkey serves other clients between two calls."""

_PARTS: tuple[BudgetPart, ...] = ("calls", "expiry", "day", "month", "bucket")


class ValkeyBudgetStore:
    """The counts of all accounts in one Valkey."""

    def __init__(self, link: ValkeyLink, scripts: BudgetScripts | None = None, held_ms: int = HELD_MS) -> None:
        self._link, self._scripts, self._held_ms = link, scripts or budget_scripts(), held_ms

    async def reserve(self, claim: Claim) -> Answer:
        """Reserve the claim from all of its spenders, or from none."""
        numbers = (self._held_ms, claim.ticket, claim.soft, *claim.size)
        head = (claim.call, claim.owner, " ".join(map(repr, numbers)))
        for _ in range(SWEEPS):
            reply = await self._run(self._scripts.reserve, claim.account, *head, *_limits(claim.limits))
            if reply[0] != b"again":
                return _answer(reply, claim)
        raise BudgetUnavailableError(detail=f"more than {SWEEPS} calls ended expired reservations")

    async def called(self, granted: Granted) -> bool:
        """State that the call is about to be sent. Return False if the reservation is gone."""
        arguments = (granted.call, granted.owner, granted.call_ms)
        return bool(await self._run(self._scripts.called, granted.account, *arguments))

    async def settle(self, granted: Granted, charge: Charge) -> tuple[SoftLimit, ...]:
        """Replace the reservation by *charge*, and return the soft limits that it reaches."""
        head = (granted.call, granted.owner, *charge, repr(granted.soft))
        reply = await self._run(self._scripts.settle, granted.account, *head, *_limits(granted.limits))
        return _alerts(reply, granted.limits)

    async def needs_load(self, account: str) -> bool:
        """Return True if the account's usage is unknown."""
        return not await self._call("HEXISTS", budget_key(account, "calls"), "")

    async def load(self, account: str, totals: Sequence[PeriodTotal]) -> str:
        """Add the totals of the ledger to the account, once, and return its generation; empty if it has one already."""
        loader, generation = secrets.token_hex(8), secrets.token_hex(8)
        parts = [totals[at : at + LOAD_ROWS] for at in range(0, len(totals) or 1, LOAD_ROWS)]
        for number, part in enumerate(parts):
            ends = (int(number == 0), int(number == len(parts) - 1))
            rows = [cell for total in part for cell in _row(total)]
            if not await self._run(self._scripts.load, account, loader, *ends, generation, *rows):
                return ""
        return generation

    async def add_late(self, account: str, generation: str, totals: Sequence[PeriodTotal]) -> bool:
        """Add usage of runs that an earlier generation counted. Return False if this one is over."""
        rows = [cell for total in totals for cell in _row(total)]
        return bool(await self._run(self._scripts.late, account, generation, *rows))

    async def forget(self, account: str) -> None:
        """Require that the account is loaded again, from nothing."""
        await self._run(self._scripts.forget, account)

    async def read(self, account: str, spenders: Sequence[Spender]) -> tuple[BudgetUse, ...]:
        """Return the usage of the spenders."""
        day, *counts = await self._run(self._scripts.read, account, *map(_field, spenders))
        today, amounts = date.fromisoformat(day.decode()), list(map(int, counts))
        return tuple(BudgetUse(spender, today, *amounts[6 * at : 6 * at + 6]) for at, spender in enumerate(spenders))

    async def check(self) -> None:
        """Raise UnfitStoreError if the server may forget counts. Raise BudgetUnavailableError if it fails."""
        sections = ("server", "persistence", "replication", "memory")
        check_info(parse_info(await self._call("INFO", *sections)))

    async def _run(self, script: LuaScript, account: str, *arguments: Argument) -> Any:  # noqa: ANN401 - any reply
        try:
            return _checked(await evaluate(self._link, script, _keys(account), *arguments))
        except ValkeyCallError as error:
            raise BudgetUnavailableError(detail=error.detail) from error

    async def _call(self, *command: Argument) -> Any:  # noqa: ANN401 - any reply
        try:
            return _checked(await self._link.call(*command))
        except ValkeyCallError as error:
            raise BudgetUnavailableError(detail=error.detail) from error


@asynccontextmanager
async def valkey_budgets(
    url: str, *, scripts: BudgetScripts | None = None, held_ms: int = HELD_MS
) -> AsyncGenerator[ValkeyBudgetStore]:
    """Open the counts in the Valkey at *url*, for the block. The connection opens when it is first used."""
    link = ValkeyLink(url, TIMEOUT_S)
    async with served(link):
        yield ValkeyBudgetStore(link, scripts, held_ms)


def _checked(reply: Any) -> Any:  # noqa: ANN401 - any reply of Valkey
    if isinstance(reply, OutOfMemoryError):
        raise BudgetUnavailableError(detail=f"Valkey is full: {reply}"[:500])
    if isinstance(reply, ResponseError):
        raise BudgetUnavailableError(detail=f"{type(reply).__name__}: {reply}"[:500])
    return reply


def _field(spender: Spender) -> str:
    return f"{spender.kind[0]}:{spender.name}"


def _limits(limits: Iterable[CallLimits]) -> list[Argument]:
    """Return one argument for each spender: its five limits and its name. A dash is no limit."""
    return [
        " ".join(("-" if each is None else str(each)) for each in limit[1:]) + " " + _field(limit.spender)
        for limit in limits
    ]


@lru_cache(maxsize=10_000)
def _keys(account: str) -> tuple[str, ...]:
    return tuple(budget_key(account, part) for part in _PARTS)


def _row(total: PeriodTotal) -> tuple[Argument, ...]:
    amounts = min(total.tokens, MOST_LOADED), min(total.pico, MOST_LOADED)
    return _field(total.spender), total.period, total.start.isoformat(), *amounts


def _answer(reply: list[Any], claim: Claim) -> Answer:
    match reply:
        case [b"granted", day, tokens, pico, generation, alerts]:
            return Granted(
                account=claim.account,
                call=claim.call,
                owner=claim.owner,
                day=date.fromisoformat(day.decode()),
                tokens=int(tokens),
                pico=int(pico),
                generation=generation.decode(),
                limits=claim.limits,
                soft=claim.soft,
                alerts=_alerts(alerts, claim.limits),
                call_ms=claim.call_ms,
            )
        case [b"wait", at, period, measure, ms, ticket]:
            return MustWait(_name(claim.limits, at, period, measure), ms / 1_000, int(ticket))
        case [b"spent", at, period, measure, too_large, limit, amount, alerts]:
            name = _name(claim.limits, at, period, measure)
            return BudgetSpent(name, bool(too_large), int(limit), int(amount), _alerts(alerts, claim.limits))
        case [b"unloaded"]:
            return Unloaded(claim.account)
        case _:
            raise BudgetUnavailableError(detail=f"the reservation's reply is {reply!r}"[:200])


def _name(limits: Sequence[CallLimits], at: int, period: bytes, measure: bytes) -> LimitName:
    kind = limits[at - 1].spender.kind
    found: Any = (kind, period.decode(), "usd" if measure == b"pico" else "tokens")
    return LimitName(*found)


def _alerts(replies: Iterable[bytes], limits: Sequence[CallLimits]) -> tuple[SoftLimit, ...]:
    found = [reply.split() for reply in replies]
    return tuple(
        SoftLimit(limits[int(at) - 1].spender, _name(limits, int(at), period, measure)) for at, period, measure in found
    )
