"""Hostile records of one tenant, ten a second, beside a quiet tenant: its waits, the memory, and the processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path

import pytest

from ops.lab.neighbours.victim import Victim, percentile
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.tenants import Tenant
from schemas.topics import CONTROL, REQUESTS
from streams.journey import INGRESS_GROUP
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.journey.hostile_sender import KINDS
from tests.journey.platform import Platform, runs

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("platform", ["compact"], indirect=True),
]

RATE = 10.0
"""Hostile records a second."""

WINDOW_S = float(os.environ.get("HOSTILE_WINDOW_S", "6"))  # noqa: TID251 - a longer run by hand
ROUNDS = 5
ASKED = 10.0
"""Requests a second of the quiet tenant."""

SLACK_S = 0.3
"""What a busy machine adds to a wait now and then; the printed line has the true figures."""

MEMORY_MB = 300
SETTLE_S = 120.0


def resident_mb(pid: int) -> int:
    """The memory of a process, in megabytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


async def window(platform: Platform, victim: Victim, topic: str, kind: str) -> list[float]:
    """The quiet tenant's waits while *kind* is written to *topic*."""
    arguments = ["-m", "tests.journey.hostile_sender", platform.bootstrap, topic, kind, str(RATE), str(WINDOW_S)]
    root = Path(__file__).parents[2]
    sender = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=root, env=platform.env, stdout=asyncio.subprocess.PIPE
    )
    waits = await victim.ask(WINDOW_S)
    out, _ = await asyncio.wait_for(sender.communicate(), 120)
    assert sum(json.loads(out).values()) == int(RATE * WINDOW_S)
    return waits


async def settled(admin: Admin, reader: Reader, topic: str) -> None:
    """Wait until the hostile records have their outcome, so that windows do not overlap."""
    places = [Partition(topic, 0)]
    async with asyncio.timeout(SETTLE_S):
        ends = await reader.high_watermarks(places)
        while await admin.committed(INGRESS_GROUP, places) != ends:  # noqa: ASYNC110 - Kafka sends no event
            await asyncio.sleep(0.2)


async def compared(platform: Platform, kind: str) -> tuple[list[float], list[float]]:
    """Waits without and with the hostile records, by turns; without them they go to a topic that no stage reads."""
    connection, calm = Connection(platform.bootstrap), Tenant(id="globex")
    edge = CONTROL if kind == "long cancels" else REQUESTS
    sink = edge.of(f"sink-{kind.replace(' ', '-')}")
    quiet, noisy = list[float](), list[float]()
    async with (
        await Admin.open(connection) as admin,
        await Writer.open(connection) as writer,
        await Reader.open(connection, Victim.places(calm), "latest") as reader,
    ):
        await admin.create_topics([NewTopicSpec(sink, 1)])
        numbers = itertools.count(uuid.uuid4().int >> 80)  # another test may have used an id of this platform
        victim = Victim(calm, writer, reader, SystemClock(), ASKED, _numbers=numbers)
        for _ in range(ROUNDS):
            quiet += await window(platform, victim, sink, kind)
            noisy += await window(platform, victim, edge.of("hostile"), kind)
            await settled(admin, reader, edge.of("hostile"))
    return quiet, noisy


def alive(pids: Mapping[str, int]) -> list[str]:
    """Those that still run."""
    return [name for name, pid in pids.items() if runs(pid)]


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_records_delay_nobody_grow_nothing_and_end_no_process(platform: Platform, kind: str) -> None:
    """I12 and I13, for what one tenant can send at little cost to itself."""
    added = platform.cli("tenants", "add", "hostile", "--interactive", "--rpm", "600")
    assert added.returncode == 0, added.stderr
    pids = platform.pids
    before = {name: resident_mb(pid) for name, pid in pids.items()}

    quiet, noisy = asyncio.run(compared(platform, kind))

    after = {name: resident_mb(pid) for name, pid in pids.items() if runs(pid)}
    grown = {name: size - before[name] for name, size in after.items()}
    line = (
        f"{kind}: p95 {percentile(quiet, 0.95) * 1e3:.0f} -> {percentile(noisy, 0.95) * 1e3:.0f} ms, memory {grown} MB"
    )
    print(line)  # noqa: T201 - the figure, with -s
    assert alive(pids) == list(pids), line
    assert percentile(noisy, 0.95) <= 1.2 * percentile(quiet, 0.95) + SLACK_S, line
    assert all(size <= MEMORY_MB for name, size in grown.items() if name != "kafka"), line
