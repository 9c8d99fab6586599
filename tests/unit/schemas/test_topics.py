"""Names, partitions and sizes of the topics."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.admissions import AdmissionKey, Identity
from schemas.requests import Request
from schemas.stage_records import Authorized, Origin, Screened
from schemas.topics import Topic
from tests.unit.schemas.test_tenants import tenant_ids

EDGE = (*topics.PER_TENANT, *topics.PER_INTERACTIVE_TENANT)
ALL = (*EDGE, *topics.PLATFORM)


@given(tenant=tenant_ids)
def test_the_tenant_of_a_topic_is_the_one_it_was_made_for(tenant: str) -> None:
    """Where a record came from is who it belongs to."""
    for topic in EDGE:
        assert topics.tenant_of(topic.of(tenant)) == tenant


@pytest.mark.parametrize(
    "name",
    [
        *(topic.name for topic in topics.PLATFORM),
        *("tenants.{tenant}.requests", "tenants.acme", "tenants.acme.other", "tenants.a.b.requests"),
        *("tenants.acme.requests.x", "xtenants.acme.requests", "tenants.ACME.requests", "tenants.acme.requests\n"),
        *("tenants..requests", "tenants.acme_x.requests", ""),
    ],
)
def test_no_other_topic_belongs_to_a_tenant(name: str) -> None:
    """A look-alike must not lend its tenant's identity."""
    assert topics.tenant_of(name) is None


@given(name=st.text(max_size=60))
def test_a_topic_belongs_to_a_tenant_only_if_it_can_be_made_for_it(name: str) -> None:
    """``tenant_of`` is the inverse of ``of``, and of nothing else."""
    tenant = topics.tenant_of(name)

    assert tenant is None or name in {topic.of(tenant) for topic in EDGE}


def test_platform_topics_are_no_ones_and_edge_topics_each_tenants() -> None:
    """The lists are what provisioning creates."""
    assert all(topic.per_tenant for topic in EDGE)
    assert not any(topic.per_tenant for topic in topics.PLATFORM)
    assert len({topic.name for topic in ALL}) == len(ALL)


def test_a_topic_can_be_looked_up_by() -> None:
    """It is a value."""
    assert len(dict.fromkeys(ALL)) == len(ALL)


def test_the_partition_is_the_crc_of_the_key() -> None:
    """All writers agree on it, in any language: 0xCBF43926 is the check value of CRC-32 (ISO-HDLC)."""
    assert topics.partition_of(b"123456789", 2**32) == 0xCBF43926
    assert topics.partition_of(b"123456789", 24) == 0xCBF43926 % 24
    assert topics.partition_of(b"", 24) == 0


@given(tenant=tenant_ids, shards=st.integers(1, 1_024))
def test_every_tenant_has_one_door_among_the_shards(tenant: str, shards: int) -> None:
    """One shard alone decides about a tenant."""
    assert 0 <= topics.shard_of(tenant, shards) < shards
    assert topics.shard_of(tenant, shards) == topics.partition_of(tenant.encode(), shards)


def test_retry_tiers_are_the_shortest_first() -> None:
    """The first that is long enough is taken."""
    delays = [delay for delay, _ in topics.RETRY_TIERS]

    assert delays == sorted(delays)
    assert {tier.name for _, tier in topics.RETRY_TIERS} <= {topic.name for topic in topics.PLATFORM}


def _limit(topic: Topic[Any]) -> int:
    return int(topic.config["max.message.bytes"])


def test_the_largest_request_fits_through_every_hop() -> None:
    """What the door takes must not become unwritable a stage later: a screened hop holds the input twice."""
    text = "x" * (topics.EDGE_VALUE_LIMIT - 40)
    large = b"k" * topics.EDGE_HEADERS_LIMIT
    request = Request(agent="echo", input=text)
    identity = Identity(tenant="x" * 63, issuer="i", subject="s" * 256, source="/" * 256, id="r" * 128)
    hop = Screened(
        authorized=Authorized(
            request=request,
            identity=identity,
            run_id=identity.digest,
            admission=AdmissionKey(key="k" * 128, body="b" * 32, lane="l" * 512, request_id=identity.id, deadline_ms=1),
            origin=Origin(topic="t" * 249, partition=1, offset=1, timestamp_ms=1, key=large, correlation_id=large),
            reply_to="t" * 249,
        ),
        text=text,
    )

    value = hop.model_dump_json().encode()
    inner: tuple[Topic[Any], ...] = (topics.AUTHORIZED, topics.SCREENED, *(tier for _, tier in topics.RETRY_TIERS))

    assert len(Request(agent="echo", input=text).model_dump_json(exclude_defaults=True)) <= topics.EDGE_VALUE_LIMIT
    assert len(value) + 2 * topics.EDGE_HEADERS_LIMIT < min(_limit(topic) for topic in inner)


def test_a_dead_letter_has_room_for_any_record_and_its_reason() -> None:
    """Else the record that is too large would be the one that cannot be buried (F26)."""
    others = [topic for topic in ALL if topic not in {topics.DEAD_LETTERS, topics.TENANTS}]

    assert _limit(topics.DEAD_LETTERS) >= max(map(_limit, others)) + 128 * 1024


def test_what_is_compacted_and_what_is_stamped_by_the_broker() -> None:
    """Deadlines count from the append time; the door's memory and the registry are the latest of each key."""
    stamped = [topic for topic in ALL if topic is not topics.TENANTS]
    compacted = {topic.name for topic in ALL if "compact" in topic.config.get("cleanup.policy", "")}

    assert {topic.config["message.timestamp.type"] for topic in stamped} == {"LogAppendTime"}
    assert compacted == {topics.ADMISSIONS.name, topics.DEAD_LETTERS.name, topics.TENANTS.name}
