"""The seam at which a model call waits for its reservation, or is refused."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import structlog

from consumers.agent.budget.claims import Claims
from consumers.agent.budget.local_share import LocalShare
from consumers.agent.budget.port import (
    Answer,
    BudgetSpent,
    BudgetStore,
    Charge,
    Claim,
    Granted,
    MustWait,
    SoftLimit,
    Unloaded,
)
from consumers.agent.budget.refusal import exhausted, waited
from consumers.agent.budget.reserved_call import Grant, ReservedCall, unanswered
from consumers.agent.budget.store_state import StoreState
from consumers.agent.models.port import ModelRequest
from consumers.agent.seams import Reservation, StepScope, unreserved
from consumers.meter import BudgetDecided, BudgetOutcome
from schemas.errors import BudgetUnavailableError

FRESH_S = 10.0
"""Seconds for which a reservation is kept while its run waits for a slot. An older one is made again."""

LOAD_LOOKS, LOAD_LOOK_S = 50, 0.1
"""Looks at an account that is being loaded, and the seconds between them. Then the request is tried again later."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class CountedBudget:
    """Reserves each model call of a tenant with limits, and of a model with a limit for the whole platform."""

    claims: Claims
    store: BudgetStore
    state: StoreState
    local: LocalShare
    chance: Callable[[], float] = field(default=random.random)
    """Returns random numbers, uniform in [0, 1)."""

    async def __call__(self, request: ModelRequest, model: str, scope: StepScope, call: str) -> Reservation:
        """Reserve the call, and wait for it without a run slot, for at most the tenant's ``max_wait``.

        Raises BudgetExhaustedError, RateLimitedError, BudgetUnavailableError.
        """
        claims = self.claims.of(request, model, scope, call)
        if not claims:
            return unreserved(scope)
        reserving = _Reserving(self, scope, claims)
        return ReservedCall(await reserving.granted(), self.state, reserving.reached)


@dataclass(slots=True)
class _Reserving:
    """The reservation of one call, from the first question to the last."""

    budget: CountedBudget
    scope: StepScope
    claims: list[Claim]

    async def granted(self) -> tuple[Grant, ...]:
        """Return the grants of all claims."""
        began = self.scope.context.clock.monotonic()
        found = await self._ask()
        while isinstance(found, MustWait):
            found = await self._after(found, began)
        return found

    async def _after(self, wait: MustWait, began: float) -> MustWait | tuple[Grant, ...]:
        """Return the grants after a wait without a run slot. They are asked for again if the slot has come late."""
        clock = self.scope.context.clock
        found: tuple[Grant, ...] = ()
        kept, fresh_until = False, 0.0
        try:
            async with self.scope.context.waiting():
                found = await self._wait(wait, began)
                fresh_until = clock.monotonic() + FRESH_S
            kept = True
        finally:
            if not kept:
                await self._release(found)
        return found if clock.monotonic() <= fresh_until else await self._ask()

    async def _wait(self, wait: MustWait, began: float) -> tuple[Grant, ...]:
        clock, longest = self.scope.context.clock, self.scope.run.tenant.limits.max_wait
        found: MustWait | tuple[Grant, ...] = wait
        while isinstance(found, MustWait):
            left = began + longest - clock.monotonic()
            if left <= 0:
                self._note("rate_limited", str(found.limit))
                raise waited(found, longest)
            await asyncio.sleep(min(left, found.seconds * (1 + self.budget.chance() / 4)))
            found = await self._ask()
        self._note("waited", str(wait.limit))
        return found

    async def _ask(self) -> MustWait | tuple[Grant, ...]:
        """Return the grants of all claims, or the first wait after the release of those before it."""
        grants: list[Grant] = []
        done = False
        try:
            for at, claim in enumerate(self.claims):
                answer = await self._answer(claim, grants)
                if isinstance(answer, MustWait):
                    self.claims[at] = replace(claim, ticket=answer.ticket)
                    return answer
            done = True
            return tuple(grants)
        finally:
            if not done:
                await self._release(grants)

    async def _answer(self, claim: Claim, grants: list[Grant]) -> MustWait | None:
        store, answer = await self._reserved(claim)
        if isinstance(answer, Unloaded) and await self._loads(claim.account):
            store, answer = await self._reserved(claim)
        match answer:
            case Granted():
                grants.append(Grant(store, answer))
                self.reached(answer.account, answer.alerts)
                return None
            case MustWait():
                return answer
            case BudgetSpent():
                self.reached(claim.account, answer.alerts)
                self._note("exhausted", str(answer.limit))
                raise exhausted(answer)
            case _:
                self._note("unavailable", "ledger")
                raise BudgetUnavailableError("the budget is being counted anew: the call may be tried again")

    async def _loads(self, account: str) -> bool:
        """Ask for the account to be loaded. Return True if that is done soon; the run waits without its slot."""
        self.budget.state.needs_load(account)
        async with self.scope.context.waiting():
            for _ in range(LOAD_LOOKS):
                await asyncio.sleep(LOAD_LOOK_S)
                if not await self.budget.store.needs_load(account):
                    return True
        return False

    async def _reserved(self, asked: Claim) -> tuple[BudgetStore, Answer]:
        """Return the answer of the store. Rates alone are granted by this worker while the store is away."""
        budget, claim, cancelled = self.budget, replace(asked, owner=secrets.token_hex(8)), True
        try:
            answer = await budget.store.reserve(claim)
            cancelled = False
        except BudgetUnavailableError as error:
            cancelled = False  # what was reserved without an answer is free again after a while
            budget.state.failed(error)
            self._note("unavailable", "store")
            if any(each.periodic for each in claim.limits):
                raise
            return budget.local.store, await budget.local.reserve(claim)
        finally:
            if cancelled:
                budget.state.settle_later(unanswered(claim), Charge())
        budget.state.answered()
        return budget.store, answer

    async def _release(self, grants: Iterable[Grant]) -> None:
        for store, granted in grants:
            if store is self.budget.store:
                self.budget.state.settle_later(granted, Charge())
            else:
                await store.settle(granted, Charge())

    def reached(self, account: str, alerts: tuple[SoftLimit, ...]) -> None:
        """Report the soft limits that were reached."""
        log_soft_limits(account, alerts)
        for alert in alerts:
            self._note("soft_limit", str(alert.limit))

    def _note(self, outcome: BudgetOutcome, limit: str) -> None:
        tenant = self.scope.run.tenant.id
        self.scope.context.meter.record(BudgetDecided(tenant=tenant, outcome=outcome, limit=limit))


def log_soft_limits(account: str, alerts: tuple[SoftLimit, ...]) -> None:
    """Log the soft limits that were reached, so that an operator can act before calls are refused."""
    for alert in alerts:
        log.warning("budget_soft_limit", tenant=account, limit=str(alert.limit), spender=alert.spender.name)
