"""A real Kafka of several nodes in KRaft mode. Each node can be killed and restarted."""

from __future__ import annotations

import asyncio
import base64
import secrets
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from ops.embedded import java, kafka, ports, probe, properties
from ops.embedded.children import ChildProcess, started
from ops.embedded.folders import owned
from ops.embedded.jars import Jars, Progress
from ops.embedded.java import Java
from ops.embedded.server import Server

LISTENERS = "CLIENT:PLAINTEXT,INNER:PLAINTEXT,CONTROLLER:PLAINTEXT"


@dataclass(frozen=True, slots=True)
class NodePorts:
    """The ports of one node, chosen before any node starts, because each node's settings name the others' ports."""

    client: int
    inner: int
    """The port for brokers among themselves, and for clients that must bypass the proxy at ``advertised``."""

    controller: int
    advertised: int
    """The port advertised to clients: ``client``, or the port of a proxy."""

    @classmethod
    def free(cls, advertised: int = 0, client: int = 0) -> NodePorts:
        """Choose free ports. *advertised* overrides the port that is advertised to clients."""
        chosen = client or ports.free(advertised)
        inner = ports.free(chosen)
        controller = ports.free(inner)
        return cls(chosen, inner, controller, advertised or chosen)


@dataclass(slots=True)
class Node(Server):
    """One broker and controller of a cluster."""

    what: ClassVar[str] = "a Kafka node"
    patience: ClassVar[float] = 120.0

    cluster_id: str
    settings: Path
    inner: int
    java: Java
    lock: int

    def process(self, port: int) -> AbstractAsyncContextManager[ChildProcess]:
        """Return the JVM process. *port* is ignored, because the node's settings already name its port."""
        del port
        command = self.java.command("kafka.Kafka", str(self.settings), flags=kafka.flags(self.folder))
        log = self.folder / "kafka.log"
        return started(self.what, command, log, grace=kafka.GRACE, folder=self.folder, inherit=[self.lock])

    async def serves(self, port: int) -> bool:
        """Return True if the node reports our cluster id and lists itself. A fenced broker does not list itself."""
        del port
        found = await probe.cluster_at(self.inner)
        return found is not None and found.id == self.cluster_id and self.inner in found.ports


@dataclass(frozen=True, slots=True)
class EmbeddedCluster:
    """All nodes, with node ids from 1."""

    nodes: tuple[Node, ...]
    places: tuple[NodePorts, ...]

    @property
    def bootstrap(self) -> str:
        """The bootstrap servers for clients: the advertised listener of each node."""
        return ",".join(f"{ports.LOOPBACK}:{place.advertised}" for place in self.places)

    @property
    def inner(self) -> str:
        """The bootstrap servers of the brokers' own listeners, which bypass any proxy."""
        return ",".join(f"{ports.LOOPBACK}:{place.inner}" for place in self.places)

    def node(self, node_id: int) -> Node:
        """Return the node with this id in the cluster metadata."""
        return self.nodes[node_id - 1]


@asynccontextmanager
async def embedded_cluster(
    folder: Path,
    cache: Path,
    places: Sequence[NodePorts],
    *,
    repository: str | None = None,
    neighbour: Path | None = None,
    progress: Progress | None = None,
) -> AsyncGenerator[EmbeddedCluster]:
    """Run a new node at each of *places*, with its data in *folder*, for the block.

    See ``embedded_kafka`` for the other arguments. Raise the subclass of EmbeddedError that names the cause.
    """
    jars = Jars(cache / "jars", repository, neighbour)
    found = java.found(await jars.ready(progress), cache / "aot")
    cluster_id = kafka.new_cluster_id()
    async with AsyncExitStack() as stack:
        mine = [await stack.enter_async_context(owned(folder / f"node-{n + 1}")) for n in range(len(places))]
        voters = _voters(places)
        nodes = [
            Node(
                each.path, place.client, cluster_id, _written(each.path, number, places), place.inner, found, each.lock
            )
            for number, (each, place) in enumerate(zip(mine, places, strict=True))
        ]
        try:
            async with asyncio.TaskGroup() as tasks:
                for node in nodes:
                    tasks.create_task(_begin(node, voters))
            yield EmbeddedCluster(tuple(nodes), tuple(places))
        finally:
            async with asyncio.TaskGroup() as tasks:
                for node in nodes:
                    tasks.create_task(node.stop())


async def _begin(node: Node, voters: str) -> None:
    arguments = ["format", "-t", node.cluster_id, "-c", str(node.settings), "--initial-controllers", voters]
    command = node.java.command("kafka.tools.StorageTool", *arguments, flags=kafka.flags(node.folder))
    log = node.folder / "format.log"
    async with started("Kafka's format", command, log, grace=0.0, folder=node.folder, inherit=[node.lock]) as child:
        await child.finished()
    await node.start()


def _voters(places: Sequence[NodePorts]) -> str:
    return ",".join(
        f"{number}@{ports.LOOPBACK}:{place.controller}:{_directory_id()}" for number, place in enumerate(places, 1)
    )


def _directory_id() -> str:
    """Return a UUID in Kafka's encoding. Retry one that begins with a dash, because it would look like an option."""
    text = base64.urlsafe_b64encode(uuid.UUID(bytes=secrets.token_bytes(16)).bytes).decode().rstrip("=")
    return _directory_id() if text.startswith("-") else text


def _written(folder: Path, number: int, places: Sequence[NodePorts]) -> Path:
    """Write the settings of one node. With three nodes, one may die without loss of acknowledged records."""
    mine, copies = places[number], min(3, len(places))
    at_least = max(1, copies - 1)
    settings = properties.FIXED | {
        "node.id": str(number + 1),
        "inter.broker.listener.name": "INNER",
        "listener.security.protocol.map": LISTENERS,
        "listeners": ",".join(
            f"{name}://{ports.LOOPBACK}:{port}"
            for name, port in (("CLIENT", mine.client), ("INNER", mine.inner), ("CONTROLLER", mine.controller))
        ),
        "advertised.listeners": f"CLIENT://{ports.LOOPBACK}:{mine.advertised},INNER://{ports.LOOPBACK}:{mine.inner}",
        "controller.quorum.bootstrap.servers": ",".join(f"{ports.LOOPBACK}:{each.controller}" for each in places),
        "log.dirs": properties.DATA,
        "replica.lag.time.max.ms": "5000",
        "default.replication.factor": str(copies),
        "min.insync.replicas": str(at_least),
        "offsets.topic.replication.factor": str(copies),
        "transaction.state.log.replication.factor": str(copies),
        "transaction.state.log.min.isr": str(at_least),
        "share.coordinator.state.topic.replication.factor": str(copies),
        "share.coordinator.state.topic.min.isr": str(at_least),
    }
    return properties.kept(folder / f"{properties.DATA}.properties", settings)
