"""What a worker does for a store that is away: it keeps settlements, and states reasons."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import date

import pytest

from consumers.agent.budget import store_state
from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.port import TENANT, CallLimits, Charge, Granted, SoftLimit
from consumers.agent.budget.store_state import StoreState
from ops.background import background
from schemas.clock import SystemClock
from schemas.errors import BudgetUnavailableError

pytestmark = pytest.mark.anyio


@dataclass
class AwayStore(MemoryBudgetStore):
    """A store that is away as long as it is told to be."""

    away: bool = True
    settled: list[Charge] = field(default_factory=list)

    async def settle(self, granted: Granted, charge: Charge) -> tuple[SoftLimit, ...]:
        if self.away:
            raise BudgetUnavailableError(detail="away")
        self.settled.append(charge)
        return ()

    async def needs_load(self, account: str) -> bool:
        if self.away:
            raise BudgetUnavailableError(detail="away")
        return not account.startswith(("loaded", "_"))


def granted(call: str) -> Granted:
    """Return a reservation."""
    return Granted("acme", call, "o", date(2026, 12, 1), 1, 1, limits=(CallLimits(TENANT),))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again at once."""
    monkeypatch.setattr(store_state, "LOOK_S", 0.001)


async def until_empty(state: StoreState) -> None:
    """Wait until the state has no reason left."""
    async with asyncio.timeout(10):
        while state.reasons():  # noqa: ASYNC110 - the state has no event
            await asyncio.sleep(0.001)


async def test_settlements_are_sent_when_the_store_is_back() -> None:
    """The first charge of a reservation counts: a later one is a repeat."""
    store = AwayStore(SystemClock())
    state = StoreState(store)
    state.failed(BudgetUnavailableError(detail="away"))
    for charge in (Charge(1), Charge(2)):
        state.settle_later(granted("a"), charge)
    state.settle_later(granted("b"), Charge(3))
    async with background(state.serve()):
        await asyncio.sleep(0.02)
        assert store.settled == []
        assert "does not answer" in state.reasons()[0]
        store.away = False
        await until_empty(state)

    assert store.settled == [Charge(1), Charge(3)]


async def test_settlements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that is away for hours fills no memory. The calls of dropped ones are charged in full."""
    monkeypatch.setattr(store_state, "UNSETTLED_LIMIT", 2)
    store = AwayStore(SystemClock(), away=False)
    state = StoreState(store)
    for at in range(4):
        state.settle_later(granted(str(at)), Charge(at + 1))
    async with background(state.serve()):
        async with asyncio.timeout(10):
            while len(store.settled) < 2:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.001)

    assert store.settled == [Charge(3), Charge(4)]


async def test_an_account_that_is_not_loaded_is_a_reason_until_it_is() -> None:
    """The ledger's loader is told with each call that finds it so."""
    told: list[str] = []
    store = AwayStore(SystemClock(), away=False)
    state = StoreState(store, told.append)
    for _ in range(2):
        state.needs_load("loaded-since")
    assert state.reasons() == ["the budgets of 1 tenants are not loaded from the ledger yet"]
    async with background(state.serve()):
        await until_empty(state)

    assert told == ["loaded-since"] * 2
