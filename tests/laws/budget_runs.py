"""Runs of agents whose model calls are counted in a budget store, against the scripted model over HTTP."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from consumers.agent.agents import agent
from consumers.agent.budget.claims import Claims
from consumers.agent.budget.local_share import LocalShare, no_share
from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.model_budget import CountedBudget
from consumers.agent.budget.port import BudgetStore
from consumers.agent.budget.store_state import StoreState
from consumers.agent.executor import Executor
from consumers.agent.models.openai_model import OpenAISettings, thin_model
from consumers.agent.models.prices import ModelPrice, Prices, PriceTable, priced
from consumers.agent.registry import AgentRegistry
from consumers.agent.run import Run
from consumers.agent.services import AgentServices
from consumers.context import StepContext
from consumers.meter import BudgetDecided, Measurement
from consumers.resilience.retry import Retry
from ops.background import background
from ops.embedded.scripted import MODEL, ScriptedModel
from schemas.clock import SystemClock
from schemas.errors import HeadraceError, resolve_error
from schemas.requests import Request
from schemas.tenants import Tenant
from tests.unit.consumers.agent.fakes import screened_of

CLOCK = SystemClock()
PRICE = ModelPrice(name=MODEL, input=Decimal(1), output=Decimal(2))
MOST_OUTPUT = 30
"""The maximum of output that the agent ``capped`` states."""


@agent("capped")
async def capped(text: str, run: Run) -> str:
    """Ask with a maximum of output."""
    return (await run.ask(text, max_output_tokens=MOST_OUTPUT)).text


@agent("uncapped")
async def uncapped(text: str, run: Run) -> str:
    """Ask without a maximum."""
    return (await run.ask(text)).text


AGENTS = AgentRegistry([capped, uncapped])


@dataclass
class BudgetMeter:
    """Keeps what budgets have decided."""

    decided: list[BudgetDecided] = field(default_factory=list)

    def record(self, measurement: Measurement) -> None:
        if isinstance(measurement, BudgetDecided):
            self.decided.append(measurement)


@dataclass
class BudgetWorker:
    """A worker without Kafka: its runs, and what became of them."""

    execute: Executor
    state: StoreState
    meter: BudgetMeter = field(default_factory=BudgetMeter)
    outcomes: Counter[str] = field(default_factory=Counter)
    """By ``ok`` or the error's code."""

    errors: list[HeadraceError] = field(default_factory=list)

    async def run(self, tenant: Tenant, name: str, *, subject: str = "ann", left: float = 30.0) -> str:
        """Run the agent once, and return ``ok`` or the code of its error."""
        deadline_ms = CLOCK.now_ms() + int(left * 1_000)
        screened = screened_of(Request(agent=name, input="hello"))
        authorized = screened.authorized
        admission = authorized.admission.model_copy(update={"deadline_ms": deadline_ms})
        identity = authorized.identity.model_copy(update={"tenant": tenant.id, "subject": subject})
        changed = {"admission": admission, "identity": identity, "run_id": uuid.uuid4().hex}
        context = StepContext(tenant=tenant, clock=CLOCK, meter=self.meter)
        try:
            await self.execute(
                screened.model_copy(update={"authorized": authorized.model_copy(update=changed)}), context
            )
        except Exception as raised:  # noqa: BLE001 - the outcome is what a test asks for
            error = resolve_error(raised)
            self.errors.append(error)
            self.outcomes[error.code] += 1
            return error.code
        self.outcomes["ok"] += 1
        return "ok"

    async def run_many(self, tenant: Tenant, name: str, number: int) -> None:
        """Run the agent many times at once."""
        async with asyncio.TaskGroup() as tasks:
            for at in range(number):
                tasks.create_task(self.run(tenant, name, subject=f"user-{at % 5}"))


@asynccontextmanager
async def budget_worker(
    store: BudgetStore, server: ScriptedModel, *, models: Mapping[str, int] | None = None, share: float = 0.0
) -> AsyncGenerator[BudgetWorker]:
    """Open a worker that counts in *store*."""
    prices = Prices(PriceTable(models=(PRICE,)))
    state = StoreState(store)
    claims = Claims(replace(Claims().size, price_of=prices.price_of), models or {})
    local = LocalShare(MemoryBudgetStore(CLOCK), (lambda: share) if share else no_share)
    async with (
        thin_model(OpenAISettings(base_url=server.base_url, name=MODEL), CLOCK) as model,
        background(state.serve()),
    ):
        services = AgentServices(
            agents=AGENTS,
            models={"default": priced(model, MODEL, prices)},
            retry=Retry(wait_first=0.0),
            budget=CountedBudget(claims, store, state, local),
        )
        yield BudgetWorker(Executor(services), state)
