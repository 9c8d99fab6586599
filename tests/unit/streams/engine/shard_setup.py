"""What the tests of the stages stand on: a clock that stands still, a log that is read like Kafka's, and one tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Literal

from consumers.auth.authorize import Authorize
from consumers.context import StepContext
from schemas import topics
from schemas.clock import Clock
from schemas.headers import Headers
from schemas.records import HeaderList, Partition, ProducerRecord, Record
from schemas.requests import Request
from schemas.results import Result
from schemas.seals import Seals
from schemas.stage_records import Authorized, Screened
from schemas.tenants import Layout, Limits, RegistryRecord, SealKeys, SealSecret, Tenant
from streams.journey import Step, Steps
from streams.registry.tenants import TenantRegistry
from streams.stages.record_builder import RecordBuilder
from streams.transport.reader import Reader, Start

NOW = 1_700_000_000_000
SHARDS = 4
REQUESTS = topics.REQUESTS.of("acme")
RESULTS = topics.RESULTS.of("acme")
BODY = b'{"agent": "echo", "input": "hello"}'
ACME = Tenant(id="acme", agents=("echo",), reply_topics=("acme-answers",), limits=Limits(concurrency=2))
OTHER = Tenant(id="globex", agents=("planner",))
SEALS = Seals({"k1": b"0123456789abcdef"}, "cluster")


class StillClock:
    """Moves when it is told to."""

    def __init__(self, now_ms: int = NOW) -> None:
        self.at_ms = now_ms
        self.step_ms = 0
        """By how much somebody has set the wall clock."""

    def now_ms(self) -> int:
        return self.at_ms + self.step_ms

    def monotonic(self) -> float:
        return self.at_ms / 1_000


class FakeLog:
    """Partitions with offsets; an open transaction holds back what comes after it."""

    def __init__(self) -> None:
        self.records: dict[Partition, list[Record | None]] = {}
        """None: a marker, or a record of an aborted transaction."""
        self.held: dict[Partition, int] = {}
        """The first offset of the oldest open transaction."""

    def write(self, output: ProducerRecord, at_ms: int = NOW) -> Record:
        """The output as a record at the end of its partition."""
        partition = Partition(output.topic, output.partition or 0)
        log = self.records.setdefault(partition, [])
        record = Record(*partition, len(log), at_ms, output.key, output.value, output.headers)
        log.append(record)
        return record

    def mark(self, partition: Partition) -> None:
        """The end of a transaction, or a record that was taken back."""
        self.records.setdefault(partition, []).append(None)

    def stable(self, partition: Partition) -> int:
        return self.held.get(partition, len(self.records.get(partition, ())))


class FakeReader(Reader):
    """The reader's promises, kept on a log in memory."""

    def __init__(self, log: FakeLog) -> None:
        self.log = log
        self.at: dict[Partition, int] = {}
        self._deadline_s = 5.0

    @property
    def partitions(self) -> frozenset[Partition]:
        return frozenset(self.at)

    async def add(self, partitions: Collection[Partition], start: Start = "earliest") -> None:
        await asyncio.sleep(0)
        for partition in partitions:
            self.at.setdefault(partition, start[partition] if isinstance(start, Mapping) else 0)

    def remove(self, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            self.at.pop(partition, None)

    async def since(self, at_ms: int, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        await asyncio.sleep(0)
        return {partition: self._first(partition, at_ms) for partition in partitions or self.at}

    def _first(self, partition: Partition, at_ms: int) -> int:
        records = [record for record in self.log.records.get(partition, ()) if record is not None]
        return next((record.offset for record in records if record.timestamp >= at_ms), len(records))

    async def poll(self, timeout_s: float = 0.5, limit: int | None = None) -> list[Record]:
        await asyncio.sleep(0)
        found: list[Record] = []
        for partition, offset in list(self.at.items()):
            end = self.log.stable(partition)
            found += [record for record in self.log.records.get(partition, ())[offset:end] if record is not None]
            self.at[partition] = max(offset, end)
        return found

    def position(self, partition: Partition) -> int:
        return self.at[partition]

    async def high_watermarks(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        await asyncio.sleep(0)
        return {partition: len(self.log.records.get(partition, ())) for partition in partitions or self.at}

    async def beginnings(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        await asyncio.sleep(0)
        return dict.fromkeys(partitions or self.at, 0)


def registry_record(entry: Tenant | Layout | SealSecret | SealKeys) -> Record:
    """The registry's record of a tenant, the layout or the seal."""
    value = RegistryRecord(entry)
    return Record(topics.TENANTS.name, 0, 0, NOW, value.key.encode(), value.model_dump_json().encode(), ())


def registry(*tenants: Tenant) -> TenantRegistry:
    """One that knows these tenants."""
    known = TenantRegistry()
    for tenant in tenants or (ACME, OTHER):
        known.apply(registry_record(tenant))
    return known


def builder(clock: Clock, stage: str = "auth") -> RecordBuilder:
    """Of one stage in one worker."""
    return RecordBuilder(stage, "worker-1", SEALS, SHARDS, clock)


def request_record(
    value: bytes | None = BODY,
    *,
    id: str | None = "r-1",
    headers: HeaderList = (),
    key: bytes | None = None,
    offset: int = 7,
    at_ms: int = NOW,
) -> Record:
    """A record of the tenant's request topic."""
    own: HeaderList = () if id is None else (("ce_id", id.encode()),)
    return Record(REQUESTS, 0, offset, at_ms, key, value, own + headers)


def as_read(output: ProducerRecord, *, offset: int = 3, at_ms: int = NOW) -> Record:
    """What the next stage reads of an output."""
    return Record(output.topic, output.partition or 0, offset, at_ms, output.key, output.value, output.headers)


async def screen(authorized: Authorized, context: StepContext) -> Screened:
    """Lets everything through as it is."""
    return Screened(authorized=authorized, text=authorized.request.text)


async def execute(screened: Screened, context: StepContext) -> Result:
    """Answers with what it was told."""
    authorized = screened.authorized
    return Result(
        request_id=authorized.request_id,
        run_id=authorized.run_id,
        agent=authorized.request.agent,
        status="succeeded",
        output=screened.text,
    )


def steps(
    known: TenantRegistry,
    *,
    authorize: Step[Request, Authorized] | None = None,
    screen: Step[Authorized, Screened] = screen,
    execute: Step[Screened, Result] = execute,
) -> Steps:
    """The real first step and two simple ones, unless the test has its own."""
    return Steps(authorize=authorize or Authorize(known.agents), screen=screen, execute=execute)


State = Literal["open", "closed"]


def header(output: ProducerRecord | Record, name: str) -> str | None:
    """The first of this name, as text."""
    return Headers(output.headers).text(name)


def on(outputs: Collection[ProducerRecord], topic: str) -> list[ProducerRecord]:
    """Those of one topic."""
    return [output for output in outputs if output.topic == topic]


def the_result(outputs: Collection[ProducerRecord], topic: str = RESULTS) -> Result:
    """The only result among them."""
    (output,) = on(outputs, topic)
    return Result.model_validate_json(output.value or b"")
