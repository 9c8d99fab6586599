"""The memory in Valkey, while Valkey or a worker is killed, stopped, full or gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis

from consumers.agent.memory.exchanges import ExchangeLimits
from consumers.agent.memory.port import MemoryEntry, MemoryScope
from consumers.agent.memory.session_valkey import ValkeySessionMemory
from consumers.agent.memory.subject_data import ValkeySubjectData
from consumers.agent.memory.valkey_calls import ValkeyCalls, memory_client
from consumers.agent.provenance import Source
from ops.embedded.valkey import Valkey, embedded_valkey
from ops.settings import child_environment
from schemas.errors import MemoryUnavailableError
from schemas.keys import memory_key, tenant_prefix

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
SHORT_S = 0.3
SCOPE = MemoryScope("acme", "ann", "session")


def said(text: str) -> MemoryEntry:
    """Return a user's entry."""
    return MemoryEntry(role="user", text=text, source=Source(kind="user"))


async def texts(memory: ValkeySessionMemory, scope: MemoryScope = SCOPE) -> list[str]:
    """Return the texts of a session."""
    return [entry.text for entry in await memory.load(scope)]


@pytest.fixture
async def own_valkey(tmp_path: Path) -> AsyncIterator[Valkey]:
    """A server that the test may harm."""
    async with embedded_valkey(tmp_path) as server:
        yield server


@asynccontextmanager
async def memory_at(
    url: str, wait_s: float = 30, limits: ExchangeLimits | None = None
) -> AsyncGenerator[ValkeySessionMemory]:
    """Open a client, and the memory behind it."""
    async with memory_client(url, wait_s=wait_s) as client:
        yield ValkeySessionMemory(ValkeyCalls(client, wait_s), limits or ExchangeLimits())


class HeldAnswers:
    """A proxy of Valkey that can keep the answers to itself."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.holding = asyncio.Event()
        self.held = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._requests(reader, server_writer))
                group.create_task(self._answers(server_reader, writer))
        except* ConnectionError:
            pass
        finally:
            writer.close()
            server_writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if self.holding.is_set() and data == b":1\r\n":
                self.held.set()
                continue
            writer.write(data)


@asynccontextmanager
async def held_answers(valkey: Valkey) -> AsyncGenerator[tuple[HeldAnswers, str]]:
    """Run the proxy; yield it and the server's URL through it."""
    proxy = HeldAnswers(valkey.port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield proxy, valkey.url.replace(f":{valkey.port}/", f":{port}/")


async def test_a_worker_killed_between_call_and_answer_has_appended_once(own_valkey: Valkey) -> None:
    """Its successor cannot know if the append has happened, so it appends again."""
    async with held_answers(own_valkey) as (proxy, url), memory_at(own_valkey.url) as memory:
        proxy.holding.set()
        arguments = (sys.executable, "-m", "tests.laws.memory_worker", url, SCOPE.subject, "r1")
        worker = await asyncio.create_subprocess_exec(*arguments, cwd=ROOT, env=child_environment())
        async with asyncio.timeout(60):
            await proxy.held.wait()
            worker.kill()
            await worker.wait()

        assert await texts(memory) == ["r1"]
        await memory.append(SCOPE, "r1", [said("r1")])
        await memory.append(SCOPE, "r2", [said("r2")])
        await memory.append(SCOPE, "r1", [said("r1")])
        assert await texts(memory) == ["r1", "r2"]


async def test_a_cancelled_call_leaves_no_answer_for_the_next_one(own_valkey: Valkey) -> None:
    """An answer that is read by another call would show one user's session to another."""
    async with held_answers(own_valkey) as (proxy, url), memory_at(url) as memory:
        other = SCOPE._replace(subject="bob")
        await memory.append(other, "r0", [said("of bob")])
        proxy.holding.set()
        for turns in range(60):
            await _cancelled_after(turns, memory)
        proxy.holding.clear()

        for _ in range(20):
            assert await texts(memory, other) == ["of bob"]
            assert set(await texts(memory)) == {"of ann"}


async def _cancelled_after(turns: int, memory: ValkeySessionMemory) -> None:
    """Cancel an append after so many turns of the loop. Its answer never comes, so only the cancellation ends it."""
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        call = group.create_task(memory.append(SCOPE, f"r{turns}", [said("of ann")]))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()


async def test_an_acknowledged_append_survives_a_killed_server(own_valkey: Valkey) -> None:
    """The append-only file has it before the answer is sent, with the run's id. The same client goes on."""
    async with memory_at(own_valkey.url) as memory:
        for number in range(3):
            await memory.append(SCOPE, f"r{number}", [said(f"t{number}")])
            await own_valkey.kill()
            with pytest.raises(MemoryUnavailableError):
                await memory.load(SCOPE)
            await own_valkey.start()

        for number in range(3):
            await memory.append(SCOPE, f"r{number}", [said("again")])
        assert await texts(memory) == ["t0", "t1", "t2"]


async def test_idle_connections_do_not_fail_after_a_restart(own_valkey: Valkey) -> None:
    """A restart is over before a run needs its memory: the run must not pay for it with a retry."""
    async with memory_at(own_valkey.url) as memory:
        for _ in range(3):
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    group.create_task(memory.append(SCOPE, f"r{number}", [said(f"t{number}")]))
            await own_valkey.kill()
            await own_valkey.start()

        assert sorted(await texts(memory)) == sorted(f"t{number}" for number in range(50))


DAMAGED = ["", "x", "[", "{}", "[{}]", "[1]", '[{"role": "boss", "text": "", "source": {"kind": "user"}}]', None]


@pytest.mark.parametrize("stored", DAMAGED)
async def test_a_damaged_exchange_is_an_unavailable_memory(valkey: Valkey, stored: str | None) -> None:
    """A conversation with a hole in it must not pass for the whole."""
    scope = SCOPE._replace(subject=f"damaged {stored}")
    async with memory_at(valkey.url) as memory, Redis.from_url(valkey.url) as admin:
        await memory.append(scope, "r1", [said("t1")])
        await _overwrite(admin, scope, stored)

        with pytest.raises(MemoryUnavailableError):
            await memory.load(scope)
        await memory.forget(scope)
        await memory.append(scope, "r2", [said("t2")])
        assert await texts(memory, scope) == ["t2"]


async def test_an_older_worker_reads_the_entries_of_a_newer_one(valkey: Valkey) -> None:
    """During a deployment, both serve one session."""
    newer = '[{"role": "user", "text": "t1", "source": {"kind": "user", "trust": 3}, "mood": "good"}]'
    scope = SCOPE._replace(subject="newer")
    async with memory_at(valkey.url) as memory, Redis.from_url(valkey.url) as admin:
        await memory.append(scope, "r1", [said("t0")])
        await _overwrite(admin, scope, newer)

        assert await texts(memory, scope) == ["t1"]


async def _overwrite(admin: Redis, scope: MemoryScope, exchange: str | None) -> None:
    """Replace the first exchange; None deletes it."""
    key = memory_key(scope.tenant, "session", scope.issuer, scope.subject, scope.session)
    await admin.hdel(key, "1")
    if exchange is not None:
        await admin.hset(key, "1", exchange)


async def test_a_server_that_does_not_answer_is_unavailable_in_bounded_time(own_valkey: Valkey) -> None:
    """A run that waits for ever keeps its lane; afterwards each client gets the answers to its own calls."""
    async with memory_at(own_valkey.url, SHORT_S) as memory:
        await memory.append(SCOPE, "r1", [said("t1")])
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(30):
                for call in (
                    memory.load(SCOPE),
                    memory.append(SCOPE, "r2", [said("t2")]),
                    memory.forget(SCOPE._replace(session="x")),
                ):
                    with pytest.raises(MemoryUnavailableError):
                        await call
                await _all_fail(memory, 200)
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)

        await _answers(memory)
        await memory.append(SCOPE, "r2", [said("t2")])
        assert await texts(memory) == ["t1", "t2"]


async def _all_fail(memory: ValkeySessionMemory, count: int) -> None:
    """Load in many tasks at once, more than there are connections; each must end with the error."""
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(_fails(memory))


async def _fails(memory: ValkeySessionMemory) -> None:
    with pytest.raises(MemoryUnavailableError):
        await memory.load(SCOPE)


async def _answers(memory: ValkeySessionMemory) -> None:
    """Return when the server answers again."""
    async with asyncio.timeout(30):
        while True:
            try:
                await memory.load(SCOPE)
            except MemoryUnavailableError:
                continue
            return


async def test_a_full_server_refuses_the_whole_append_and_still_reads(own_valkey: Valkey) -> None:
    """Half an append would be an exchange without its run's id."""
    async with memory_at(own_valkey.url) as memory, Redis.from_url(own_valkey.url) as admin:
        await memory.append(SCOPE, "r1", [said("t1")])
        await admin.config_set("maxmemory", "1")
        with pytest.raises(MemoryUnavailableError) as raised:
            await memory.append(SCOPE, "r2", [said("t2")])
        assert "OutOfMemory" in raised.value.detail
        assert await texts(memory) == ["t1"]
        await memory.forget(SCOPE)
        assert await texts(memory) == []

        await admin.config_set("maxmemory", "0")
        await memory.append(SCOPE, "r2", [said("t2")])
        assert await texts(memory) == ["t2"]


async def test_no_error_names_the_password_or_a_text(own_valkey: Valkey) -> None:
    """Errors go to logs, and their public message to clients."""
    secret = "hunter" + "2"
    wrong = own_valkey.url.replace(own_valkey.password, secret)
    for url in (wrong, f"redis://:{secret}@127.0.0.1:1/0", f"redis://:{secret}@nowhere.invalid:1/0"):
        async with memory_at(url) as memory:
            with pytest.raises(MemoryUnavailableError) as raised:
                await memory.append(SCOPE, "r", [said(secret)])
        shown = "".join(traceback.format_exception(raised.value)) + raised.value.detail + raised.value.public_message
        assert secret not in shown


async def test_every_key_expires_and_is_its_tenants(own_valkey: Valkey) -> None:
    """A key without an expiry is never deleted; one without the hash tag is in another slot."""
    limits = ExchangeLimits(ttl_s=1_000)
    async with memory_at(own_valkey.url, limits=limits) as memory, Redis.from_url(own_valkey.url) as admin:
        await memory.append(SCOPE, "r1", [said("t1")])
        keys = [key async for key in admin.scan_iter()]
        for key in keys:
            await admin.pexpire(key, 500_000)
        await memory.append(SCOPE, "r2", [said("t2")])

        lives = [await admin.pttl(key) for key in keys]
        assert len(keys) == 3
        assert all(990_000 < life <= 1_061_000 for life in lives)
        assert all(key.decode().startswith(tenant_prefix("acme")) for key in keys)
        assert not any(SCOPE.subject.encode() in key for key in keys)


async def test_a_session_is_gone_after_its_time(own_valkey: Valkey) -> None:
    """Retention is a promise to the user."""
    limits = ExchangeLimits(ttl_s=0.2)
    async with memory_at(own_valkey.url, limits=limits) as memory:
        await memory.append(SCOPE, "r1", [said("t1")])
        async with asyncio.timeout(30):
            while await memory.load(SCOPE):  # noqa: ASYNC110 - the server has no event to set
                await asyncio.sleep(0.02)


async def test_a_subject_is_forgotten_with_its_index(own_valkey: Valkey) -> None:
    """Only the ids of runs are left, under digests, until they expire."""
    async with memory_at(own_valkey.url) as memory, Redis.from_url(own_valkey.url) as admin:
        for number in range(3):
            await memory.append(SCOPE._replace(session=str(number)), "r", [said("secret")])
        await ValkeySubjectData(memory.calls).forget_subject(SCOPE)

        kept = [key.decode() async for key in admin.scan_iter()]
        assert [key.split(":")[2] for key in kept] == ["runs"] * 3
