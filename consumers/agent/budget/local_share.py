"""The share of a rate that one worker grants by itself while the store does not answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from consumers.agent.budget.memory import MemoryBudgetStore
from consumers.agent.budget.port import Answer, BudgetSpent, Claim
from schemas.errors import BudgetUnavailableError


def no_share() -> float:
    """Return 0: a process that does not know its shards grants nothing by itself."""
    return 0.0


@dataclass(frozen=True, slots=True)
class LocalShare:
    """Grants tokens a minute in the proportion of the shards that this worker owns. The shares of all workers are 1."""

    store: MemoryBudgetStore
    share: Callable[[], float] = no_share

    async def reserve(self, claim: Claim) -> Answer:
        """Reserve from the worker's own buckets. Raise BudgetUnavailableError if its share is too small for the call.

        The limits of the claim are those of a minute only.
        """
        share = self.share()
        limits = tuple(each._replace(minute_tokens=_part(each.minute_tokens, share)) for each in claim.limits)
        if any(each.minute_tokens == 0 for each in limits):
            raise BudgetUnavailableError(detail="the store does not answer, and this worker has no share of the rate")
        answer = await self.store.reserve(replace(claim, limits=limits))
        if isinstance(answer, BudgetSpent):
            raise BudgetUnavailableError(detail="the store does not answer, and the call is above this worker's share")
        return answer


def _part(limit: int | None, share: float) -> int | None:
    return None if limit is None else int(limit * share)
