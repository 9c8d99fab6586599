"""The tenants and the layout, as the log has them."""

from __future__ import annotations

import asyncio

import pytest

from schemas.errors import InternalError
from schemas.records import ProducerRecord, Record
from schemas.tenants import Layout, SealKeys, SealSecret, Tenant
from schemas.topics import TENANTS
from streams.registry import tenants as tenants_module
from streams.registry.tenants import PARTITION, TenantRegistry
from tests.unit.streams.engine.shard_setup import ACME, NOW, OTHER, FakeLog, FakeReader, registry, registry_record

pytestmark = pytest.mark.anyio

LAYOUT = Layout(shards=8)
KEYS = SealKeys(fingerprints={"k1": "00ff"})
SECRET = SealSecret(kid="k1", secret=b"0123456789abcdef")


def record(key: bytes | None, value: bytes | None) -> Record:
    """Whatever somebody wrote to the registry."""
    return Record(TENANTS.name, 0, 0, NOW, key, value, ())


def test_the_latest_record_of_a_key_holds() -> None:
    """The log is compacted: whoever reads it later sees no other."""
    known = registry(ACME, OTHER)
    known.apply(registry_record(ACME.model_copy(update={"agents": ("planner",)})))
    known.apply(registry_record(LAYOUT))
    known.apply(registry_record(SECRET))

    assert known.tenants["acme"].agents == ("planner",)
    assert (known.layout, known.secret) == (LAYOUT, SECRET)
    assert known.version == 5


def test_a_deleted_key_is_gone() -> None:
    """An erased tenant has no topic to be polled."""
    known = registry(ACME, OTHER)
    for entry in (LAYOUT, SECRET, KEYS):
        known.apply(registry_record(entry))
    assert known.seal_keys == KEYS
    for key in (b"acme", b"_layout", b"_seal", b"_seal_keys", b"unheard-of"):
        known.apply(record(key, None))

    assert list(known.tenants) == ["globex"]
    assert known.layout is None
    assert known.secret is None
    assert known.seal_keys is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"acme", b"not json"),
        (b"acme", b""),
        (b"acme", b'{"kind": "tenant", "id": "acme", "colour": "blue"}'),
        (b"acme", registry_record(OTHER).value),
        (b"globex", registry_record(ACME.model_copy(update={"agents": ()})).value),
        (None, registry_record(ACME.model_copy(update={"agents": ()})).value),
        (b"\xff", registry_record(ACME.model_copy(update={"agents": ()})).value),
    ],
)
def test_a_record_that_cannot_be_believed_keeps_the_one_before(key: bytes | None, value: bytes) -> None:
    """A bad write must not take a tenant away, nor put it in another's place."""
    known = registry(ACME)
    known.apply(record(key, value))

    assert known.tenants == {"acme": ACME}


def test_the_agents_that_somebody_may_call_follow_the_registry() -> None:
    """Forbidden and unknown are told apart by them."""
    known = registry(ACME, OTHER)
    assert known.agents() == {"echo", "planner"}
    assert known.agents() is known.agents()
    known.apply(record(b"globex", None))
    assert known.agents() == {"echo"}


async def test_loading_reads_what_was_written_before_and_no_further() -> None:
    """A stage starts with the whole registry, even if its end is a marker."""
    log = FakeLog()
    for each in (ACME, OTHER):
        entry = registry_record(each)
        log.write(ProducerRecord(entry.topic, entry.key, entry.value))
    log.mark(PARTITION)
    reader, known = FakeReader(log), TenantRegistry()
    await reader.add([PARTITION])

    await known.load(reader)

    assert set(known.tenants) == {"acme", "globex"}


async def test_following_wakes_those_who_wait_for_a_change() -> None:
    """A new tenant is served without a restart."""
    log, known = FakeLog(), TenantRegistry()
    reader = FakeReader(log)
    await reader.add([PARTITION])
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        following = group.create_task(known.follow(reader))
        change, wanted = group.create_task(known.changed()), group.create_task(known.tenant("acme"))
        await asyncio.sleep(0)
        assert not change.done()
        entry = registry_record(ACME)
        log.write(ProducerRecord(entry.topic, entry.key, entry.value))
        await change
        assert await wanted == ACME
        following.cancel()


async def test_a_tenant_that_does_not_turn_up_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another stage knew it; waiting for ever would hold its session up."""
    monkeypatch.setattr(tenants_module, "PATIENCE_S", 0.02)
    known = registry(OTHER)

    with pytest.raises(InternalError):
        await known.tenant("acme")
    assert (await known.tenant("globex")).agents == OTHER.agents


def test_tenants_may_be_many() -> None:
    """Taking one up costs nothing that grows with the others."""
    known = registry(*(Tenant(id=f"t{n}", agents=("echo",)) for n in range(500)))

    assert len(known.tenants) == 500
