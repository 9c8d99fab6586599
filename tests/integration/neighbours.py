"""Innocent records beside poisonous ones: what each of them waits, seen from outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from schemas.errors import HeadraceError
from schemas.records import ProducerRecord, Record
from streams.handler import Job, Outputs, StageHandler
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.engine_setup import EngineSetup, eventually

INNOCENT = b"innocent"
LEAST = 8
"""Innocents that have to come, however slow the machine, for anything to be said of them."""

GENEROUS_S = 2.0
"""What an innocent may wait on a busy machine; an otherwise idle one answers in a fifth of that."""


@dataclass
class Neighbours:
    """A poisonous record and innocent ones share a shard; each innocent is timed from outside."""

    setup: EngineSetup
    answer: Callable[[Record], Outputs]
    waits: list[float] = field(default_factory=list[float])
    lost: str = ""
    """Where the letter of what cannot be written goes; by default to a topic that does not exist."""

    partition: int = 0
    """Where innocents come in."""

    visits: int = 0
    seen: list[Record] = field(default_factory=list[Record])

    def handler(self) -> StageHandler:
        """Innocents are echoed, the others get what the test says; instead of the unwritable there is a letter."""

        def run(record: Record) -> Outputs:
            self.setup.runs[record.value or b""] += 1
            if record.key == INNOCENT:
                return [ProducerRecord(self.setup.output, record.key, record.value)]
            return self.answer(record)

        def job(_: int, record: Record) -> Job:
            def fallback(outputs: Outputs, error: HeadraceError) -> Outputs:
                return [
                    ProducerRecord(self.setup.output, b"failed", record.value),
                    ProducerRecord(self.lost or f"gone-{self.setup.tag}", b"nobody", error.code.encode()),
                ]

            return Job(record.position, lambda: run(record), fallback)

        return replace(self.setup.handler(_never), prepare=job)

    async def visit(self, writer: Writer, reader: Reader, seconds: float) -> None:
        """Innocents come one after another for a while, and each waits for its answer; some come in any case."""
        end, enough = time.monotonic() + seconds, self.visits + LEAST
        while time.monotonic() < end or self.visits < enough:
            self.visits += 1
            value, began = b"%d" % self.visits, time.monotonic()
            await writer.send(ProducerRecord(self.setup.source, INNOCENT, value, partition=self.partition))
            async with asyncio.timeout(20):
                while not any(r.key == INNOCENT and r.value == value for r in self.seen):
                    self.seen += await reader.poll(0.02)
            self.waits.append(time.monotonic() - began)
            await asyncio.sleep(0.02)

    def answers(self, key: bytes) -> list[bytes | None]:
        """What has become visible under *key*."""
        return [record.value for record in self.seen if record.key == key]


async def _never(_: Record) -> None:
    raise AssertionError


async def suffer(
    setup: EngineSetup,
    answer: Callable[[Record], Outputs],
    poisons: int = 6,
    seconds: float = 3.0,
) -> Neighbours:
    """Poisons among innocents of the same partition, until all are committed."""
    neighbours = Neighbours(setup, answer)
    await setup.provision()
    async with (
        setup.worker(neighbours.handler()) as worker,
        await Writer.open(setup.connection) as writer,
        await Reader.open(setup.connection, setup.output) as reader,
    ):
        await eventually(lambda: worker.ready)
        await neighbours.visit(writer, reader, 0.3)
        neighbours.waits.clear()
        for number in range(poisons):
            await writer.send(ProducerRecord(setup.source, b"poison", b"poison-%d" % number, partition=0))
        await neighbours.visit(writer, reader, seconds)
        await setup.committed_to_the_end()
        neighbours.seen += await reader.poll(0.3)
        assert worker.fatal is None
    assert set(setup.runs.values()) == {1}
    return neighbours


def on_time(neighbours: Neighbours) -> None:
    """All but one in a hundred innocents were answered on time."""
    waits = sorted(neighbours.waits)
    assert len(waits) >= LEAST
    assert waits[int(len(waits) * 0.99) - 1] < GENEROUS_S


def named(count: int) -> list[bytes]:
    """The values of that many poisons."""
    return [b"poison-%d" % number for number in range(count)]
