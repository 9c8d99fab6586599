"""A worker that a test kills: it brings reservations to a state, and tells of each. ``URL ACCOUNT STATE NUMBER``."""

from __future__ import annotations

import asyncio
import sys

from consumers.agent.budget.port import TENANT, CallLimits, Charge, Granted
from consumers.agent.budget.valkey import valkey_budgets
from tests.laws.budget_worlds import claim_of

HELD_MS = 400
USED = Charge(60)


async def spend(url: str, account: str, state: str, number: int) -> None:
    """Reserve 100 tokens for each call, and stop at the state: ``held``, ``called`` or ``settled``."""
    async with valkey_budgets(url, held_ms=HELD_MS) as store:
        for at in range(number):
            limits = CallLimits(TENANT, day_tokens=10_000)
            claim = claim_of(account, limits, call=f"{state}-{at}", owner=state, call_ms=HELD_MS)
            granted = await store.reserve(claim)
            assert isinstance(granted, Granted), granted
            if state != "held":
                await store.called(granted)
            if state == "settled":
                await store.settle(granted, USED)
        print("done", flush=True)  # noqa: T201 - the test reads it
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(spend(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
