"""``headrace bench neighbours``: measure a tenant's waits with and without a disturbing tenant, by turns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, process_time
from typing import Any

from pydantic import SecretStr

from ops.connection import connection_of
from ops.lab.bench.figures import Comparison, Tell
from ops.lab.bench.journey import SHARDS, provisioned, running
from ops.lab.bench.model import SlowModel, slow_model
from ops.lab.bench.platform import alone, brokers
from ops.lab.neighbours.disturbances import Disturbance, disturbances
from ops.lab.neighbours.experiment import ExperimentPlan, WindowComparison, measure
from ops.lab.neighbours.victim import percentile
from ops.settings import Settings
from streams.journey import JourneyName

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
TENANT_GOAL, KEY_GOAL = {"p95": 1.2}, {"p99": 1.1}
"""Goals for the ratio of others' waits: beside a disturbing tenant, and beside a slow key."""

SLOW_S = 60.0
"""Seconds of one run of the slow key."""


@dataclass(frozen=True, slots=True)
class NeighboursPlan:
    """The size of the measurement."""

    window_plan: ExperimentPlan
    kinds: tuple[str, ...] = ()
    """Names of the disturbances to measure; all if empty."""

    journey: JourneyName = "compact"

    def disturbances(self) -> list[Disturbance]:
        """Return the disturbances to measure."""
        every = disturbances(round(self.window_plan.share * 60))
        return [disturbance for disturbance in every if not self.kinds or disturbance.name in self.kinds]


async def run(plan: NeighboursPlan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure on a platform in this process, with a broker and a model in processes of their own."""
    async with brokers(alone(settings), folder / "neighbours") as found:
        return await on(found, plan, tell)


async def on(found: Settings, plan: NeighboursPlan, tell: Tell) -> list[Comparison]:
    """Measure the same on an existing cluster."""
    async with slow_model() as model:
        platform = await provisioned(found, plan.journey)
        changes = {"model_base_url": model.base_url, "model_api_key": SecretStr("none")}
        async with running(found.model_copy(update=changes), platform.stages):
            return [
                row
                for disturbance in plan.disturbances()
                for row in await _measured(found, plan, model, disturbance, tell)
            ]


async def _measured(
    settings: Settings, plan: NeighboursPlan, model: SlowModel, disturbance: Disturbance, tell: Tell
) -> list[Comparison]:
    await model.expect(10_000, SLOW_S)
    meter = Meter(disturbance.name, tell)
    found = await measure(connection_of(settings), settings, disturbance, plan.window_plan, SHARDS, meter.told)
    meter.sum_up()
    return rows(disturbance, found)


@dataclass(slots=True)
class Meter:
    """Report the waits of each window, and the CPU time of this process in percent of the window's time.

    A noisy window lasts until its disturbance is worked off. So its total would count the idle time of a longer window.
    """

    name: str
    tell: Tell
    _at_s: tuple[float, float] | None = None
    """CPU time and time at the end of the last window."""

    _percent: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})

    def told(self, quiet: bool, waits: list[float]) -> None:  # noqa: FBT001 - see Told
        """Report one finished window."""
        now_s = process_time(), monotonic()
        line: dict[str, Any] = {"what": self.name, "neighbour": "quiet" if quiet else "noisy", "count": len(waits)}
        if self._at_s is not None:
            spent_s, lasted_s = now_s[0] - self._at_s[0], now_s[1] - self._at_s[1]
            self._percent[quiet].append(100 * spent_s / lasted_s)
            line |= {"seconds": round(lasted_s, 1), "cpu_percent": round(self._percent[quiet][-1])}
        self._at_s = now_s
        self.tell(line | {name: round(percentile(waits, part) * 1_000, 1) for name, part in QUANTILES.items()})

    def sum_up(self) -> None:
        """Report how much more CPU time a noisy window takes than a quiet one, if both kinds were measured."""
        if all(self._percent.values()):
            more = statistics.mean(self._percent[False]) - statistics.mean(self._percent[True])
            self.tell({"what": self.name, "neighbour": "noisy - quiet", "cpu_percent": round(more)})


def rows(disturbance: Disturbance, found: WindowComparison) -> list[Comparison]:
    """Return the quantiles with and without the disturbance, in milliseconds, each with its goal if it has one."""
    goals = TENANT_GOAL if disturbance.rate is None else KEY_GOAL
    return [
        Comparison(
            f"{disturbance.name}, {name}",
            "quiet",
            "ms",
            (percentile(found.disturbed, part) * 1_000,),
            (percentile(found.alone, part) * 1_000,),
            goals.get(name),
        )
        for name, part in QUANTILES.items()
    ]
