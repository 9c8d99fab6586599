"""Random interleavings of calls, over Valkey and in memory at once: both give the same answers, within the limits."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from consumers.agent.budget.port import (
    TENANT,
    Answer,
    CallLimits,
    Charge,
    Claim,
    Granted,
    MustWait,
    Spender,
    user_spender,
)
from ops.embedded.valkey import Valkey
from tests.laws.budget_worlds import START_MS, BudgetWorld, claim_of, in_memory, in_valkey, new_account

pytestmark = pytest.mark.anyio

OPERATIONS = 200
DAY_TOKENS, MONTH_PICO = 6_000, 12_000
USERS = [user_spender("", name) for name in "ab"]


@pytest.fixture(scope="module")
async def worlds(valkey: Valkey) -> AsyncIterator[list[BudgetWorld]]:
    """Both implementations."""
    async with in_memory() as memory, in_valkey(valkey, OPERATIONS) as shared:
        yield [memory, shared]


@dataclass
class _Twins:
    """The same calls in both stores."""

    worlds: list[BudgetWorld]
    chance: random.Random
    account: str
    claims: list[Claim] = field(default_factory=list)
    grants: list[list[Granted]] = field(default_factory=list)
    over: int = 0
    """Tokens that calls have used beyond their reservations."""

    async def step(self) -> None:
        operation = self.chance.choice(["reserve", "reserve", "again", "called", "settle", "settle", "time"])
        match operation:
            case "reserve":
                await self.reserve(self.claim())
            case "again" if self.claims:
                await self.reserve(replace(self.chance.choice(self.claims), owner=f"o{self.chance.random()}"))
            case "called" if self.grants:
                grants = self.chance.choice(self.grants)
                answers = [await world.store.called(each) for world, each in self._both(grants)]
                assert answers[0] == answers[1]
            case "settle" if self.grants:
                await self._settle(self.chance.choice(self.grants))
            case _:
                seconds = self.chance.choice([0.01, 1, 7, 20, 45])
                for world in self.worlds:
                    await world.pass_by(seconds)

    def claim(self) -> Claim:
        output = self.chance.choice([10, 90, 400])
        limits = (
            CallLimits(self.chance.choice(USERS), minute_tokens=6_000, day_tokens=4_000),
            CallLimits(Spender("agent", "x")),
            CallLimits(TENANT, minute_tokens=1_200, day_tokens=DAY_TOKENS, month_pico=MONTH_PICO),
        )
        least = self.chance.choice([1, output])
        claim = claim_of(self.account, *limits, output=output, least=least, prices=(1, 2), soft=0.8, call_ms=30_000)
        self.claims.append(claim)
        return claim

    async def reserve(self, claim: Claim) -> None:
        answers = [await world.store.reserve(claim) for world in self.worlds]
        assert _bare(answers[0]) == _bare(answers[1])
        grants = [each for each in answers if isinstance(each, Granted)]
        if grants:
            self.grants.append(grants)

    async def _settle(self, grants: list[Granted]) -> None:
        charge = Charge(self.chance.randint(0, grants[0].tokens + 5), self.chance.randint(0, grants[0].pico))
        self.over += max(0, charge.tokens - grants[0].tokens)
        alerts = [await world.store.settle(each, charge) for world, each in self._both(grants)]
        assert alerts[0] == alerts[1]

    def _both(self, grants: list[Granted]) -> list[tuple[BudgetWorld, Granted]]:
        return list(zip(self.worlds, grants, strict=True))


def _bare(answer: Answer) -> Answer:
    """Return the answer without what is random or depends on the precision of the clock."""
    if isinstance(answer, Granted):
        return answer._replace(generation="")
    return answer._replace(ticket=0) if isinstance(answer, MustWait) else answer


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 30))])
async def test_any_interleaving_stays_within_the_limits_in_both_stores(worlds: list[BudgetWorld], seed: int) -> None:
    """Reserved and used together never exceed a limit, except by what calls used beyond their reservations."""
    twins = _Twins(worlds, random.Random(seed), f"i{seed}-{new_account()}")
    for world in worlds:
        await world.set_time(START_MS)
        await world.store.load(twins.account, [])
    for _ in range(OPERATIONS):
        await twins.step()
        used = [await world.store.read(twins.account, [TENANT, *USERS]) for world in worlds]
        assert used[0] == used[1]
        assert used[0][0].day_tokens + used[0][0].held_tokens <= DAY_TOKENS + twins.over
        assert used[0][0].month_pico + used[0][0].held_pico <= MONTH_PICO

    for world in worlds:
        await world.pass_by(120)
    await twins.reserve(twins.claim())
    left = [await world.store.read(twins.account, [TENANT, *USERS]) for world in worlds]
    assert left[0] == left[1]
