"""``headrace bench tenants``: what a thousand tenants cost against one, and how long it takes to be there for them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ops.bench import doors
from ops.bench.figures import Comparison, Rounds, Tell
from ops.bench.ground import alone, brokers
from ops.bench.journey import cost_us, provisioned, running
from ops.settings import Settings

COST_GOAL, START_GOAL = 1.2, 1.2
SECOND = "a second"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    tenants: int = 1_000
    requests: int = 2_000
    entries: int = 100_000
    """Of the inbox whose door is opened."""

    rounds: int = 3


async def run(plan: Plan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """The compact journey of many tenants, and of one on another cluster; then the door, on a third."""
    own = alone(settings)
    async with brokers(own, folder / "many") as many, brokers(own, folder / "one") as one:
        compared = await on(many, one, plan, tell)
    return [*compared, *await doors.run(plan.entries, plan.rounds, own, folder / "doors", tell)]


async def on(crowded: Settings, lonely: Settings, plan: Plan, tell: Tell) -> list[Comparison]:
    """Costs and starts, on clusters that are there."""
    many, one = f"{plan.tenants} tenants", "one tenant"
    costs, starts = Rounds(plan.rounds, tell), Rounds(plan.rounds, tell, "s")
    all_, single = await provisioned(crowded, "compact", plan.tenants), await provisioned(lonely, "compact", 1)
    await costs.measure(
        {
            one: partial(cost_us, single, lonely, plan.requests),
            many: partial(cost_us, all_, crowded, plan.requests),
        }
    )
    await starts.measure({f"start, {one}": partial(_start_s, lonely), f"start, {many}": partial(_start_s, crowded)})
    for _ in range(plan.rounds):
        starts.add(SECOND, 1.0)
    return [
        costs.compare(many, one, COST_GOAL),
        starts.compare(f"start, {many}", SECOND, START_GOAL),
        starts.compare(f"start, {many}", f"start, {one}"),
    ]


async def _start_s(settings: Settings) -> float:
    """Seconds until an entry stage of that cluster is ready: registry read, shards and doors open."""
    async with running(settings, ("admission",)) as (admission,):
        return admission.ready_s or 0.0
