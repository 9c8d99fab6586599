"""``headrace bench tenants``: measure the cost and the start time of a thousand tenants against one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ops.lab.bench import admission
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.lab.bench.journey import cost_us, provisioned, running
from ops.lab.bench.platform import alone, brokers
from ops.settings import Settings

COST_GOAL, START_GOAL = 1.2, 1.2
SECOND = "a second"


@dataclass(frozen=True, slots=True)
class TenantsPlan:
    """The size of the measurement."""

    tenants: int = 1_000
    requests: int = 2_000
    entries: int = 100_000
    """Records of the admission log that the admission controller reads to open."""

    rounds: int = 3


async def run(plan: TenantsPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure many tenants and one tenant on a cluster each, then the admission controller on a third cluster."""
    own = alone(settings)
    async with brokers(own, folder / "many") as many, brokers(own, folder / "one") as one:
        compared = await on(many, one, plan, tell)
    return [*compared, *await admission.run(plan.entries, plan.rounds, own, folder / "admissions", tell)]


async def on(crowded: Settings, lonely: Settings, plan: TenantsPlan, tell: Tell) -> list[Comparison]:
    """Measure costs and starts on existing clusters."""
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
    """Return the seconds until the ingress stage is ready: registry read, shards and admission controllers open."""
    async with running(settings, ("ingress",)) as (ingress,):
        return ingress.ready_s or 0.0
