"""Seal keys: a worker with other ones refuses to start, and they are rotated while requests come."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from pydantic import SecretStr

from ops import registry_writer
from ops.errors import SealKeyError, SealKeyInUseError
from ops.lab.chaos.workers import COMMAND
from ops.provision import Provision, Wish
from ops.seal_keys import listed
from ops.settings import Settings, child_environment
from schemas.headers import ERROR_CODE, Headers
from schemas.topics import DEAD_LETTERS
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from tests.integration.deployment import Deployment, deployment
from tests.integration.engine_setup import eventually
from tests.unit.ops.test_seal_keys import NEW, OLD, OTHER, text

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(400)]

FIRST, BOTH = text(k1=OLD), text(k1=OLD, k2=NEW)
TURNED, SECOND = text(k2=NEW, k1=OLD), text(k2=NEW)


def provision(connection: Connection, secret: str | None, *retire: str) -> Provision:
    """Of an operator with this secret."""
    settings = Settings(kafka_bootstrap=connection.bootstrap, seal_secret=SecretStr(secret) if secret else None)
    return Provision(connection, settings, Wish(3, "compact"), retire)


async def test_the_list_is_written_by_the_operator_alone(bare_cluster: Connection) -> None:
    """Shown first, then written; another secret of the same name is refused, a missing one is shown."""
    planned = await provision(bare_cluster, FIRST).plan()
    assert [change.detail for change in planned if change.what == "the registry's seal_keys"] == ["k1"]

    await provision(bare_cluster, FIRST).apply()

    assert await provision(bare_cluster, FIRST).plan() == []
    with pytest.raises(SealKeyError, match="another secret for the key k1"):
        await provision(bare_cluster, text(k1=OTHER)).apply()
    changes = await provision(bare_cluster, SECOND).apply()
    assert [(change.action, change.what) for change in changes] == [
        ("write", "the registry's seal_keys"),
        ("differs", "seal key k1"),
    ]


async def test_a_worker_with_another_secret_refuses_to_start(bare_cluster: Connection, tmp_path: Path) -> None:
    """A process of its own, as a user starts it: one line, and the exit code of a wrong setting."""
    await provision(bare_cluster, FIRST).apply()

    for secret, said in [(text(k1=OTHER), "another secret for the key k1"), (SECOND, "lacks the seal key k1")]:
        line = await _refusal(bare_cluster, tmp_path, HEADRACE_SEAL_SECRET=secret)
        assert said in line
        assert "HEADRACE_SEAL_SECRET" in line
    assert "HEADRACE_SEAL_SECRET is not set" in await _refusal(bare_cluster, tmp_path, status=1)


async def _refusal(connection: Connection, folder: Path, status: int = 2, **changes: str) -> str:
    environment = child_environment(HEADRACE_KAFKA_BOOTSTRAP=connection.bootstrap, **changes)
    process = await asyncio.create_subprocess_exec(*COMMAND, "agent", cwd=folder, env=environment, stderr=PIPE)
    _, said = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == status, said
    *_, line = said.decode().splitlines()  # behind the warning of few copies
    return line


@pytest.mark.slow
async def test_a_key_is_rotated_while_requests_come(bare_cluster: Connection, tmp_path: Path) -> None:
    """As docs/howto/rotate-seal-key.md has it: add, list, turn, retire, remove. Nothing is lost or dead-lettered."""
    wanted = {"ingress": 1, "agent": 2, "retries": 1}
    async with deployment(bare_cluster, tmp_path, "compact", 3, wanted, HEADRACE_SEAL_SECRET=FIRST) as running:
        async with asyncio.TaskGroup() as tasks:
            load = tasks.create_task(running.load.send(500, 80))
            await _roll(running, BOTH)
            await provision(bare_cluster, BOTH).apply()
            await _roll(running, TURNED)
            await _retired(bare_cluster, "k1")
            await _roll(running, SECOND)
            rolled = not load.done()
        verdict = await running.settled(500)

        assert verdict.clean, verdict
        assert (verdict.sent, verdict.answered) == (500, 500)
        assert running.workers.exits == {0: 12}
        assert rolled, "requests came all the while"
        assert await _rejected(bare_cluster) == 0
        assert "lacks the seal key k2" in await _refusal(bare_cluster, tmp_path, HEADRACE_SEAL_SECRET=FIRST)


@pytest.mark.slow
async def test_a_key_that_seals_too_early_costs_no_request(bare_cluster: Connection, tmp_path: Path) -> None:
    """Listed and turned at once: workers that lack it end, instead of dead-lettering what others sealed with it."""
    wanted = {"ingress": 1, "agent": 1, "retries": 1}
    async with deployment(bare_cluster, tmp_path, "compact", 3, wanted, HEADRACE_SEAL_SECRET=FIRST) as running:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(running.load.send(100, 25))
            await provision(bare_cluster, BOTH).apply()
            running.workers.environment = {**running.workers.environment, "HEADRACE_SEAL_SECRET": TURNED}
            (agent,) = running.of("agent")
            running.workers.drain(running.of("ingress")[0])
            await asyncio.wait_for(agent.child.process.wait(), 60)
        verdict = await running.settled(100)

        assert verdict.clean, verdict
        assert await _rejected(bare_cluster) == 0
        assert "HEADRACE_SEAL_SECRET lacks the seal key k2" in agent.child.log.read_text()


async def _roll(running: Deployment, secret: str) -> None:
    """Every worker ends, and another one with this secret takes its place."""
    running.workers.environment = {**running.workers.environment, "HEADRACE_SEAL_SECRET": secret}
    for worker in list(running.workers.all):
        running.workers.drain(worker)
        await asyncio.wait_for(worker.child.process.wait(), 60)
    await eventually(lambda: len(running.workers.all) == 4 and _opened(running), 60)


def _opened(running: Deployment) -> bool:
    ready = [worker for worker in running.workers.all if '"event":"shard_opened"' in worker.child.log.read_text()]
    return len(ready) == len(running.workers.all)


async def _retired(connection: Connection, kid: str) -> None:
    """Repeated, as the operator is told, while records need the key."""
    for _ in range(60):
        try:
            await provision(connection, TURNED, kid).apply()
        except SealKeyInUseError:
            await asyncio.sleep(0.5)
        else:
            break
    assert await provision(connection, SECOND).apply() == []
    assert [*listed(await registry_writer.load(connection))] == ["k2"]


async def _rejected(connection: Connection) -> int:
    """Dead letters with a seal that no key of their reader matched; some requests of the load fail by intent."""
    async with await Reader.open(connection, DEAD_LETTERS.name) as reader:
        letters = [record async for record in reader.until(await reader.high_watermarks())]
    return sum(Headers(letter.headers).text(ERROR_CODE) == "unauthenticated" for letter in letters)
