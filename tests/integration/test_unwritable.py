"""What an operator, an access list or a limit makes unwritable harms only its own records: on a broker of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ops.embedded.kafka import Kafka, embedded_kafka
from producers.dead_letters import CUT, dead_letter_record
from schemas.dead_letters import DeadLetterReason
from schemas.headers import Headers
from schemas.records import Partition, ProducerRecord, Record
from schemas.topics import DEAD_LETTERS, RESULTS
from streams.handler import Outputs
from streams.telemetry.metric_definitions import DELAYED_OUTPUT_WARNINGS, UNWRITABLE
from streams.transport.admin import NewTopicSpec
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.changes import forbid_writing, permit_writing, set_config
from tests.integration.engine_setup import EngineSetup, engine_setup
from tests.integration.neighbours import Neighbours, named, on_time, suffer

pytestmark = pytest.mark.anyio

REASON = DeadLetterReason(code="malformed", kind="MalformedError", message="not JSON", stage="auth", worker="w-1")
LIMIT = 5_000


@pytest.fixture(scope="module")
async def strict(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A broker that asks its access lists, and takes who is on none."""
    more = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    async with embedded_kafka(tmp_path_factory.mktemp("strict"), embedded_cache, more=more) as broker:
        yield broker


def dead_lettered(record: Record) -> Outputs:
    """A letter of the record, with a body that is larger than the topic of letters takes."""
    large = record._replace(value=(record.value or b"") + b"." * 20_000, headers=(("x", b"x" * 100),))
    return [dead_letter_record(large, REASON, tenant="acme", trace=())]


async def letters_of(setup: EngineSetup) -> list[Record]:
    """Every dead letter that is there, in the order of its position."""
    async with await Reader.open(setup.connection, DEAD_LETTERS.name) as reader:
        return [record async for record in reader.until(await reader.high_watermarks())]


async def test_f26_a_letter_that_its_topic_is_too_small_for_is_cut_until_it_fits(strict: Kafka) -> None:
    """Held for ever it would hold its offset, and the door its place, for a limit that somebody has lowered."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        await setup.admin.create_topics([NewTopicSpec(DEAD_LETTERS.name, 1, configs={"max.message.bytes": str(LIMIT)})])

        neighbours = await suffer(setup, dead_lettered)

        letters = await letters_of(setup)
        await setup.admin.delete_topics([DEAD_LETTERS.name])
    assert sorted((dead_letter.value or b"").partition(b".")[0] for dead_letter in letters) == named(6)
    for dead_letter in letters:
        headers = Headers(dead_letter.headers)
        missing = 20_000 + len(b"poison-0") - len(dead_letter.value or b"")
        assert headers.text(CUT) == f"value {missing}"
        assert headers.text("headrace-error-code") == "malformed"
        assert len(dead_letter.value or b"") > LIMIT / 4
    on_time(neighbours)


@pytest.mark.slow
async def test_f11_letters_wait_while_their_topic_is_forbidden_and_hold_only_their_own_offsets(strict: Kafka) -> None:
    """An alarm says so; once the topic may be written again each letter is there, and once."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        neighbours = Neighbours(setup, dead_lettered)
        await setup.admin.create_topics([NewTopicSpec(DEAD_LETTERS.name, 1)])
        await forbid_writing(setup.admin, DEAD_LETTERS.name)
        await setup.provision()
        async with (
            setup.worker(neighbours.handler()) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            _, offset = await writer.send(ProducerRecord(setup.source, b"poison", b"waits", partition=0))
            await neighbours.visit(writer, reader, 3.0)
            assert await setup.admin.committed(setup.group) == {Partition(setup.source, 0): offset}
            assert worker.metrics.total(DELAYED_OUTPUT_WARNINGS) == 1
            assert worker.metrics.total(UNWRITABLE) == 0
            on_time(neighbours)

            await permit_writing(setup.admin, DEAD_LETTERS.name)
            await setup.committed_to_the_end()
        letters = await letters_of(setup)
        await setup.admin.delete_topics([DEAD_LETTERS.name])
    assert [(dead_letter.value or b"")[:5] for dead_letter in letters] == [b"waits"]
    assert set(setup.runs.values()) == {1}


async def test_f26_a_topic_that_an_access_list_forbids_harms_only_its_own_records(strict: Kafka) -> None:
    """A rule that is wrong for one tenant is that tenant's trouble."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        forbidden = f"forbidden-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(forbidden, 1)])
        await forbid_writing(setup.admin, forbidden)

        neighbours = await suffer(setup, lambda record: [ProducerRecord(forbidden, b"key", record.value)])

        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == named(6)
        on_time(neighbours)


@pytest.mark.slow
async def test_f26_a_result_above_its_topics_limit_harms_only_its_own_record(strict: Kafka) -> None:
    """Of the size that a runaway agent gives, on a topic as every tenant has it."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        results = RESULTS.of(f"t-{setup.tag}")
        await setup.admin.create_topics([NewTopicSpec(results, 1, configs=RESULTS.config)])

        neighbours = await suffer(setup, lambda _: [ProducerRecord(results, b"key", b"x" * 1_300_000)])

        assert sorted(value or b"" for value in neighbours.answers(b"failed")) == named(6)
        on_time(neighbours)


@pytest.mark.slow
async def test_f26_a_limit_that_is_lowered_while_its_topic_is_written_to_harms_only_what_it_refuses(
    strict: Kafka,
) -> None:
    """What is smaller goes on arriving on the same topic."""
    async with engine_setup(strict.bootstrap, partitions=1, shards=1) as setup:
        results = f"results-{setup.tag}"
        await setup.admin.create_topics([NewTopicSpec(results, 1)])

        def answer(record: Record) -> Outputs:
            small = (record.value or b"").endswith((b"0", b"2", b"4"))
            return [ProducerRecord(results, b"key", (record.value or b"") + (b"." if small else b"." * 3_000))]

        neighbours = Neighbours(setup, answer)
        await setup.provision()
        async with (
            setup.worker(neighbours.handler()) as worker,
            await Writer.open(setup.connection) as writer,
            await Reader.open(setup.connection, setup.output) as reader,
        ):
            await writer.send(ProducerRecord(setup.source, b"poison", b"first-1", partition=0))
            await neighbours.visit(writer, reader, 0.5)
            await set_config(setup.admin, results, max_message_bytes="2000")
            for value in named(6):
                await writer.send(ProducerRecord(setup.source, b"poison", value, partition=0))
                await asyncio.sleep(0.05)
            await neighbours.visit(writer, reader, 3.0)
            await setup.committed_to_the_end()
            neighbours.seen += await reader.poll(0.3)
            assert worker.fatal is None
        async with await Reader.open(setup.connection, results) as reader:
            kept = [(r.value or b"").rstrip(b".") async for r in reader.until(await reader.high_watermarks())]
        assert sorted(kept) == [b"first-1", b"poison-0", b"poison-2", b"poison-4"]
        assert sorted(v or b"" for v in neighbours.answers(b"failed")) == [b"poison-1", b"poison-3", b"poison-5"]
        on_time(neighbours)
