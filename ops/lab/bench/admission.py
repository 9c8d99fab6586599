"""Measure how long an admission controller takes to open, against a bare read of the same log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from consumers.admission.rates import MINUTE_MS
from ops.background import background
from ops.connection import connection_of
from ops.lab.bench.figures import Comparison, Rounds, Tell
from ops.lab.bench.platform import brokers, filled
from ops.settings import Settings
from producers.admissions import admission_record
from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord
from schemas.topics import ADMISSIONS
from streams.engine.admission_memory import AdmissionMemory
from streams.telemetry.trace_context import follow
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader

PARTITION = Partition(ADMISSIONS.name, 0)
SESSIONS = 5_000
GOAL_ENTRIES_A_SECOND = 100_000
OPENING, BARE = "opening a controller", "bare read"


async def run(entries: int, rounds: int, settings: Settings, folder: Path, tell: Tell) -> list[Comparison]:
    """Measure openings and bare reads in turn, on a log of *entries* records in a cluster of its own."""
    async with brokers(settings, folder) as found:
        log = AdmissionLog(connection_of(found), entries)
        await log.write()
        return await compared(log, Rounds(rounds, tell, "s"))


async def compared(log: AdmissionLog, rounds: Rounds) -> list[Comparison]:
    """Measure openings and bare reads of an existing log."""
    goal = f"a second for {GOAL_ENTRIES_A_SECOND} entries"
    await rounds.measure({BARE: log.bare_s, OPENING: log.opening_s})
    for _ in range(rounds.count):
        rounds.add(goal, log.entries / GOAL_ENTRIES_A_SECOND)
    return [rounds.compare(OPENING, BARE), rounds.compare(OPENING, goal, 1.0)]


@dataclass(frozen=True, slots=True)
class AdmissionLog:
    """One partition of the admission log."""

    connection: Connection
    entries: int

    async def write(self) -> None:
        """Fill the partition, in transactions as workers write them."""
        async with await Admin.open(self.connection) as admin:
            await admin.create_topics([NewTopicSpec(ADMISSIONS.name, 1, 1)])
        requests = (entry for number in range(self.entries // 2) for entry in _request(number))
        await filled(self.connection, requests, "admissions")

    async def bare_s(self) -> float:
        """Return the seconds that a bare read of the partition takes."""
        async with await Reader.open(self.connection, (), name="headrace-bench") as reader:
            began = time.perf_counter()
            await reader.add([PARTITION])
            async for _ in reader.until(await reader.high_watermarks()):
                pass
            return time.perf_counter() - began

    async def opening_s(self) -> float:
        """Return the seconds until the admission controller is open."""
        async with await Reader.open(self.connection, (), name="headrace-bench") as reader:
            admission = AdmissionMemory(reader, 1, SystemClock())
            async with background(admission.follow()):
                began = time.perf_counter()
                await admission.load_memory(PARTITION.number)
                return time.perf_counter() - began


def _request(number: int) -> Iterator[ProducerRecord]:
    """Yield the two admission records of one request: open and closed."""
    identity = Identity(tenant="acme", issuer="topic", subject="acme", source="/shop", id=f"order-{number}")
    now_ms = SystemClock().now_ms()
    admission = AdmissionKey(
        key=request_key(identity),
        body=identity.digest,
        lane=f"session|acme|{number % SESSIONS}",
        request_id=identity.id,
        deadline_ms=now_ms + 300_000,
        agent="support",
        subject="acme",
        charged_ms=now_ms - (0 if number % 20 == 0 else MINUTE_MS),  # one in twenty is of the last minute
    )
    trace = follow(()).headers
    write = partial(admission_record, admission=admission, shards=1, trace=trace, now_ms=now_ms)
    yield write("open")
    yield write("closed")
