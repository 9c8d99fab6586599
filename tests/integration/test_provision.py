"""A cluster is set up once, by whoever comes first, and a second time for nothing."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import SecretStr

from ops import registry_writer
from ops.errors import LayoutDiffersError, NotServedError, OffsetMissingError, TenantExistsError, UnknownTenantError
from ops.provision import Provision, Wish
from ops.provisioned_offsets import first_offsets
from ops.registry_writer import Entry
from ops.settings import Settings
from ops.tenancy import Tenancy
from ops.topology import Change
from schemas.records import Partition, ProducerRecord
from schemas.tenants import Layout, Limits, Tenant
from schemas.topics import CONTROL, EVENTS, PLATFORM, REQUESTS, RESULTS, RETRIES_10S, SCREENED
from streams.journey import INGRESS_GROUP, INNER_GROUPS
from streams.registry.tenants import TenantRegistry
from streams.transport.admin import Admin, NewTopicSpec
from streams.transport.connection import Connection
from streams.transport.errors import UnknownTopicError
from streams.transport.writer import TransactionalWriter, Writer

pytestmark = pytest.mark.anyio

WISH = Wish(shards=3, journey="compact")


@pytest.fixture
def connection(bare_cluster: Connection) -> Connection:
    """Nobody has been there yet."""
    return bare_cluster


@pytest.fixture
def settings(connection: Connection) -> Settings:
    """Of an operator who says nothing but where the broker is."""
    return Settings(kafka_bootstrap=connection.bootstrap)


@pytest.fixture
def provision(connection: Connection, settings: Settings) -> Provision:
    """Three shards, so that one of them can be looked at."""
    return Provision(connection, settings, WISH)


async def test_a_cluster_is_set_up_once(provision: Provision, connection: Connection) -> None:
    """The plan says what will be done; then it is done; then there is nothing left to do."""
    planned = await provision.plan()
    done = await provision.apply()

    assert set(done) == set(planned)
    assert len(done) == len(planned)
    assert {change.what for change in done if change.action == "create"} == {topic.name for topic in PLATFORM}
    assert await provision.plan() == []
    assert await provision.apply() == []

    registry = await registry_writer.load(connection)
    assert registry.layout == Layout(shards=3, journey="compact")
    assert registry.secret is not None
    assert len(registry.secret.secret) == 32


async def test_every_group_begins_at_the_beginning_of_what_is_empty(
    provision: Provision, connection: Connection
) -> None:
    """A stage never guesses where to begin; somebody has to say it once."""
    await provision.apply()

    async with await Admin.open(connection) as admin:
        for group, topics in INNER_GROUPS.items():
            partitions = [Partition(topic.name, number) for topic in topics for number in range(3)]
            assert await admin.committed(group, partitions) == dict.fromkeys(partitions, 0)


async def test_an_offset_that_is_there_is_left_alone(provision: Provision, connection: Connection) -> None:
    """Applying topics on a cluster that works must not make a stage run everything again."""
    await provision.apply()
    setup = Partition(SCREENED.name, 1)
    async with await TransactionalWriter.open(connection, "a-stage") as writer:
        await writer.transact([ProducerRecord(SCREENED.name, b"k", b"v", partition=1)], {setup: 1}, "headrace.agent")

    assert await provision.apply() == []

    async with await Admin.open(connection) as admin:
        assert await admin.committed("headrace.agent", [setup]) == {setup: 1}


async def test_a_lost_offset_is_reported_and_not_made_up(provision: Provision, connection: Connection) -> None:
    """Beginning anew would run again what has been run; going to the end would lose what has not."""
    await provision.apply()
    async with await Admin.open(connection) as admin:
        async with await Writer.open(connection) as writer:
            await writer.send(ProducerRecord(RETRIES_10S.name, b"k", b"v", partition=2))
        lost = await first_offsets(
            connection, admin, Layout(shards=3), absent=frozenset(), groups={"a-new-group": (RETRIES_10S,)}
        )

    assert lost.lost == {"a-new-group": (Partition(RETRIES_10S.name, 2),)}
    assert [change.action for change in lost.changes()] == ["commit", "differs"]
    with pytest.raises(OffsetMissingError, match=r"a-new-group has no offset of .*:2, which holds records"):
        await lost.commit(connection)


async def test_another_layout_is_refused(provision: Provision, connection: Connection, settings: Settings) -> None:
    """Two layouts at once would answer every request twice."""
    await provision.apply()

    for wish in (Wish(shards=4), Wish(journey="split")):
        with pytest.raises(LayoutDiffersError, match="the cluster has 3 shards and the journey compact"):
            await Provision(connection, settings, wish).apply()

    assert await Provision(connection, settings, Wish()).apply() == []


async def test_a_topic_in_another_shape_is_shown_and_left_alone(provision: Provision, connection: Connection) -> None:
    """Somebody has made it by hand; what to do about it is theirs to decide."""
    async with await Admin.open(connection) as admin:
        await admin.create_topics([NewTopicSpec(RETRIES_10S.name, 5, 1, {"retention.ms": "1000"})])

    changes = [change for change in await provision.apply() if change.what == RETRIES_10S.name]

    assert Change("differs", RETRIES_10S.name, "partitions: 5, should be 3") in changes
    wanted = RETRIES_10S.config["retention.ms"]
    assert Change("differs", RETRIES_10S.name, f"retention.ms: 1000, should be {wanted}") in changes
    async with await Admin.open(connection) as admin:
        assert (await admin.describe([RETRIES_10S.name]))[RETRIES_10S.name].partitions == 5


async def test_the_seals_secret_is_not_made_up_where_there_is_one(connection: Connection, settings: Settings) -> None:
    """An operator's secret lives in the environment of the stages, not in a topic that more may read."""
    given = Settings(kafka_bootstrap=settings.kafka_bootstrap, seal_secret=SecretStr("k1:MDEyMzQ1Njc4OWFiY2RlZg=="))

    await Provision(connection, given, WISH).apply()

    registry = await registry_writer.load(connection)
    assert registry.secret is None
    assert registry.seal_keys is not None
    assert list(registry.seal_keys.fingerprints) == ["k1"]


async def test_two_that_write_at_once_both_get_their_say(provision: Provision, connection: Connection) -> None:
    """Compare and set: the one that loses reads again and decides again."""
    await provision.apply()
    looked: list[set[str]] = []

    def adding(name: str) -> registry_writer.Decide:
        def decide(registry: TenantRegistry) -> list[Entry]:
            looked.append(set(registry.tenants))
            return [] if name in registry.tenants else [Tenant(id=name)]

        return decide

    async with asyncio.TaskGroup() as tasks:
        for name in ("acme", "globex", "initech"):
            tasks.create_task(registry_writer.change(connection, adding(name)))

    assert set((await registry_writer.load(connection)).tenants) == {"acme", "globex", "initech"}
    assert {"acme", "globex", "initech"} - looked[-1], "the last to write has seen the others, and not itself"


async def test_a_tenant_has_its_record_and_its_topics(
    provision: Provision, connection: Connection, settings: Settings
) -> None:
    """The topics have the shape that the record names."""
    await provision.apply()
    tenancy = Tenancy(connection, settings)
    acme = Tenant(id="acme", partitions=2, interactive=True, agents=("echo",))

    await tenancy.add(acme)

    assert await tenancy.all() == {"acme": acme}
    assert await tenancy.one("acme") == acme
    async with await Admin.open(connection) as admin:
        found = await admin.describe([topic.of("acme") for topic in (REQUESTS, RESULTS, EVENTS, CONTROL)])
    assert {topic.partitions for topic in found.values()} == {2}
    assert len(found) == 4
    assert await provision.plan() == []


async def test_a_tenant_is_added_once(provision: Provision, connection: Connection, settings: Settings) -> None:
    """The same again is fine, so that a script may be run twice; another under its name is not."""
    await provision.apply()
    tenancy = Tenancy(connection, settings)
    await tenancy.add(Tenant(id="acme", agents=("echo",)))

    await tenancy.add(Tenant(id="acme", agents=("echo",)))
    with pytest.raises(TenantExistsError, match="acme exists with other settings"):
        await tenancy.add(Tenant(id="acme", agents=("echo",), limits=Limits(rpm=1)))
    with pytest.raises(UnknownTenantError, match="no tenant is called globex"):
        await tenancy.one("globex")

    await tenancy.put(Tenant(id="acme", agents=("assistant",)))
    assert (await tenancy.one("acme")).agents == ("assistant",)


async def test_a_tenant_is_served_when_every_partition_of_its_has_an_offset(
    provision: Provision, connection: Connection, settings: Settings
) -> None:
    """The door that owns it commits them; nobody else may."""
    await provision.apply()
    tenancy, acme = Tenancy(connection, settings), Tenant(id="acme", partitions=2)
    await tenancy.add(acme)
    first, second = (Partition(REQUESTS.of("acme"), number) for number in range(2))

    async with await TransactionalWriter.open(connection, "a-door") as controller:
        await controller.transact([], {first: 0}, INGRESS_GROUP)
        with pytest.raises(NotServedError, match="acme is registered and not served after 1 s"):
            await tenancy.served(acme, within=1)
        await controller.transact([], {second: 0}, INGRESS_GROUP)

    await tenancy.served(acme, within=10)


async def test_a_cluster_that_is_not_set_up_has_no_registry(connection: Connection) -> None:
    """The command line says what to run first."""
    with pytest.raises(UnknownTopicError):
        await registry_writer.load(connection)


async def test_two_that_add_one_tenant_at_once_leave_one_record_and_its_topics(
    provision: Provision, connection: Connection, settings: Settings
) -> None:
    """One of them wins, and its partitions are those of record and topic."""
    await provision.apply()
    tenancy = Tenancy(connection, settings)

    for number in range(6):
        pair = [Tenant(id=f"race-{number}", partitions=count) for count in (1, 4)]
        ends = await asyncio.gather(*map(tenancy.add, pair), return_exceptions=True)  # noqa: TID251 - one of them fails
        record = await tenancy.one(f"race-{number}")

        assert [type(end) for end in ends if end is not None] == [TenantExistsError]
        async with await Admin.open(connection) as admin:
            names = [topic.of(record.id) for topic in (REQUESTS, RESULTS)]
            assert await admin.partition_counts(names) == dict.fromkeys(names, record.partitions)


async def test_a_tenant_whose_topics_were_not_created_gets_them_by_the_same_command(
    provision: Provision, connection: Connection, settings: Settings
) -> None:
    """The command may have been killed after the record, or somebody may have made a topic by hand."""
    await provision.apply()
    tenancy, acme = Tenancy(connection, settings), Tenant(id="acme", partitions=3)
    await registry_writer.change(connection, lambda _: [acme])
    async with await Admin.open(connection) as admin:
        await admin.create_topics([NewTopicSpec(RESULTS.of("acme"), 1)])

        await tenancy.add(acme)

        names = [topic.of("acme") for topic in (REQUESTS, RESULTS)]
        assert await admin.partition_counts(names) == dict.fromkeys(names, 3)
