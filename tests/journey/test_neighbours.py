"""An innocent tenant beside one that makes trouble, on a whole platform: what the one waits for the other (I13)."""

from __future__ import annotations

import asyncio

import pytest

from ops import registry_writer
from ops.lab.neighbours.disturbances import disturbances
from ops.lab.neighbours.experiment import ExperimentPlan, WindowComparison, measure
from ops.lab.neighbours.victim import percentile
from ops.settings import Settings
from streams.transport.connection import Connection
from tests.journey.platform import Platform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("platform", ["compact"], indirect=True),
]

PACE = ExperimentPlan(rounds=2)
SLACK_S = 0.5
"""What a busy machine adds now and then; ``WindowComparison.line`` says what it really was."""


TRIES = 2
"""What others do to this machine seldom happens in both; what the platform does, does."""


async def compared(platform: Platform, kind: str) -> WindowComparison:
    """Of one trouble, by its name."""
    connection = Connection(platform.bootstrap)
    layout = (await registry_writer.load(connection)).layout
    assert layout is not None
    disturbance = next(each for each in disturbances(round(PACE.share * 60)) if each.name == kind)
    settings = Settings(kafka_bootstrap=platform.bootstrap)
    return await measure(connection, settings, disturbance, PACE, layout.shards)


def assert_undelayed(platform: Platform, kind: str, part: float) -> None:
    """A *part* of the innocent's requests waits hardly longer beside the trouble than without it."""
    lines = list[str]()
    for _ in range(TRIES):
        found = asyncio.run(compared(platform, kind))
        assert len(found.alone) == len(found.disturbed) == round(PACE.rounds * PACE.seconds * PACE.rate)
        if percentile(found.disturbed, part) < 2 * percentile(found.alone, part) + SLACK_S:
            return
        lines.append(found.line())
    pytest.fail("; ".join(lines))


@pytest.mark.parametrize("kind", ["flood", "garbage", "cancels", "unwritable", "long texts"])
def test_f12_a_tenant_that_sends_a_hundred_times_its_share_delays_nobody_much(platform: Platform, kind: str) -> None:
    """Neither with requests nor with what nobody can read, take back or write."""
    assert_undelayed(platform, kind, 0.95)


def test_f10_a_key_whose_runs_take_a_minute_delays_nobody_else(platform: Platform) -> None:
    """Its lane is its own: neither its run nor what waits behind it stands in anybody's way."""
    before = platform.model.calls()["number"]
    platform.model.script({"text": "late", "delay": 60.0, "times": 1_000})
    try:
        assert_undelayed(platform, "slow key", 0.99)
    finally:
        platform.model.clear()

    assert platform.model.calls()["number"] > before
