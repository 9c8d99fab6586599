"""Three brokers, of which some are away: copies, and stages that start meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ops.embedded.cluster import EmbeddedCluster
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.tenants import Tenant
from schemas.topics import PLATFORM, REQUESTS, RESULTS, TENANTS
from streams.journey import INGRESS_GROUP, INNER_GROUPS
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from tests.integration.changes import running_brokers
from tests.integration.engine_setup import eventually
from tests.integration.test_stage_start import STARTED_S, stage

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

WISH = Wish(shards=4, journey="compact")


@pytest.fixture(scope="module")
def settings(three: EmbeddedCluster) -> Settings:
    """Of an operator who says nothing but where the brokers are: on this machine."""
    return Settings(kafka_bootstrap=three.bootstrap)


@pytest.mark.parametrize("name", ["ingress", "agent", "retries"])
async def test_a_stage_starts_while_partitions_have_no_leader(
    three: EmbeddedCluster, settings: Settings, tmp_path: Path, name: str
) -> None:
    """With one copy, a third of all partitions is away with one broker. It comes back, and no process has ended."""
    connection = Connection(three.bootstrap)
    single = settings.model_copy(update={"replication_factor": 1})
    await emptied(connection)
    await Provision(connection, single, WISH).apply()
    async with await Admin.open(connection) as admin:
        away = (await admin.leaders(TENANTS.name))[0]
        await three.node(away).kill()
        while away in (await admin.leaders(TENANTS.name)).values():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
    async with stage(name, tmp_path, HEADRACE_KAFKA_BOOTSTRAP=three.bootstrap) as waiting:
        try:
            await eventually(waiting.has("start_delayed"), STARTED_S)
            assert f"the leaders of {TENANTS.name}:0" in waiting.lines("start_delayed")[0]["waiting_for"]
        finally:
            await three.node(away).start()
        await eventually(waiting.opened(4), STARTED_S)
        assert [row["copies"] for row in waiting.lines("few_copies_found")] == [1]
        assert (await waiting.stop())[0] == 0


async def emptied(connection: Connection) -> None:
    """Take down what another test has set up, and wait until groups have forgotten it."""
    async with await Admin.open(connection) as admin:
        await admin.delete_topics([name for name in await admin.list_topics() if not name.startswith("__")])
        for group in (INGRESS_GROUP, *INNER_GROUPS):
            while await admin.committed(group):  # noqa: ASYNC110 - the coordinator takes its time
                await asyncio.sleep(0.05)


async def test_topics_have_three_copies_on_three_brokers_behind_loopback_while_one_is_away(
    three: EmbeddedCluster, settings: Settings
) -> None:
    """A broker that is away comes back, and its copy with it; where the others are says nothing."""
    connection, lines = Connection(three.bootstrap), list[str]()
    await emptied(connection)
    await three.node(3).kill()
    async with await Admin.open(connection) as admin:
        while await running_brokers(admin) == 3:  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.1)
        assert await admin.registered_brokers() == 3

        await Provision(connection, settings, WISH, tell=lines.append).apply()
        await Tenancy(connection, settings).put(Tenant(id="acme", agents=("echo",)))

        names = [topic.name for topic in PLATFORM] + [REQUESTS.of("acme"), RESULTS.of("acme")]
        found = await admin.describe(names)
    await three.node(3).start()

    assert {name: topic.replication for name, topic in found.items()} == dict.fromkeys(names, 3)
    assert {topic.configs["min.insync.replicas"] for topic in found.values()} == {"2"}
    assert lines == []
