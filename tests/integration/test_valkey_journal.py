"""The journal while its Valkey is killed, stopped, emptied, full, set up wrongly, or failed over."""

from __future__ import annotations

import asyncio
import os
import signal
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from consumers.agent.journal.port import ENTRY_LIMIT, Entry, Journal, RunKey
from consumers.agent.journal.steps import RunSteps
from consumers.agent.journal.valkey import ValkeyJournal, valkey_journal
from consumers.context import StepContext
from consumers.fencing_token import FencingToken
from consumers.resilience.deadline import Deadline
from consumers.valkey.info import UnfitStoreError, check_info
from ops.embedded.valkey import Valkey, embedded_valkey
from schemas.clock import SystemClock
from schemas.errors import ExpiredError, JournalLostError, JournalUnavailableError
from schemas.keys import STORE_KEY
from schemas.tenants import Tenant

pytestmark = pytest.mark.anyio

CLOCK = SystemClock()
TOKEN = FencingToken(1, 1)
PASSWORD = "swordfish"
PATIENCE_S = 20
"""Seconds in which a call must have ended. Each has its own timeout, of three at most."""
RUNS = count(1)


@pytest.fixture(scope="module")
async def server(anyio_backend: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Valkey]:
    """A server of these tests alone: they kill it and empty it."""
    async with embedded_valkey(tmp_path_factory.mktemp("journal")) as server:
        yield server


@pytest.fixture
async def admin(server: Valkey) -> AsyncIterator[Redis]:
    """A client that changes the server's settings; they are as before after the test."""
    async with Redis.from_url(server.url) as client:
        yield client
    async with Redis.from_url(server.url) as client:  # the server may have restarted
        for name, value in (("maxmemory", 0), ("maxmemory-policy", "noeviction"), ("appendfsync", "always")):
            await client.config_set(name, value)
        await client.config_set("appendonly", "yes")
        await client.flushall()


@pytest.fixture
async def journal(server: Valkey) -> AsyncIterator[ValkeyJournal]:
    """The journal in the server."""
    async with valkey_journal(server.url, CLOCK) as journal:
        yield journal


async def opened(journal: Journal, steps: int = 0, *, durable: bool = True) -> RunKey:
    """Return a new run whose journal has *steps* finished steps."""
    run = RunKey("acme", f"run-{next(RUNS)}")
    await journal.open(run, TOKEN, lost=False, expires_ms=CLOCK.now_ms() + 3_600_000)
    for known in range(steps):
        await write(journal, run, f"step-{known}", known=known, durable=durable)
    return run


async def write(journal: Journal, run: RunKey, step: str, *, known: int = 0, durable: bool = False) -> None:
    """Write one finished step."""
    await journal.write(run, TOKEN, [Entry(step, "finished", b"1")], known=known, durable=durable)


async def steps_of(journal: Journal, run: RunKey) -> list[str]:
    """Return the steps of the run's journal."""
    found = await journal.open(run, TOKEN, lost=True, expires_ms=CLOCK.now_ms() + 3_600_000)
    return list(found.entries)


async def failure(call: Awaitable[object]) -> JournalUnavailableError:
    """Return the error of a store that fails, within a bounded time."""
    with pytest.raises(JournalUnavailableError) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await call
    return caught.value


async def test_durable_entries_survive_the_servers_death(server: Valkey, journal: ValkeyJournal) -> None:
    """SIGKILL, and the same journal goes on over a new connection, with scripts that the server has forgotten."""
    run = await opened(journal, steps=5)

    await server.kill()
    assert "Connection" in (await failure(write(journal, run, "step-5", known=5, durable=True))).detail
    await server.start()

    assert await steps_of(journal, run) == [f"step-{number}" for number in range(5)]
    await write(journal, run, "step-5", known=5, durable=True)


async def test_a_restart_between_two_calls_fails_neither(server: Valkey, journal: ValkeyJournal) -> None:
    """The connection is dead, and nothing has told it so."""
    run = await opened(journal, steps=1)

    await server.kill()
    await server.start()

    await write(journal, run, "step-1", known=1)
    await write(journal, run, "step-2", known=2, durable=True)


async def test_the_identity_changes_with_a_restart_and_with_a_loss_of_data(
    server: Valkey, journal: ValkeyJournal, admin: Redis
) -> None:
    """Crash tracking compares it: a journal may have been lost in between."""
    seen = [await journal.identity()]
    await admin.flushall()
    seen.append(await journal.identity())
    await server.kill()
    await server.start()
    seen.append(await journal.identity())

    assert len(set(seen)) == 3
    assert await journal.identity() == seen[-1]
    assert STORE_KEY.startswith("{_")


async def test_workers_that_ask_at_once_see_one_identity(server: Valkey, admin: Redis) -> None:
    """Both find no marker, and one of them sets it."""
    await admin.flushall()
    async with (
        valkey_journal(server.url, CLOCK) as one,
        valkey_journal(server.url, CLOCK) as other,
        asyncio.TaskGroup() as tasks,
    ):
        asked = [tasks.create_task(each.identity()) for each in (one, other, one, other)]

    assert len({task.result() for task in asked}) == 1


@pytest.mark.parametrize("durable", [False, True])
async def test_an_emptied_store_is_a_lost_journal(journal: ValkeyJournal, admin: Redis, *, durable: bool) -> None:
    """The next write must not pass for the first one."""
    run, fresh = await opened(journal, steps=2), await opened(journal)
    await admin.flushall()

    for lost, known in ((run, 2), (fresh, 0)):
        with pytest.raises(JournalLostError):
            await write(journal, lost, "next", known=known, durable=durable)
        await journal.rebuild(lost, TOKEN, [Entry("a", "started")], lost=False, expires_ms=0)
        assert await steps_of(journal, lost) == ["a"]


async def test_scripts_that_the_server_forgets_are_sent_again(journal: ValkeyJournal, admin: Redis) -> None:
    """SCRIPT FLUSH, or a failover."""
    run = await opened(journal)
    for known, durable in enumerate((False, True)):
        await admin.script_flush()
        await write(journal, run, f"{known}", known=known, durable=durable)

    assert await steps_of(journal, run) == ["0", "1"]


async def test_a_stopped_server_fails_each_call_in_time(server: Valkey, journal: ValkeyJournal) -> None:
    """SIGSTOP keeps the connection open and answers nothing. A call that it executes later mixes up no replies."""
    runs = [await opened(journal, steps=1) for _ in range(3)]
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as tasks:
            for number, run in enumerate(runs):
                tasks.create_task(failure(write(journal, run, "late", known=1, durable=number == 0)))
                tasks.create_task(failure(steps_of(journal, run)))
            tasks.create_task(failure(journal.identity()))
        await failure(write(journal, runs[0], "later", known=1))
    finally:
        os.kill(server.pid, signal.SIGCONT)

    for run in runs:
        await write(journal, run, "next", known=1, durable=True)
        assert {"step-0", "next"} <= set(await steps_of(journal, run)) <= {"step-0", "next", "late", "later"}


async def test_a_full_server_takes_no_write_and_still_shows_what_it_has(journal: ValkeyJournal, admin: Redis) -> None:
    """`maxmemory` with `noeviction`: a run waits for room, and one that needs only its history goes on."""
    await journal.identity()
    run = await opened(journal, steps=1)
    await admin.config_set("maxmemory", 1)

    for durable in (False, True):
        error = await failure(write(journal, run, "next", known=1, durable=durable))
        assert "maxmemory" in error.detail
    assert "maxmemory" in (await failure(opened(journal))).detail
    assert await steps_of(journal, run) == ["step-0"]
    await journal.identity()

    await admin.config_set("maxmemory", 0)
    await write(journal, run, "next", known=1, durable=True)


async def test_a_write_that_does_not_reach_the_disk_is_not_durable(journal: ValkeyJournal, admin: Redis) -> None:
    """Nor when it is repeated and changes nothing: the acknowledgement is about the connection's own writes."""
    run = await opened(journal)
    await admin.config_set("appendfsync", "no")

    for _ in range(2):
        error = await failure(write(journal, run, "a", durable=True))
        assert error.detail == "0 of 1 disks and 0 of 0 replicas acknowledged the write in time"
    assert await steps_of(journal, run) == ["a"]

    await admin.config_set("appendfsync", "everysec")
    await write(journal, run, "a", durable=True)


async def _calls(admin: Redis, command: str) -> int:
    stats: dict[str, Any] = await admin.info("commandstats")
    return int(stats.get(f"cmdstat_{command}", {"calls": 0})["calls"])


async def test_the_durable_writes_of_one_loop_turn_share_one_wait(journal: ValkeyJournal, admin: Redis) -> None:
    """A disk has some hundred syncs a second; a worker has thousands of runs."""
    runs = [await opened(journal) for _ in range(100)]
    await write(journal, runs[0], "0", durable=True)
    before = await _calls(admin, "waitaof")

    async with asyncio.TaskGroup() as tasks:
        for run in runs:
            tasks.create_task(write(journal, run, "a", durable=True))

    assert await _calls(admin, "waitaof") - before == 1
    assert [await steps_of(journal, run) for run in runs] == [["0", "a"], *([["a"]] * 99)]


async def test_large_entries_of_many_runs_arrive(journal: ValkeyJournal) -> None:
    """More than one batch holds, over both connections."""
    runs = [await opened(journal) for _ in range(40)]
    value = os.urandom(ENTRY_LIMIT)

    async with asyncio.TaskGroup() as tasks:
        for number, run in enumerate(runs):
            entry = Entry("a", "finished", value)
            tasks.create_task(journal.write(run, TOKEN, [entry], known=0, durable=number % 2 == 0))

    found = [await journal.open(run, TOKEN, lost=False, expires_ms=0) for run in runs]
    assert all(each.entries["a"].value == value for each in found)


async def test_a_cancelled_call_takes_no_others_reply(journal: ValkeyJournal) -> None:
    """A run is cancelled while its write is on its way."""
    runs = [await opened(journal, steps=number) for number in range(6)]
    for turns in range(6):
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(steps_of(journal, run)) for run in runs]
            for _ in range(turns):
                await asyncio.sleep(0)
            asked[0].cancel()

        assert [len(task.result()) for task in asked[1:]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("appendonly", "no", "Valkey keeps no append-only file: set `appendonly yes`"),
        (
            "maxmemory-policy",
            "allkeys-lru",
            "Valkey evicts keys by allkeys-lru, journals too: set `maxmemory-policy noeviction`",
        ),
    ],
)
async def test_a_server_that_would_lose_journals_is_refused(
    journal: ValkeyJournal, admin: Redis, setting: str, value: str, message: str
) -> None:
    """At the start of a worker, in one line that names the setting."""
    await journal.check()
    await admin.config_set(setting, value)

    with pytest.raises(UnfitStoreError) as caught:
        await journal.check()

    assert str(caught.value) == message


async def test_a_server_without_an_append_only_file_acknowledges_nothing(journal: ValkeyJournal, admin: Redis) -> None:
    """The setting may change under a running worker."""
    run = await opened(journal)
    await admin.config_set("appendonly", "no")

    assert "appendonly is disabled" in (await failure(write(journal, run, "a", durable=True))).detail


@pytest.mark.parametrize("version", ["6.2.14", "7.0.15", "odd", ""])
def test_a_server_without_waitaof_is_refused(version: str) -> None:
    """An old Redis answers everything else."""
    info = {"redis_version": version, "aof_enabled": "1", "role": "master"}
    with pytest.raises(UnfitStoreError, match=r"from 7\.2 on"):
        check_info(info)

    check_info(info | {"redis_version": "7.2.4"})
    check_info(info | {"redis_version": "8.0"})


@asynccontextmanager
async def answering(answer: bytes | None) -> AsyncGenerator[str]:
    """Yield the URL of a server that answers everything with *answer*; nothing for None."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            if answer == b"":
                break
            if answer:
                writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        yield f"redis://someone:{PASSWORD}@127.0.0.1:{port}/0"


ODD_ANSWERS = [
    b"-LOADING Valkey is loading the dataset in memory\r\n",
    b"-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n",
    b"-MISCONF Errors writing to the AOF file: No space left on device\r\n",
    b"-NOPERM User someone has no permissions to run the 'evalsha' command\r\n",
    b"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
    b"-ERR max number of clients reached\r\n",
    b"-ERR unknown command 'AUTH', with args beginning with: 'someone' 'swordfish' \r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"",
    None,
]


@pytest.mark.parametrize("answer", ODD_ANSWERS, ids=repr)
async def test_an_odd_server_fails_each_call_in_time_and_without_the_password(answer: bytes | None) -> None:
    """Messages and tracebacks go to logs."""
    async with answering(answer) as url, valkey_journal(url, CLOCK) as journal:
        run = RunKey("acme", "run")
        async with asyncio.TaskGroup() as tasks:
            calls = (opened(journal), write(journal, run, "a", durable=True), journal.identity(), journal.check())
            failing = [tasks.create_task(failure(call)) for call in calls]

    for task in failing:
        error = task.result()
        assert error.detail
        assert PASSWORD not in error.detail + "".join(traceback.format_exception(error))


async def test_options_of_the_url_change_no_reply(server: Valkey) -> None:
    """The URL may have been written for another client."""
    options = "?decode_responses=yes&protocol=3&socket_timeout=0.000001&health_check_interval=1"
    async with valkey_journal(server.url + options, CLOCK) as journal:
        run = await opened(journal, steps=2)
        await journal.check()

        assert await journal.identity()
        assert await steps_of(journal, run) == ["step-0", "step-1"]


def run_steps(journal: Journal, run: RunKey, *, life: int = 1, seconds: float = 60) -> Awaitable[RunSteps]:
    """Open the steps of a run as its owner number *life*."""
    token = FencingToken(1, life)
    context = StepContext(tenant=Tenant(id="acme"), clock=CLOCK, token=lambda: token, started_before=life > 1)
    now_ms = CLOCK.now_ms()
    deadline = Deadline(now_ms + round(seconds * 1_000), CLOCK)
    return RunSteps.open(journal, run, context, attempt=1, deadline=deadline, expires_ms=now_ms + 3_600_000)


async def test_a_run_waits_while_its_store_restarts_and_goes_on(server: Valkey, journal: ValkeyJournal) -> None:
    """A restart takes a second; the run has a minute."""
    run = RunKey("acme", f"run-{next(RUNS)}")
    steps = await run_steps(journal, run)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: steps.start("tool"),
        lambda: steps.finish("tool", b"1"),
        lambda: run_steps(journal, run),
    ]
    for call in calls:
        await server.kill()
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(_awaited(call()))
            await asyncio.sleep(0.3)
            assert not waiting.done()
            await server.start()

    assert (await run_steps(journal, run, life=2)).finished("tool") == b"1"


async def _awaited(call: Awaitable[object]) -> None:
    await call


@pytest.mark.parametrize("boundary", range(5))
async def test_a_run_whose_store_is_emptied_at_a_boundary_writes_its_steps_again(
    journal: ValkeyJournal, admin: Redis, boundary: int
) -> None:
    """Its process knows them. A run whose process dies before that is lost, and says so."""
    run = RunKey("acme", f"run-{next(RUNS)}")
    steps = await run_steps(journal, run)
    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: steps.finish("model-1", b"1"),
        lambda: steps.start("tool-1"),
        lambda: steps.finish("tool-1", b"2"),
        lambda: steps.finish("model-2", b"3"),
    ]
    for number, call in enumerate(calls):
        if number == boundary:
            await admin.flushall()
        await call()
    if boundary == len(calls):
        await admin.flushall()

    after = await run_steps(journal, run, life=2)

    outcomes = [after.finished(step) for step in ("model-1", "tool-1", "model-2")]
    assert (outcomes, after.lost) == (([None] * 3, True) if boundary == len(calls) else ([b"1", b"2", b"3"], False))


async def test_a_run_whose_store_stays_away_expires(server: Valkey, journal: ValkeyJournal) -> None:
    """No call outlives the deadline, though the store answers nothing and keeps the connection."""
    run = RunKey("acme", f"run-{next(RUNS)}")
    steps = await run_steps(journal, run, seconds=1.5)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for call in (steps.start("tool"), steps.finish("model", b"1"), run_steps(journal, run, seconds=0.2)):
                with pytest.raises(ExpiredError):
                    await call
    finally:
        os.kill(server.pid, signal.SIGCONT)


@asynccontextmanager
async def replica_of(server: Valkey, folder: Path) -> AsyncGenerator[tuple[Valkey, Redis]]:
    """Yield a replica that has all data of *server*, and its client."""
    async with embedded_valkey(folder) as replica, Redis.from_url(replica.url) as client:
        await client.config_set("masterauth", server.password)
        await client.replicaof("127.0.0.1", str(server.port))
        async with asyncio.timeout(PATIENCE_S):
            while (await client.info("replication")).get("master_link_status") != "up":  # noqa: ASYNC110  (a server)
                await asyncio.sleep(0.05)
        yield replica, client


async def test_a_failover_to_a_replica_that_lags_shows(
    server: Valkey, journal: ValkeyJournal, admin: Redis, tmp_path: Path
) -> None:
    """The newest steps are gone: the identity differs, and the next write is refused."""
    before = await journal.identity()
    run = await opened(journal, steps=2)
    async with (
        replica_of(server, tmp_path) as (replica, client),
        valkey_journal(replica.url, CLOCK) as follower,
        valkey_journal(server.url, CLOCK, replicas=1) as careful,
    ):
        await write(careful, run, "step-2", known=2, durable=True)
        assert "READONLY" in (await failure(write(follower, run, "step-3", known=3))).detail.upper().replace("-", "")
        with pytest.raises(UnfitStoreError, match="replica"):
            await follower.check()

        await client.replicaof("NO", "ONE")
        await write(journal, run, "step-3", known=3, durable=True)
        error = await failure(write(careful, run, "step-4", known=4, durable=True))
        assert error.detail == "1 of 1 disks and 0 of 1 replicas acknowledged the write in time"

        assert await follower.identity() != before
        with pytest.raises(JournalLostError):
            await write(follower, run, "step-4", known=4)
        assert await steps_of(follower, run) == ["step-0", "step-1", "step-2"]
