"""A record that kills its worker is found and condemned, and costs its neighbours nothing but time (F9)."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import ProducerRecord
from streams.transport.writer import TransactionalWriter
from tests.integration.engine_setup import EngineSetup, engine_setup

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def worker(setup: EngineSetup, lines: int = DEVNULL, **more: str) -> AsyncGenerator[Process]:
    """A worker process, killed at the latest in the end; *lines* is where it logs to, *more* its parameters."""
    given = {
        "bootstrap": setup.connection.bootstrap,
        "group": setup.group,
        "source": setup.source,
        "output": setup.output,
        "shard_topic": f"shards-{setup.tag}",
        "rebalance_ms": "1000",
        **more,
    }
    command = [sys.executable, "-m", "tests.integration.suspect_worker", json.dumps(given)]
    process = await asyncio.create_subprocess_exec(*command, stdout=lines)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: Process, event: bytes) -> None:
    """Wait for a line about *event*."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while event not in (line := await process.stdout.readline()):
            assert line, "it has ended"


async def ask(setup: EngineSetup, *texts: str) -> None:
    """One record of each text, all at once, each of a key of its own."""
    async with await TransactionalWriter.open(setup.connection, f"feed-{setup.tag}") as writer:
        await writer.transact([ProducerRecord(setup.source, text.encode(), text.encode()) for text in texts])


async def answered(setup: EngineSetup, count: int, within_s: float = 90) -> None:
    """Wait for so many answers in all."""
    await setup.collect(count, within_s)


def answers(setup: EngineSetup) -> dict[str, str]:
    """What has been said to each text, which was answered once."""
    said = [(record.value or b"").decode() for record in setup.seen]
    found = {(record.key or b"").decode(): text for record, text in zip(setup.seen, said, strict=True)}
    assert len(found) == len(said)
    return found


async def test_f9_a_record_that_kills_its_worker_is_condemned_and_every_innocent_answered(kafka: Kafka) -> None:
    """Two workers die of it; the third lives, and afterwards runs everything itself again."""
    innocents = [f"innocent-{number}" for number in range(12)]
    async with engine_setup(kafka.bootstrap, partitions=1, shards=1) as setup:
        await setup.provision()
        await ask(setup, *innocents[:6], "exit", *innocents[6:])
        for _ in range(2):
            async with worker(setup) as victim, asyncio.timeout(60):
                assert await victim.wait() == 3
        async with worker(setup) as last:
            await answered(setup, 13)
            await ask(setup, "later")
            await answered(setup, 14)
            setup.seen += await setup.reader.poll(0.5)
            found = answers(setup)
            assert last.returncode is None
        assert found.pop("exit") == "poison exit"
        assert found.pop("later") == f"later {last.pid}"
        assert {text: said.rpartition(" ")[0] for text, said in found.items()} == {text: text for text in innocents}


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_f9_deaths_of_every_kind_among_many_innocents_condemn_just_their_records(kafka: Kafka) -> None:
    """Whatever it is that ends the worker: each is found after two deaths of workers at most."""
    innocents = [f"innocent-{number}|0.5" for number in range(200)]
    async with engine_setup(kafka.bootstrap, partitions=2, shards=2) as setup:
        await setup.provision()
        await ask(setup, *innocents[:70], "exit", *innocents[70:140], "kill", *innocents[140:], "grow")
        deaths = Counter[int | None]()
        async with asyncio.timeout(400):
            while len(setup.seen) < 203:
                async with worker(setup) as victim:
                    while victim.returncode is None and len(setup.seen) < 203:
                        setup.seen += await setup.reader.poll(0.1)
                    deaths[victim.returncode] += 1
        setup.seen += await setup.reader.poll(0.5)
        found = answers(setup)
    poisons = {text for text, said in found.items() if said.startswith("poison ")}
    assert poisons == {"exit", "kill", "grow"}
    assert len(found) == 203
    assert deaths.total() <= 7


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_f9_three_kills_from_outside_condemn_none_of_a_thousand_innocents(kafka: Kafka) -> None:
    """The third falls upon a worker that suspects them all; none has had the time to answer everything."""
    texts = [f"innocent-{number}|3" for number in range(1_000)]
    async with engine_setup(kafka.bootstrap, partitions=2, shards=2) as setup:
        await setup.provision()
        await ask(setup, *texts)
        for strikes in range(3):
            async with worker(setup, PIPE) as victim:
                for _ in range(2):
                    await said(victim, b"shard_suspected" if strikes == 2 else b"shard_opened")
                await asyncio.sleep(1)
        before = len(setup.seen)
        async with worker(setup):
            await answered(setup, 1_000, 300)
            setup.seen += await setup.reader.poll(1)
        found = answers(setup)
    assert before < 1_000
    assert not [said for said in found.values() if said.startswith("poison")]
    assert len(found) == 1_000
