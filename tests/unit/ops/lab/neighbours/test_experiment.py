"""What is compared when an innocent tenant has a neighbour: whose waits, of which windows, beside how much trouble."""

# ruff: noqa: SLF001 - a name is chosen out of sight
# pyright: reportPrivateUsage=false

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from ops.lab.neighbours import disturbances, experiment
from ops.lab.neighbours.disturbances import Disturbance, Neighbour, request_of
from ops.lab.neighbours.experiment import Experiment, ExperimentPlan
from ops.lab.neighbours.victim import Victim, percentile
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from schemas.tenants import Tenant
from schemas.topics import REQUESTS, shard_of
from tests.clock import Clock

pytestmark = pytest.mark.anyio

CALM, NOISY = Tenant(id="calm"), Tenant(id="noisy")
SINK = "sink"
HELD_S = 0.1
"""How long an answer takes beside trouble, and no time without it."""

FLOOD = Disturbance("flood", request_of)


@dataclass
class Platform:
    """Writer, reader and admin client of a platform that answers late while the neighbour's own topic is written to."""

    written: Counter[str] = field(default_factory=Counter[str])
    troubled: bool = False
    waiter: list[tuple[float, bytes]] = field(default_factory=list[tuple[float, bytes]])

    async def send(self, record: ProducerRecord) -> None:
        self.written[record.topic] += 1
        if record.topic == REQUESTS.of(CALM.id):
            identity = dict(record.headers)["ce_id"] or b""
            due = asyncio.get_running_loop().time() + (HELD_S if self.troubled else 0)
            self.waiter.append((due, json.dumps({"request_id": identity.decode()}).encode()))
        else:
            self.troubled = record.topic != SINK

    async def poll(self, _timeout_s: float) -> list[Record]:
        await asyncio.sleep(0.001)
        now = asyncio.get_running_loop().time()
        due = [answer for at, answer in self.waiter if at <= now]
        self.waiter = [(at, answer) for at, answer in self.waiter if at > now]
        return [Record("results", 0, 0, 0, None, answer, ()) for answer in due]

    async def high_watermarks(self, places: list[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(places, 0)

    async def committed(self, _group: str, places: list[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(places, 0)


class Ticking(Clock):
    """A hundredth of a second goes by whenever somebody looks."""

    def monotonic(self) -> float:
        self.at += 10
        return super().monotonic()


async def test_waits_beside_trouble_and_without_are_told_apart_and_are_what_they_were() -> None:
    """In a quiet window as much is written, and none of it to the platform."""
    platform, windows = Platform(), list[tuple[bool, int, int, list[float]]]()
    fake: Any = platform
    clock = SystemClock()
    victim, neighbour = Victim(CALM, fake, fake, clock, 40.0), Neighbour(NOISY, FLOOD, fake, clock, 100.0)

    def told(quiet: bool, waits: list[float]) -> None:  # noqa: FBT001 - see Told
        windows.append((quiet, platform.written[SINK], platform.written[REQUESTS.of(NOISY.id)], waits))
        platform.written.clear()

    found = await Experiment(fake, victim, neighbour, SINK).compare(ExperimentPlan(rounds=2, seconds=0.2), told)

    assert [quiet for quiet, _, _, _ in windows] == [True, False, True, False]
    assert all(bool(noise) != quiet for quiet, _, noise, _ in windows)
    assert all(aside for quiet, aside, _, _ in windows if quiet)
    assert len(found.alone) == len(found.disturbed) == 2 * round(0.2 * 40)
    assert found.alone == [wait for quiet, _, _, waits in windows if quiet for wait in waits]
    assert percentile(found.disturbed, 0.5) >= HELD_S > min(found.alone)


async def test_a_neighbour_sends_as_much_as_it_is_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times its share is nothing if it falls behind."""
    monkeypatch.setattr(disturbances, "STEP_S", 0.0)
    fake: Any = (platform := Platform())

    await Neighbour(NOISY, FLOOD, fake, Ticking(), 250.0).bother(1.0)

    assert 245 <= platform.written[REQUESTS.of(NOISY.id)] <= 251


def test_both_tenants_have_their_doors_on_one_shard() -> None:
    """Elsewhere they would share neither a transaction nor a partition."""
    assert shard_of(experiment._beside(NOISY.id, "calm", 8), 8) == shard_of(NOISY.id, 8)
