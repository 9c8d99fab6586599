"""The implementations of the budget port with a clock that tests set."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from redis.asyncio import Redis

from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.port import TENANT, BudgetStore, CallLimits, CallSize, Claim, Granted
from consumers.agent.budget.scripts import SWEPT, budget_scripts
from consumers.agent.budget.valkey import valkey_budgets
from ops.embedded.valkey import Valkey

START_MS = 1_796_083_200_000
"""The first millisecond of 1 December 2026 in UTC."""

TIME_KEY = "budget-test:time"
SET_TIME = f"redis.call('LRANGE', '{TIME_KEY}', 0, -1)"

NUMBERS = count(1)


@dataclass
class SetClock:
    """A clock that shows what it is set to."""

    at_ms: int = START_MS

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.at_ms / 1_000


@dataclass
class BudgetWorld:
    """A store, and the time that it reads."""

    store: BudgetStore
    clock: SetClock = field(default_factory=SetClock)
    redis: Redis | None = None

    async def set_time(self, at_ms: int) -> None:
        """Set the store's time."""
        self.clock.at_ms = at_ms
        if self.redis is not None:
            async with self.redis.pipeline() as pipeline:
                pipeline.delete(TIME_KEY)
                pipeline.rpush(TIME_KEY, at_ms // 1_000, at_ms % 1_000 * 1_000)
                await pipeline.execute()

    async def pass_by(self, seconds: float) -> None:
        """Advance the store's time."""
        await self.set_time(self.clock.at_ms + int(seconds * 1_000))

    async def account(self) -> str:
        """Return a new account that is loaded, with nothing used."""
        name = new_account()
        await self.store.load(name, [])
        return name


@asynccontextmanager
async def in_memory() -> AsyncGenerator[BudgetWorld]:
    """Open a store in memory."""
    clock = SetClock()
    yield BudgetWorld(MemoryBudgetStore(clock), clock)


@asynccontextmanager
async def in_valkey(server: Valkey, swept: int = SWEPT) -> AsyncGenerator[BudgetWorld]:
    """Open a store in a real Valkey."""
    async with (
        valkey_budgets(server.url, scripts=budget_scripts(SET_TIME, swept)) as store,
        Redis.from_url(server.url) as redis,
    ):
        world = BudgetWorld(store, redis=redis)
        await world.set_time(START_MS)
        yield world


def new_account() -> str:
    """Return a tenant that no other test has."""
    return f"t{next(NUMBERS)}"


def claim_of(
    account: str,
    *limits: CallLimits,
    call: str = "",
    owner: str = "",
    prompt: int = 10,
    output: int = 90,
    least: int | None = None,
    prices: tuple[int, int] = (0, 0),
    soft: float = 1.0,
    ticket: int = 0,
    call_ms: int = 60_000,
) -> Claim:
    """Return a claim of 100 tokens, by default on the limits of the tenant."""
    number = next(NUMBERS)
    return Claim(
        account=account,
        call=call or f"run-{number}/1/s/1",
        owner=owner or f"o{number}",
        limits=limits or (CallLimits(TENANT),),
        size=CallSize(prompt, output, output if least is None else least, prompt * prices[0], prices[1]),
        soft=soft,
        ticket=ticket,
        call_ms=call_ms,
    )


async def granted(world: BudgetWorld, claim: Claim) -> Granted:
    """Reserve, and fail the test unless it is granted."""
    answer = await world.store.reserve(claim)
    assert isinstance(answer, Granted), answer
    return answer


async def sent(world: BudgetWorld, claim: Claim) -> Granted:
    """Reserve, and state that the call is sent."""
    found = await granted(world, claim)
    assert await world.store.called(found)
    return found
