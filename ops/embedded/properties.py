"""The settings of the embedded broker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from ops.embedded.ports import LOOPBACK

DATA = "data"
FIXED = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "CLIENT",
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,CLIENT:PLAINTEXT",
    # a restart after a kill waits for the dead broker's session: 2 s, not 9
    "broker.heartbeat.interval.ms": "500",
    "broker.session.timeout.ms": "2000",
    # topics are only created explicitly
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    # a year: a folder that is unused for weeks keeps its committed offsets
    "offsets.retention.minutes": "525600",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # above the size of a dead letter: 1 MiB of value, its headers, and 128 KiB of ours; topics set their own limit
    "message.max.bytes": str(2 << 20),
    # the default allocates 128 MiB of the heap at once
    "log.cleaner.dedupe.buffer.size": str(16 << 20),
}


def written(
    folder: Path, port: int, controller: int, data: str = DATA, more: Mapping[str, str] = MappingProxyType({})
) -> Path:
    """Write the settings of a broker that works in ``folder``, keeps its records in ``data`` there, and binds loopback.

    *more* overrides the fixed settings; its ``listeners`` are added to the default ones.
    ``data`` stays relative: Kafka splits an absolute path at its commas, and reads it as Latin-1.
    """
    others = [listener for listener in more.get("listeners", "").split(",") if listener]
    settings = {
        **FIXED,
        **more,
        "listeners": ",".join([f"CLIENT://{LOOPBACK}:{port}", f"CONTROLLER://{LOOPBACK}:{controller}", *others]),
        "advertised.listeners": ",".join([f"CLIENT://{LOOPBACK}:{port}", *others]),
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{controller}",
        "log.dirs": data,
    }
    return kept(folder / f"{data}.properties", settings)


def kept(path: Path, settings: Mapping[str, str]) -> Path:
    """Write *settings* in Kafka's file format, and return the path."""
    path.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    return path
