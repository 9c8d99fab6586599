"""A cluster on which nobody has been yet: a layout belongs to a whole cluster, and other tests have theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster, NodePorts, embedded_cluster
from ops.embedded.kafka import Kafka, embedded_kafka
from streams.journey import INGRESS_GROUP, INNER_GROUPS, versioned
from streams.transport.admin import Admin
from streams.transport.connection import Connection


@pytest.fixture(scope="session")
async def bare_kafka(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A broker for the tests that set up a cluster and take it down again."""
    async with embedded_kafka(tmp_path_factory.mktemp("bare"), embedded_cache) as running:
        yield running


@pytest.fixture
async def bare_cluster(bare_kafka: Kafka) -> AsyncGenerator[Connection]:
    """The cluster. Its topics go after each test, and with them what groups know of them."""
    connection = Connection(bare_kafka.bootstrap)
    yield connection
    async with await Admin.open(connection) as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if not name.startswith("__")])
        for group in (INGRESS_GROUP, *INNER_GROUPS):
            for version in (1, 2):
                while await admin.committed(versioned(group, version)):  # noqa: ASYNC110 - the coordinator takes its time
                    await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
async def three(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[EmbeddedCluster]:
    """Three brokers, for the tests of one module: some of them die."""
    places = [NodePorts.free() for _ in range(3)]
    async with embedded_cluster(tmp_path_factory.mktemp("three"), embedded_cache, places) as cluster:
        yield cluster
