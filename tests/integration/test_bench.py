"""``headrace bench``: each command measures the product and its reference, and a slower product shows."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from ops.cli.command_settings import settings_with
from ops.connection import connection_of
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.lab.bench import admission, budgets, chain, hop, inflight, journal, latency, models, tenants
from ops.lab.bench.figures import Comparison, Rounds
from ops.settings import Settings
from schemas.records import ProducerRecord, Record
from streams.handler import Outputs
from tests.journey.platform import CLI, clean_environment

pytestmark = pytest.mark.anyio


def settings(broker: Kafka) -> Settings:
    """On this broker, whatever the environment says."""
    return settings_with(None).model_copy(update={"kafka_bootstrap": broker.bootstrap})


@pytest.fixture(scope="module")
async def own(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Settings]:
    """A cluster for platforms: what is shared must not have one."""
    async with embedded_kafka(tmp_path_factory.mktemp("bench"), embedded_cache) as broker:
        yield settings(broker)


def by_name(comparisons: list[Comparison]) -> dict[tuple[str, str], Comparison]:
    """By product and reference."""
    return {(each.what, each.against): each for each in comparisons}


async def spinning(target: str, record: Record) -> Outputs:
    """A handler that costs much."""
    end = time.process_time() + 0.001
    while time.process_time() < end:
        pass
    return [ProducerRecord(target, record.key, record.value)]


async def test_a_slow_handler_has_a_larger_ratio_than_a_quick_one(kafka: Kafka, tmp_path: Path) -> None:
    """The benchmark sees what it is there for: a millisecond a record is many times a loop's own cost."""
    plan = chain.ChainPlan(records=500, rounds=1, journeys=(), handler=spinning)

    found = by_name(await chain.run(plan, settings(kafka), tmp_path, lambda _: None))

    slow, quick = found[chain.ASYNC, chain.RAW], found[chain.PLAIN, chain.RAW]
    assert slow.ratio > 2 * quick.ratio > 0
    assert slow.values[0] > 1_000


async def test_a_handler_that_waits_is_seen_in_the_latency(kafka: Kafka, tmp_path: Path) -> None:
    """Fifty milliseconds in the handler are at least fifty until the answer is visible."""

    async def waiting(target: str, record: Record) -> Outputs:
        await asyncio.sleep(0.05)
        return hop.plain(target, record)

    lines = list[dict[str, Any]]()
    plan = latency.LatencyPlan(seconds=0.5, rounds=1, journeys=(), handler=waiting)

    found = by_name(await latency.run(plan, settings(kafka), tmp_path, lines.append))

    assert found["one hop, p50", "raw loop, p50"].values[0] > 50
    assert [line["what"] for line in lines] == ["one hop", "raw loop"]
    assert all({"p50", "p95", "p99"} <= line.keys() for line in lines)


async def test_runs_at_once_are_timed_against_the_second_that_each_takes(own: Settings) -> None:
    """Eight calls of a second at once take more than one second and not eight."""
    found = by_name(await inflight.on(own, inflight.InflightPlan(sizes=(8,)), lambda _: None))

    assert found["8 runs at once", "ideal"].references == (1.0,)
    assert 1.0 < found["8 runs at once", "8 bare calls at once"].values[0] < 8
    assert found["8 runs at once", "8 bare calls at once"].references[0] > 1.0


@pytest.mark.slow
async def test_tenants_are_counted_and_doors_are_timed(own: Settings) -> None:
    """Costs, starts and openings each have their reference."""
    found = by_name(await tenants.on(own, own, tenants.TenantsPlan(tenants=9, requests=20, rounds=1), lambda _: None))

    assert {"one tenant", tenants.SECOND, "start, one tenant"} == {against for _, against in found}
    assert all(each.ratio > 0 for each in found.values())


async def test_a_door_is_opened_beside_a_bare_read(own: Settings) -> None:
    """Both read the same log; a hundred thousand entries a second would be 10 ms here."""
    log = admission.AdmissionLog(connection_of(own), 1_000)
    await log.write()

    found = by_name(await admission.compared(log, Rounds(1, lambda _: None, "s")))

    assert found[admission.OPENING, admission.BARE].references[0] > 0
    assert found[admission.OPENING, "a second for 100000 entries"].references == (0.01,)


async def test_the_command_prints_json_with_the_ratios_last(kafka: Kafka, tmp_path: Path) -> None:
    """One object a line: rounds, comparisons, the summary."""
    command = [*CLI, "bench", "chain", "--records", "300", "--rounds", "1", "--journey", "none", "--json"]

    done = await asyncio.to_thread(
        subprocess.run,
        command,
        env=clean_environment(TMPDIR=str(tmp_path), HEADRACE_KAFKA_BOOTSTRAP=kafka.bootstrap),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    *lines, last = map(json.loads, done.stdout.splitlines())
    assert {line["what"] for line in lines if "round" in line} == {chain.RAW, chain.BATCHED, chain.ASYNC, chain.PLAIN}
    assert [list(line)[-1] for line in lines if "against" in line] == ["ratio"] * 3
    assert list(last)[-1] == "ratio"
    assert last["ratio"].keys() == {f"{line['what']} / {line['against']}" for line in lines if "against" in line}
    assert list(tmp_path.iterdir()) == []


async def test_the_clients_of_a_model_are_compared_with_bare_aiohttp(tmp_path: Path) -> None:
    """The thin one costs less than the SDK, on any machine."""
    plan = models.ModelsPlan(calls=300, rounds=1)

    found = by_name(await models.run(plan, settings_with(None), tmp_path, lambda _: None))

    thin, sdk = found["thin", "bare aiohttp"], found["openai", "bare aiohttp"]
    assert (thin.goal, sdk.goal) == (1.5, 5.0)
    assert 0.5 < thin.ratio < sdk.ratio


async def test_long_calls_start_at_the_asked_rate_and_are_all_at_once(tmp_path: Path) -> None:
    """As many as the rate and their length make."""
    plan = models.ModelsPlan(rounds=1, in_flight=100, seconds=1.0, starts=200, clients=("thin",))
    told: list[dict[str, Any]] = []

    (found,) = await models.run(plan, settings_with(None), tmp_path, told.append)

    assert told[0]["calls"] == told[0]["peak"] == 100
    assert found.values[0] >= 1.0
    assert told[0]["kb_a_call"] >= 0


async def test_a_journaled_step_is_measured_beside_a_plain_one(tmp_path: Path) -> None:
    """A step without a journal makes no call, so any journal costs a multiple of it."""
    plan = journal.JournalPlan(runs=5, steps=4, rounds=1)

    found = by_name(await journal.run(plan, settings_with(None), tmp_path, lambda _: None))

    assert set(found) == {(journal.STEP, journal.RAW), (journal.STEP, journal.NO_STEP)}
    assert found[journal.STEP, journal.NO_STEP].ratio > 2


async def test_a_reservation_is_measured_beside_a_bare_call(tmp_path: Path) -> None:
    """Three calls of a reservation are more than one PING, on any machine."""
    plan = budgets.BudgetsPlan(calls=30, rounds=1)

    found = by_name(await budgets.run(plan, settings_with(None), tmp_path, lambda _: None))

    assert found[budgets.WHOLE, budgets.PING].ratio > 1
    assert (budgets.RESERVE, budgets.SCRIPT) in found
