"""The embedded broker and the embedded Valkey: started, killed, crowded and cancelled, with what they keep."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ops.embedded import ports, probe, properties
from ops.embedded.errors import EmbeddedError, FolderInUseError, PortTakenError
from ops.embedded.folders import owned
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.embedded.valkey import Valkey, embedded_valkey
from schemas.records import ProducerRecord
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import Writer
from tests.integration.processes import alive, gone, parent

pytestmark = pytest.mark.anyio

TOPIC = "kept"


async def _write(bootstrap: str, value: bytes) -> None:
    connection = Connection(bootstrap)
    async with await Admin.open(connection) as admin, await Writer.open(connection) as writer:
        await admin.create_topics([NewTopicSpec(TOPIC, partitions=1)])
        await writer.send(ProducerRecord(TOPIC, key=b"k", value=value))


async def _read(bootstrap: str) -> bytes | None:
    async with await Reader.open(Connection(bootstrap), TOPIC) as reader, asyncio.timeout(30):
        async for record in reader:
            return record.value
    return None


async def _set(url: str, value: str) -> None:
    async with Redis.from_url(url) as client:
        await client.set("kept", value)


async def _get(url: str) -> str:
    async with Redis.from_url(url, decode_responses=True) as client:
        return str(await client.get("kept"))


async def test_a_stopped_stack_leaves_no_process_no_port_and_no_lock(tmp_path: Path, embedded_cache: Path) -> None:
    """Tests and demos start and stop it all day."""
    async with embedded_kafka(tmp_path / "k", embedded_cache) as kafka, embedded_valkey(tmp_path / "v") as valkey:
        pids = [kafka.pid, valkey.pid]

    assert [alive(pid) for pid in pids] == [False, False]
    assert await probe.cluster_at(kafka.port) is None
    async with owned(tmp_path / "k", patience=0), owned(tmp_path / "v", patience=0):
        pass


async def test_a_killed_parent_leaves_no_orphan_and_loses_nothing(tmp_path: Path, embedded_cache: Path) -> None:
    """SIGKILL gives the parent no chance to clean up; the next start finds the folder free and full."""
    async with parent("stack", tmp_path, embedded_cache) as (process, told):
        await _write(told["kafka"], b"before the kill")
        await _set(told["valkey"], "before the kill")
        process.send_signal(signal.SIGKILL)
        await gone(told["pids"], within=20)

    async with (
        embedded_kafka(tmp_path / "kafka", embedded_cache) as kafka,
        embedded_valkey(tmp_path / "valkey") as valkey,
    ):
        assert await _read(kafka.bootstrap) == b"before the kill"
        assert await _get(valkey.url) == "before the kill"


@pytest.mark.parametrize("way", ["kernel", "pipe"])
async def test_a_child_learns_of_its_parents_death(way: str, tmp_path: Path, embedded_cache: Path) -> None:
    """From the kernel on Linux, from a pipe on macOS; the pipe's way runs here as well."""
    async with parent(way, tmp_path, embedded_cache) as (process, told):
        await asyncio.sleep(0.5)
        assert alive(told["pids"][0])
        process.send_signal(signal.SIGKILL)

        await gone(told["pids"], within=10)


async def test_a_killed_broker_comes_back_on_its_port_with_its_records(tmp_path: Path, embedded_cache: Path) -> None:
    """What a chaos run does, over and over."""
    async with embedded_kafka(tmp_path, embedded_cache) as kafka:
        await _write(kafka.bootstrap, b"before the kill")
        killed, bootstrap = kafka.pid, kafka.bootstrap

        await kafka.kill()
        assert not alive(killed)
        with pytest.raises(EmbeddedError, match="Kafka is not started"):
            _ = kafka.pid
        await kafka.start()

        assert kafka.bootstrap == bootstrap
        assert await _read(bootstrap) == b"before the kill"


async def test_a_killed_valkey_comes_back_at_its_address_with_its_keys(tmp_path: Path) -> None:
    """Whoever holds the address, password and all, need not learn another."""
    async with embedded_valkey(tmp_path) as valkey:
        await _set(valkey.url, "before the kill")
        url = valkey.url

        await valkey.kill()
        await valkey.start()

        assert valkey.url == url
        assert await _get(url) == "before the kill"


async def test_a_second_instance_has_a_cluster_and_a_port_of_its_own(
    kafka: Kafka, tmp_path: Path, embedded_cache: Path
) -> None:
    """Two checkouts on one machine must not meet."""
    async with embedded_kafka(tmp_path, embedded_cache) as other:
        mine, theirs = await probe.cluster_at(kafka.port), await probe.cluster_at(other.port)

    assert mine == probe.ProbedCluster(kafka.cluster_id, frozenset({kafka.port}))
    assert theirs == probe.ProbedCluster(other.cluster_id, frozenset({other.port}))
    assert kafka.cluster_id != other.cluster_id


async def test_a_second_instance_on_the_same_folder_is_told_whose_it_is(
    kafka: Kafka, valkey: Valkey, embedded_cache: Path
) -> None:
    """Two brokers on one folder would ruin it."""
    for second in (embedded_kafka(kafka.folder, embedded_cache), embedded_valkey(valkey.folder)):
        with pytest.raises(FolderInUseError, match=r"^.* is in use by process \d+: .*$"):
            async with second:
                pass


async def test_a_port_that_was_asked_for_and_is_taken_is_named(
    kafka: Kafka, tmp_path: Path, embedded_cache: Path
) -> None:
    """Above all if another broker answers there: clients would talk to the wrong one."""
    for second in (
        embedded_kafka(tmp_path / "k", embedded_cache, port=kafka.port),
        embedded_valkey(tmp_path / "v", port=kafka.port),
    ):
        with pytest.raises(PortTakenError, match=rf"^port {kafka.port} for \w+ is taken: .*$"):
            async with second:
                pass


async def test_a_free_port_that_is_lost_to_another_is_given_up(
    kafka: Kafka, tmp_path: Path, embedded_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between finding a port and binding it anything may happen; the other broker's answers do not count as ours."""
    real = ports.free
    lost = [kafka.port]
    monkeypatch.setattr(ports, "free", lambda other=0: lost.pop() if lost else real(other))

    async with embedded_kafka(tmp_path / "k", embedded_cache) as other:
        assert await probe.cluster_at(other.port) == probe.ProbedCluster(other.cluster_id, frozenset({other.port}))
        assert await probe.cluster_at(kafka.port) == probe.ProbedCluster(kafka.cluster_id, frozenset({kafka.port}))
        assert lost == []

    lost.append(kafka.port)
    async with embedded_valkey(tmp_path / "v") as server:
        assert server.port != kafka.port
        assert lost == []


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path: Path, embedded_cache: Path) -> None:
    """Ctrl-C comes at any moment."""
    for seconds in (0.2, 1.2, 2.0):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(seconds), embedded_kafka(tmp_path, embedded_cache):
                await asyncio.Event().wait()
        async with owned(tmp_path, patience=0):
            pass


async def test_the_broker_takes_the_largest_dead_letter(kafka: Kafka) -> None:
    """A record at the edge's limit must not be refused when it is buried."""
    edge, headers, ours = 1 << 20, 64 << 10, 128 << 10

    assert int(properties.FIXED["message.max.bytes"]) > edge + headers + ours
    assert "message.max.bytes=2097152\n" in (kafka.folder / "data.properties").read_text()


async def test_valkey_refuses_whoever_has_no_password(valkey: Valkey) -> None:
    """Loopback is shared by all users of the machine; its files are not."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/0") as stranger:
        with pytest.raises(RedisError, match="authenticated"):
            await stranger.ping()

    assert {oct((valkey.folder / name).stat().st_mode & 0o777) for name in ("password", "valkey.conf")} == {"0o600"}


async def test_the_brokers_log_survives_a_restart_in_a_private_folder(tmp_path: Path, embedded_cache: Path) -> None:
    """An operator looks for the reason after the restart, in a folder that may be from an older version."""
    folder = tmp_path / "kafka"
    folder.mkdir(mode=0o755)
    async with embedded_kafka(folder, embedded_cache) as kafka:
        os.kill(kafka.pid, signal.SIGQUIT)  # the JVM prints its threads
        async with asyncio.timeout(20):
            while b"Full thread dump" not in (folder / "kafka.log").read_bytes():  # noqa: ASYNC110  (a file)
                await asyncio.sleep(0.05)
        await kafka.kill()
        await kafka.start()

        assert b"Full thread dump" in (folder / "kafka.before.log").read_bytes()
        assert b"Full thread dump" not in (folder / "kafka.log").read_bytes()
        assert {(folder / name).stat().st_mode & 0o777 for name in ("kafka.log", "kafka.before.log")} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
