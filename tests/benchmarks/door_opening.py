"""How long a door takes to open: ``python -m tests.benchmarks.door_opening``, against an embedded Kafka of its own.

The reference, interleaved in the same run, is a bare read of the same log with nothing made of it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import uvloop

from consumers.auth.rates import MINUTE_MS
from ops.embedded.folders import user_cache
from ops.embedded.kafka import embedded_kafka
from ops.tuning import tune
from producers.inbox import inbox_record
from schemas.clock import SystemClock
from schemas.inbox import Identity, Ticket, request_key
from schemas.records import Outgoing, Partition
from schemas.topics import INBOX
from streams.doors import Doors
from streams.tracing import follow
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

PLACE = Partition(INBOX.name, 0)
BATCH = 500
SESSIONS = 5_000


def request(number: int) -> list[Outgoing]:
    """What a request leaves in the inbox: that it went in, and that it is over."""
    identity = Identity(tenant="acme", issuer="topic", subject="acme", source="/shop", id=f"order-{number}")
    now_ms = SystemClock().now_ms()
    ticket = Ticket(
        key=request_key(identity),
        body=identity.digest,
        lane=f"session|acme|{number % SESSIONS}",
        request_id=identity.id,
        deadline_ms=now_ms + 300_000,
        agent="support",
        subject="acme",
        # a twentieth of it is of the last minute
        charged_ms=now_ms - (0 if number % 20 == 0 else MINUTE_MS),
    )
    trace = follow(()).headers
    return [
        inbox_record("open", ticket, shards=1, trace=trace, now_ms=now_ms),
        inbox_record("closed", ticket, shards=1, trace=trace, now_ms=now_ms),
    ]


async def write(connection: Connection, entries: int) -> None:
    """A log of *entries*, in transactions as workers write them."""
    async with await Admin.open(connection) as admin:
        await admin.create_topics([NewTopicSpec(INBOX.name, 1, 1)])
    async with await TransactionalWriter.open(connection, "bench", name="bench") as writer:
        for start in range(0, entries // 2, BATCH):
            numbers = range(start, min(start + BATCH, entries // 2))
            await writer.transact([each for number in numbers for each in request(number)])


class Times(NamedTuple):
    """Seconds that one opening took, by the wall and of this process's own time."""

    wall: float
    cpu: float


def since(began: Times) -> Times:
    """What has gone by."""
    return Times(time.perf_counter() - began.wall, time.process_time() - began.cpu)


def now() -> Times:
    """Where both clocks stand."""
    return Times(time.perf_counter(), time.process_time())


async def bare(connection: Connection) -> Times:
    """Read the log."""
    async with await Reader.open(connection, (), name="bench") as reader:
        began = now()
        await reader.add([PLACE])
        async for _ in reader.until(await reader.high_watermarks()):
            pass
        return since(began)


async def opening(connection: Connection) -> Times:
    """Wait until the door is open."""
    async with await Reader.open(connection, (), name="bench") as reader, asyncio.TaskGroup() as group:
        doors = Doors(reader, 1, SystemClock())
        following = group.create_task(doors.follow())
        began = now()
        await doors.remember(0)
        took = since(began)
        following.cancel()
    return took


async def measure(entries: int, rounds: int) -> dict[str, object]:
    """Both, in turn."""
    tune()
    reads, openings = list[Times](), list[Times]()
    with tempfile.TemporaryDirectory() as folder:
        async with embedded_kafka(Path(folder), user_cache(None)) as broker:
            connection = Connection(broker.bootstrap)
            await write(connection, entries)
            for _ in range(rounds):
                reads.append(await bare(connection))
                openings.append(await opening(connection))
    return {
        "entries": entries,
        "opening_s": round(statistics.median(each.wall for each in openings), 3),
        "bare_s": round(statistics.median(each.wall for each in reads), 3),
        "opening_cpu_s": round(cpu := statistics.median(each.cpu for each in openings), 3),
        "bare_cpu_s": round(reference := statistics.median(each.cpu for each in reads), 3),
        "ratio": round(cpu / reference, 2),
    }


def main() -> None:
    """Measure once and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.entries, given.rounds))))


if __name__ == "__main__":
    main()
