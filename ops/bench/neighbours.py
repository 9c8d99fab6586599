"""``headrace bench neighbours``: what a tenant waits beside one that makes trouble, and without it, by turns."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from time import process_time
from typing import Any

from pydantic import SecretStr

from ops.bench.figures import Comparison, Tell
from ops.bench.ground import alone, brokers
from ops.bench.journey import SHARDS, provisioned, running
from ops.bench.model import SlowModel, slow_model
from ops.connection import connection_of
from ops.neighbours.innocent import percentile
from ops.neighbours.scene import Compared, Pace, measure
from ops.neighbours.troubles import Trouble, troubles
from ops.settings import Settings
from streams.journey import JourneyName

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
TENANT_GOAL, KEY_GOAL = {"p95": 1.2}, {"p99": 1.1}
"""By how much the waits of others may be longer: beside a tenant that makes trouble, and beside a key that is slow."""

SLOW_S = 60.0
"""Of a run of the slow key."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    pace: Pace
    kinds: tuple[str, ...] = ()
    """All, if none is named."""

    journey: JourneyName = "compact"

    def troubles(self) -> list[Trouble]:
        """Those that are measured."""
        every = troubles(round(self.pace.share * 60))
        return [trouble for trouble in every if not self.kinds or trouble.name in self.kinds]


async def run(plan: Plan, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """A platform in this process, and a broker and a model in their own."""
    async with brokers(alone(settings), folder / "neighbours") as found:
        return await on(found, plan, tell)


async def on(found: Settings, plan: Plan, tell: Tell) -> list[Comparison]:
    """The same on a cluster that is there."""
    async with slow_model() as model:
        platform = await provisioned(found, plan.journey)
        changes = {"model_base_url": model.base_url, "model_api_key": SecretStr("none")}
        async with running(found.model_copy(update=changes), platform.stages):
            return [row for trouble in plan.troubles() for row in await _measured(found, plan, model, trouble, tell)]


async def _measured(settings: Settings, plan: Plan, model: SlowModel, trouble: Trouble, tell: Tell) -> list[Comparison]:
    await model.expect(10_000, SLOW_S)
    meter = Meter(trouble.name, tell)
    found = await measure(connection_of(settings), settings, trouble, plan.pace, SHARDS, meter.told)
    meter.sum_up()
    return rows(trouble, found)


@dataclass(slots=True)
class Meter:
    """Says what each window showed, and adds up what this process needed for it."""

    name: str
    tell: Tell
    _at_s: float | None = None
    _spent_s: dict[bool, list[float]] | None = None

    def told(self, quiet: bool, waits: list[float]) -> None:  # noqa: FBT001 - see Told
        """A window is over."""
        now_s, self._spent_s = process_time(), self._spent_s or {True: [], False: []}
        line: dict[str, Any] = {"what": self.name, "neighbour": "quiet" if quiet else "noisy", "count": len(waits)}
        if self._at_s is not None:
            self._spent_s[quiet].append(now_s - self._at_s)
            line["cpu_ms"] = round(self._spent_s[quiet][-1] * 1_000)
        self._at_s = now_s
        self.tell(line | {name: round(percentile(waits, part) * 1_000, 1) for name, part in QUANTILES.items()})

    def sum_up(self) -> None:
        """Say by how much CPU a noisy window costs more than a quiet one, if enough of them were measured."""
        spent = self._spent_s or {}
        if all(spent.get(quiet) for quiet in (True, False)):
            more_s = statistics.mean(spent[False]) - statistics.mean(spent[True])
            self.tell({"what": self.name, "neighbour": "noisy - quiet", "cpu_ms": round(more_s * 1_000)})


def rows(trouble: Trouble, found: Compared) -> list[Comparison]:
    """Its quantiles, with and without trouble, in milliseconds; those that have a goal say so."""
    goals = TENANT_GOAL if trouble.rate is None else KEY_GOAL
    return [
        Comparison(
            f"{trouble.name}, {name}",
            "quiet",
            "ms",
            (percentile(found.beside, part) * 1_000,),
            (percentile(found.alone, part) * 1_000,),
            goals.get(name),
        )
        for name, part in QUANTILES.items()
    ]
