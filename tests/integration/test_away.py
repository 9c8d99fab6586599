"""Three brokers, of which some are away: copies, and stages that start meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from ops.embedded.cluster import EmbeddedCluster
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.tenants import Tenant
from schemas.topics import PLATFORM, REQUESTS, RESULTS
from streams.transport.admin import Admin
from streams.transport.connection import Connection

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

WISH = Wish(shards=4, journey="compact")


@pytest.fixture(scope="module")
def settings(three: EmbeddedCluster) -> Settings:
    """Of an operator who says nothing but where the brokers are: on this machine."""
    return Settings(kafka_bootstrap=three.bootstrap)


async def test_topics_have_three_copies_on_three_brokers_behind_loopback_while_one_is_away(
    three: EmbeddedCluster, settings: Settings
) -> None:
    """A broker that is away comes back, and its copy with it; where the others are says nothing."""
    connection, lines = Connection(three.bootstrap), list[str]()
    await three.node(3).kill()
    async with await Admin.open(connection) as admin:
        while len((await admin._asked(admin._admin.describe_cluster))["brokers"]) == 3:  # noqa: ASYNC110, SLF001
            await asyncio.sleep(0.1)
        assert await admin.registered_brokers() == 3

        await Provision(connection, settings, WISH, lines.append).apply()
        await Tenancy(connection, settings).put(Tenant(id="acme", agents=("echo",)))

        names = [topic.name for topic in PLATFORM] + [REQUESTS.of("acme"), RESULTS.of("acme")]
        found = await admin.describe(names)
    await three.node(3).start()

    assert {name: topic.replication for name, topic in found.items()} == dict.fromkeys(names, 3)
    assert {topic.configs["min.insync.replicas"] for topic in found.values()} == {"2"}
    assert lines == []
