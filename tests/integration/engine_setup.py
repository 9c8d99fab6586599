"""A test's own piece of the broker: topics, group and workers that nobody else uses."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from schemas.clock import SystemClock
from schemas.records import Partition, ProducerRecord, Record
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import Job, Outputs, StageHandler
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

PATIENCE_S = 30.0


async def eventually(fact: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait until *fact* holds."""
    async with asyncio.timeout(patience_s):
        while not fact():  # noqa: ASYNC110 - any fact
            await asyncio.sleep(0.02)


@dataclass
class EngineSetup:
    """One group with its input, its output and its shards."""

    connection: Connection
    admin: Admin
    reader: Reader
    tag: str
    partitions: int
    shards: int
    runs: Counter[bytes] = field(default_factory=Counter[bytes])
    """How often each record has been run here, by its value."""
    sent: dict[bytes, list[bytes]] = field(default_factory=lambda: defaultdict(list))
    """What was sent of each key, in order."""
    fed: int = 0
    """Records that were sent."""
    seen: list[Record] = field(default_factory=list[Record])
    """What is visible in the output."""

    @property
    def source(self) -> str:
        return f"in-{self.tag}"

    @property
    def output(self) -> str:
        return f"out-{self.tag}"

    @property
    def group(self) -> str:
        return f"group-{self.tag}"

    def inputs(self, *topics: str) -> set[Partition]:
        return {Partition(topic, n) for topic in topics or (self.source,) for n in range(self.partitions)}

    def config(self) -> EngineConfig:
        return EngineConfig(self.connection, name=f"client-{self.tag}", shard_topic=f"shards-{self.tag}")

    def handler(self, answer: Callable[[Record], Awaitable[None]]) -> StageHandler:
        """Each record becomes its equal in the output once *answer* has returned; its lane is its key."""

        async def run(record: Record) -> Outputs:
            self.runs[record.value or b""] += 1
            await answer(record)
            return [ProducerRecord(self.output, record.key, record.value)]

        return StageHandler(
            group=self.group,
            route=lambda shard: {place for place in self.inputs() if place.number % self.shards == shard},
            prepare=lambda _, record: Job(record.key, lambda: run(record)),
        )

    @asynccontextmanager
    async def worker(self, handler: StageHandler, config: EngineConfig | None = None) -> AsyncGenerator[Worker]:
        """A worker that is stopped at the end, whatever happens."""
        worker = Worker(config or self.config(), handler, SystemClock())
        await worker.start()
        try:
            yield worker
        finally:
            await worker.stop(grace=5.0)

    async def provision(self, places: Iterable[Partition] | None = None) -> None:
        """First offsets, for a group without members."""
        async with await TransactionalWriter.open(self.connection, f"provision-{self.tag}") as writer:
            await writer.transact([], dict.fromkeys(places or self.inputs(), 0), self.group)

    async def feed(self, count: int, keys: int, topic: str | None = None) -> None:
        """*count* records in one transaction."""
        records = [self._record(topic or self.source, keys) for _ in range(count)]
        async with await TransactionalWriter.open(self.connection, f"feed-{self.tag}") as writer:
            await writer.transact(records)

    def _record(self, topic: str, keys: int) -> ProducerRecord:
        number, self.fed = self.fed, self.fed + 1
        key, value = b"key-%d" % (number * 7919 % keys), b"%d" % number
        self.sent[key].append(value)
        return ProducerRecord(topic, key, value, (("number", value),))

    async def collect(self, count: int, patience_s: float = PATIENCE_S) -> None:
        """Wait until *count* records in all are visible."""
        async with asyncio.timeout(patience_s):
            while len(self.seen) < count:
                self.seen += await self.reader.poll(0.1)

    async def judge(self) -> None:
        """Nothing lost, nothing twice, in order; and the group has committed all of its input."""
        self.seen += await self.reader.poll(0.5)
        answers: dict[bytes, list[bytes]] = defaultdict(list)
        for record in self.seen:
            answers[record.key or b""].append(record.value or b"")
        assert answers == self.sent

    async def committed_to_the_end(self, *topics: str) -> None:
        """The lag reaches zero, transaction markers included."""
        places = self.inputs(*topics)
        ends = await self.reader.high_watermarks(places)
        async with asyncio.timeout(PATIENCE_S):
            while await self.admin.committed(self.group, places) != ends:  # noqa: ASYNC110 - nobody tells us
                await asyncio.sleep(0.05)


@asynccontextmanager
async def engine_setup(to: str | Connection, partitions: int = 4, shards: int = 2) -> AsyncGenerator[EngineSetup]:
    """Topics of one's own on the cluster of a connection, or of that bootstrap address."""
    tag, connection = uuid.uuid4().hex[:8], to if isinstance(to, Connection) else Connection(to)
    async with await Admin.open(connection) as admin:
        topics = {f"shards-{tag}": shards, f"in-{tag}": partitions, f"out-{tag}": 3}
        await admin.create_topics([NewTopicSpec(name, count) for name, count in topics.items()])
        async with await Reader.open(connection, f"out-{tag}") as reader:
            yield EngineSetup(connection, admin, reader, tag, partitions, shards)


def of_two_topics(handler: StageHandler, place: EngineSetup, second: str) -> StageHandler:
    """The same work on a second topic too."""
    route = handler.route
    return replace(
        handler,
        route=lambda shard: route(shard) | {p for p in place.inputs(second) if p.number % place.shards == shard},
    )
