"""The reservation of one model call in its stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from consumers.agent.budget.port import BudgetStore, Charge, Claim, Granted, SoftLimit
from consumers.agent.budget.store_state import StoreState
from consumers.agent.models.port import ModelUsage
from schemas.errors import BudgetUnavailableError


class Grant(NamedTuple):
    """A reservation, and the store that has it: Valkey, or this process while Valkey is away."""

    store: BudgetStore
    granted: Granted


def charge_of(usage: ModelUsage | None) -> Charge:
    """Return the charge of a call. The tokens of input and output count alike."""
    return Charge() if usage is None else Charge(usage.input_tokens + usage.output_tokens, usage.cost_pico)


def unanswered(claim: Claim) -> Granted:
    """Return the reservation that a claim may have got without its answer, in order to release it."""
    return Granted(claim.account, claim.call, claim.owner, date.min, 0, 0, limits=claim.limits)


@dataclass(frozen=True, slots=True)
class ReservedCall:
    """The tokens and the money that are set aside for one call, in the tenant's account and in that of the platform."""

    grants: tuple[Grant, ...]
    state: StoreState
    reached: Callable[[str, tuple[SoftLimit, ...]], None]
    """Called with the account and the soft limits that a settlement has reached."""

    @property
    def day(self) -> date:
        """The day of UTC for which the call counts: that of the reservation, by the clock of the store."""
        return self.grants[0].granted.day

    @property
    def generation(self) -> str:
        """The state of the tenant's counts that has the call; empty if they do not count days or months."""
        return self.grants[0].granted.generation

    async def called(self) -> None:
        """State that the call is about to be sent. Raise BudgetUnavailableError if it must not be sent."""
        for store, granted in self.grants:
            if not await store.called(granted):
                raise BudgetUnavailableError(detail="the reservation has ended before the call was sent")

    async def settle(self, usage: ModelUsage | None) -> None:
        """Replace the reservation by the usage. A store that is away is told later."""
        for grant in self.grants:
            await self._settle(grant, charge_of(usage))

    async def _settle(self, grant: Grant, charge: Charge) -> None:
        store, granted = grant
        settled = False
        try:
            self.reached(granted.account, await store.settle(granted, charge))
            settled = True
        except BudgetUnavailableError as error:
            self.state.failed(error)
        finally:
            if not settled:  # also if the run is cancelled meanwhile
                self.state.settle_later(granted, charge)
