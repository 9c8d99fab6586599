"""The environment of a chaos run: a cluster of its own, a proxy before each broker, and a Valkey."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from ops.embedded.cluster import EmbeddedCluster, NodePorts, embedded_cluster
from ops.embedded.valkey import Valkey, embedded_valkey
from ops.lab.chaos.proxy import Proxy
from ops.settings import Settings, cache_folder, child_environment, maven_folder
from streams.transport.connection import Connection


@dataclass(frozen=True, slots=True)
class ChaosEnvironment:
    """The running environment."""

    cluster: EmbeddedCluster
    proxies: list[Proxy]
    valkey: Valkey
    settings: Settings
    """The settings of workers, which reach the cluster through the proxies."""

    direct: Connection
    """A connection to the brokers without the proxies."""

    def environment(self) -> dict[str, str]:
        """Return a worker's environment variables: the system's, with the cluster's settings added."""
        valkey = self.settings.valkey_url
        return child_environment(
            HEADRACE_KAFKA_BOOTSTRAP=self.settings.kafka_bootstrap or "",
            HEADRACE_REPLICATION_FACTOR=str(self.settings.replication_factor),
            HEADRACE_VALKEY_URL="" if valkey is None else valkey.get_secret_value(),
            HEADRACE_LOG="json",
        )


@asynccontextmanager
async def chaos_environment(
    brokers: int, seed: int, settings: Settings, folder: Path
) -> AsyncGenerator[ChaosEnvironment]:
    """Run the environment in *folder* for the block. Raise the subclass of EmbeddedError that names the cause."""
    async with AsyncExitStack() as stack:
        proxies = [Proxy(0, random.Random(f"{seed} {number}")) for number in range(brokers)]  # noqa: S311 - chaos
        for proxy in proxies:
            await stack.enter_async_context(proxy.listening())
        places = [NodePorts.free(proxy.port) for proxy in proxies]
        for proxy, place in zip(proxies, places, strict=True):
            proxy.upstream = place.client
        cluster = await stack.enter_async_context(
            embedded_cluster(
                folder, cache_folder(), places, repository=settings.maven_repository, neighbour=maven_folder()
            )
        )
        valkey = await stack.enter_async_context(embedded_valkey(folder / "valkey"))
        changes = {"kafka_bootstrap": cluster.bootstrap, "valkey_url": SecretStr(valkey.url)}
        ours = settings.model_copy(update={**changes, "replication_factor": brokers})
        yield ChaosEnvironment(cluster, proxies, valkey, ours, Connection(cluster.inner))
