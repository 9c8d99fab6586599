"""F23: a worker under steady load and steady trouble stays as large as it is: ``python -m tests.soak MINUTES``.

Prints a line of figures every few seconds, and in the end how much each has grown from the second quarter of the time
to the last; ends with status 1 if one has grown by more than it may.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

from ops.background import background
from ops.embedded.folders import user_cache
from ops.embedded.kafka import embedded_kafka
from schemas.errors import HeadraceError
from schemas.records import ProducerRecord, Record
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.telemetry.metric_definitions import RECORDS, REOPENS, UNWRITABLE
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter
from tests.integration.engine_setup import EngineSetup, engine_setup

LOOK_S = 5.0
BATCH, PAUSE_S = 100, 0.5
"""Records that are sent together, and how long after the batch before."""

TROUBLE_S = 20.0
"""Between two transactions that come to nothing, and so two re-opens of a shard."""

MAY_GROW = {"rss_mb": 12.0, "sockets": 6.0, "tasks": 25.0, "lanes": 150.0, "behind": 500.0}
"""From one median to the other. A leak of 1 KB a record would be 60 MB in five minutes; sockets and tasks come and go
with a re-open, lanes and what is behind with the load of a batch."""


@dataclass
class Soak:
    """One worker, its load, its trouble and what was measured."""

    setup: EngineSetup
    sent: int = 0
    seen: int = 0
    figures: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    def handler(self) -> StageHandler:
        """Each record takes a moment; one in a hundred has an output for which there is no topic."""

        async def run(record: Record) -> Outputs:
            await asyncio.sleep(random.uniform(0, 0.05))
            lost = int(record.value or b"0") % 100 == 0
            return [ProducerRecord(f"gone-{self.setup.tag}" if lost else self.setup.output, record.key, record.value)]

        def job(_: int, record: Record) -> Job:
            def fallback(_outputs: Outputs, _error: HeadraceError) -> Outputs:
                return [ProducerRecord(self.setup.output, record.key, record.value)]

            return Job(record.key, lambda: run(record), fallback)

        async def never(_: Record) -> None:
            raise AssertionError

        return replace(self.setup.handler(never), prepare=job)

    async def send(self) -> None:
        """A batch of new keys, again and again."""
        async with await TransactionalWriter.open(self.setup.connection, f"soak-{self.setup.tag}") as writer:
            while True:
                numbers = range(self.sent, self.sent + BATCH)
                await writer.transact([ProducerRecord(self.setup.source, b"k%d" % n, b"%d" % n) for n in numbers])
                self.sent += BATCH
                await asyncio.sleep(PAUSE_S)

    async def see(self) -> None:
        """Count what becomes visible."""
        async with await Reader.open(self.setup.connection, self.setup.output) as reader:
            while True:
                self.seen += len(await reader.poll(0.2))

    async def trouble(self, worker: Worker) -> None:
        """Now and then a shard opens again."""
        inside: Any = worker
        while True:
            await asyncio.sleep(TROUBLE_S)
            for shard in list(inside._shards.values()):  # noqa: SLF001 - there is no other way to make it doubt
                shard.committer.reopen("soak")

    async def measure(self, worker: Worker, seconds: float) -> None:
        """Look at regular intervals."""
        for _ in range(int(seconds / LOOK_S)):
            await asyncio.sleep(LOOK_S)
            self.figures.append(self._figures(worker))
            print(json.dumps(self.figures[-1]), flush=True)  # noqa: T201 - for who waits

    def _figures(self, worker: Worker) -> dict[str, float]:
        inside: Any = worker
        shards = inside._shards.values()  # noqa: SLF001 - as above
        return {
            "rss_mb": _resident_mb(),
            "sockets": float(sum(1 for _ in _sockets())),
            "tasks": float(len(asyncio.all_tasks())),
            "lanes": float(sum(len(held) for shard in shards for held in shard.lanes.in_flight().values())),
            "behind": float(self.sent - self.seen),
            "records": worker.metrics.total(RECORDS),
            "reopens": worker.metrics.total(REOPENS),
            "unwritable": worker.metrics.total(UNWRITABLE),
        }

    def growth(self) -> dict[str, float]:
        """Of each figure: its median in the last quarter, less that in the second."""
        quarter = len(self.figures) // 4
        early, late = self.figures[quarter : 2 * quarter], self.figures[-quarter:]
        return {name: round(_median(late, name) - _median(early, name), 1) for name in MAY_GROW}


def _median(figures: list[dict[str, float]], name: str) -> float:
    return median(each[name] for each in figures)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)


def _sockets() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the folder's own, closed by now
            target = str(descriptor.readlink())
            if target.startswith("socket:"):
                yield target


async def main(minutes: float) -> int:
    """Run it. The exit status."""
    with tempfile.TemporaryDirectory(prefix="headrace-soak-") as folder:
        cache = user_cache(os.environ.get("XDG_CACHE_HOME"))  # noqa: TID251 - where the machine's user has it
        async with embedded_kafka(Path(folder) / "kafka", cache) as kafka, engine_setup(kafka.bootstrap) as setup:
            soak = Soak(setup)
            await setup.provision()
            async with setup.worker(soak.handler()) as worker, background(soak.send()), background(soak.see()):
                async with background(soak.trouble(worker)):
                    await soak.measure(worker, minutes * 60)
                fatal = worker.fatal
    growth = soak.growth()
    grown = {name: value for name, value in growth.items() if value > MAY_GROW[name]}
    print(json.dumps({"growth": growth, "too_much": grown, "fatal": fatal}))  # noqa: T201 - as above
    return 1 if grown or fatal else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(float(sys.argv[1]))))
