"""``headrace bench budgets``: measure the round trips of a reservation, on an embedded Valkey, beside a bare call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from consumers.agent.budget.port import TENANT, CallLimits, CallSize, Charge, Claim, Granted, Spender, user_spender
from consumers.agent.budget.valkey import TIMEOUT_S, ValkeyBudgetStore, valkey_budgets
from consumers.valkey.link import ValkeyLink, served
from consumers.valkey.lua import evaluate, lua_script
from ops.embedded.valkey import embedded_valkey
from ops.lab.bench.figures import Comparison, Rounds, Tell, quantile
from ops.settings import Settings
from schemas.keys import PROBE_KEY

RESERVE, RATE, WHOLE = "a reservation", "a reservation of a rate alone", "reserve, call and settle"
PING, SCRIPT, WRITE = "PING", "an empty script", "a SET"
ACCOUNT = "bench"
LOTS = 10**14
LIMITS = (
    CallLimits(user_spender("bench", "ann"), LOTS, LOTS, LOTS, LOTS, LOTS),
    CallLimits(Spender("agent", "support"), LOTS, LOTS, LOTS, LOTS, LOTS),
    CallLimits(TENANT, LOTS, LOTS, LOTS, LOTS, LOTS),
)
RATES = tuple(CallLimits(each.spender, each.minute_tokens) for each in LIMITS)


@dataclass(frozen=True, slots=True)
class BudgetsPlan:
    """The size of the measurement."""

    calls: int = 1_000
    """Round trips of each subject in each round, one after the other."""

    rounds: int = 3
    share: float = 0.5
    """The quantile that is reported."""


async def run(plan: BudgetsPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:  # noqa: ARG001 - a benchmark's arguments
    """Measure wall-clock microseconds of a call. All limits of user, agent and tenant are set."""
    rounds = Rounds(plan.rounds, tell)
    async with embedded_valkey(folder / "valkey") as valkey, valkey_budgets(valkey.url) as store:
        link = ValkeyLink(valkey.url, TIMEOUT_S)
        async with served(link):
            await store.load(ACCOUNT, [])
            await store.load("rates", [])
            await link.call("CONFIG", "SET", "appendfsync", "everysec")  # as in production: no write waits for the disk
            subjects = _subjects(store, link)
            await rounds.measure({name: partial(_measured, plan, store, call) for name, call in subjects.items()})
    return [rounds.compare(what, against) for what in (RESERVE, RATE, WHOLE) for against in (PING, SCRIPT, WRITE)]


def _subjects(store: ValkeyBudgetStore, link: ValkeyLink) -> dict[str, Callable[[], Awaitable[object]]]:
    numbers, empty = count(), lua_script("return 1")

    async def reserve(account: str, limits: tuple[CallLimits, ...]) -> Granted:
        number = str(next(numbers))
        size = CallSize(500, 1_000, 1_000, 75_000_000, 600_000)
        answer = await store.reserve(Claim(account=account, call=number, owner=number, limits=limits, size=size))
        if not isinstance(answer, Granted):
            raise TypeError(f"the reservation was refused: {answer}")
        return answer

    async def whole() -> None:
        granted = await reserve(ACCOUNT, LIMITS)
        await store.called(granted)
        await store.settle(granted, Charge(700, 200_000_000))

    return {
        RESERVE: lambda: reserve(ACCOUNT, LIMITS),
        RATE: lambda: reserve("rates", RATES),
        WHOLE: whole,
        PING: lambda: link.call("PING"),
        WRITE: lambda: link.call("SET", PROBE_KEY, 1),
        SCRIPT: lambda: evaluate(link, empty, []),
    }


async def _measured(plan: BudgetsPlan, store: ValkeyBudgetStore, call: Callable[[], Awaitable[object]]) -> float:
    """Return the quantile of the times. A reservation is released outside of the measured time."""
    times: list[float] = []
    for _ in range(plan.calls):
        began = time.perf_counter()
        found = await call()
        times.append((time.perf_counter() - began) * 1e6)
        if isinstance(found, Granted):
            await store.settle(found, Charge())
    return quantile(times, plan.share)
