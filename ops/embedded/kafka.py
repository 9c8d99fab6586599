"""A real Apache Kafka, one node in KRaft mode, as an async context manager."""

from __future__ import annotations

import base64
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from ops.embedded import java, ports, probe, properties, storage
from ops.embedded.children import ChildProcess, started
from ops.embedded.errors import EmbeddedError
from ops.embedded.folders import Owned, owned
from ops.embedded.jars import Jars, Progress
from ops.embedded.java import Java
from ops.embedded.server import Server
from ops.embedded.storage import Pattern

GRACE = 20.0
"""Seconds for a clean stop. A slower broker is killed, and loses no records."""
RECORDING = 90.0
"""Seconds for the stop of a broker that also writes its ahead-of-time cache."""
NEW = "new"
"""The subfolder in which a data folder is formatted."""
LOG4J = Path(__file__).with_name("log4j2.xml")


@dataclass(slots=True)
class Kafka(Server):
    """A broker that can be killed and restarted."""

    what: ClassVar[str] = "Kafka"
    patience: ClassVar[float] = 120.0
    """Seconds for a start. It takes 3 on two cores, more on a busy machine or with a large folder to recover."""

    cluster_id: str
    java: Java
    lock: int
    record_aot: bool
    more: Mapping[str, str] = field(default_factory=dict[str, str])
    """Broker settings that override the fixed ones, by Kafka's names."""

    @property
    def bootstrap(self) -> str:
        """The address of the broker as ``host:port``, on loopback."""
        return f"{ports.LOOPBACK}:{self.port}"

    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        """Return the JVM process. It records an ahead-of-time cache if ``record_aot`` is set and none exists."""
        settings = properties.written(self.folder, port, ports.free(port), more=self.more)
        record = self.record_aot and not self.java.aot.exists()
        own = [*flags(self.folder), *([f"-XX:AOTCacheOutput={self._recording}"] if record else [])]
        return started(
            self.what,
            self.java.command("kafka.Kafka", str(settings), flags=own),
            self.folder / "kafka.log",
            grace=RECORDING if record else GRACE,
            folder=self.folder,
            inherit=[self.lock],
        )

    async def serves(self, port: int) -> bool:
        """Return True if the broker at *port* has our cluster id: an open port may be another broker's."""
        cluster = await probe.cluster_at(port)
        return cluster is not None and cluster.id == self.cluster_id and port in cluster.ports

    async def stop(self) -> None:
        """Stop the broker cleanly, and keep a recorded cache."""
        await Server.stop(self)
        self.java.recorded(self._recording)

    @property
    def _recording(self) -> Path:
        return self.java.aot.with_suffix(f".{os.getpid()}.part")


@asynccontextmanager
async def embedded_kafka(  # noqa: PLR0913 - one argument an option
    folder: Path,
    cache: Path,
    *,
    port: int = 0,
    preferred: int = 0,
    repository: str | None = None,
    neighbour: Path | None = None,
    record_aot: bool = False,
    progress: Progress | None = None,
    more: Mapping[str, str] | None = None,
) -> AsyncGenerator[Kafka]:
    """Run a broker that keeps its records in ``folder``, for the block.

    ``cache`` holds the files that instances share: jars (see ``Jars`` for ``repository`` and ``neighbour``), a
    formatted data folder, and Java's ahead-of-time cache. ``record_aot`` writes the ahead-of-time cache once, which
    takes 7 to 16 s at the end of the block. ``more`` are broker settings that override the fixed ones, by Kafka's
    names. Without ``port`` it listens on ``preferred``, or on a free port if that is taken. Raise the subclass of
    EmbeddedError that names the cause.
    """
    jars = Jars(cache / "jars", repository, neighbour)
    found = java.found(await jars.ready(progress), cache / "aot")
    async with owned(folder) as mine:
        kafka = Kafka(mine.path, port, await _formatted(mine, found, cache), found, mine.lock, record_aot, more or {})
        kafka.preferred = preferred
        await kafka.start()
        try:
            yield kafka
        finally:
            await kafka.stop()


async def _formatted(mine: Owned, found: Java, cache: Path) -> str:
    """Format the folder if it is not formatted, and return its cluster id."""
    data = mine.path / properties.DATA
    if not (data / storage.META).exists():
        await _format(mine, found, storage.Pattern.of(cache / "storage", found.jars, repr(properties.FIXED)))
    cluster_id = storage.cluster_of(data)
    if cluster_id is None:
        message = f"{data / storage.META} names no cluster: the folder is damaged, use another"
        raise EmbeddedError(message)
    return cluster_id


async def _format(mine: Owned, found: Java, pattern: Pattern) -> None:
    """Format a folder beside its final path, then rename it, so that an interrupted format leaves no data folder."""
    new, cluster_id = mine.path / NEW, new_cluster_id()
    shutil.rmtree(new, ignore_errors=True)
    if not pattern.copied(new, cluster_id):
        await _run_format(mine, found, cluster_id)
        pattern.keep(new)
    new.rename(mine.path / properties.DATA)


async def _run_format(mine: Owned, found: Java, cluster_id: str) -> None:
    port = ports.free()
    settings = properties.written(mine.path, port, ports.free(port), data=NEW)
    arguments = ["format", "--standalone", "-t", cluster_id, "-c", str(settings)]
    command = found.command("kafka.tools.StorageTool", *arguments, flags=flags(mine.path))
    log = mine.path / "format.log"
    async with started("Kafka's format", command, log, grace=0.0, folder=mine.path, inherit=[mine.lock]) as child:
        await child.finished()


def new_cluster_id() -> str:
    """Return a new cluster id of 22 characters. Its first character never looks like an option."""
    return "h" + base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")[1:]


def flags(folder: Path) -> list[str]:
    """Return JVM flags that keep Java's own files in the folder. A kill would leave them in the system's temp one."""
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    return [
        f"-Djava.io.tmpdir={scratch}",
        f"-XX:ErrorFile={folder / 'crash.log'}",
        f"-Dkafka.logs.dir={folder}",
        f"-Dlog4j2.configurationFile={LOG4J}",
    ]
