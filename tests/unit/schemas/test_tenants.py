"""Who is a tenant, and that no tenant's prefix reaches into another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas import topics
from schemas.tenants import (
    LAYOUT_KEY,
    SEAL_KEY,
    TENANT_ID,
    Layout,
    Limits,
    RegistryRecord,
    SealKeys,
    SealSecret,
    Tenant,
    TenantId,
)

IDS = TypeAdapter[str](TenantId)
tenant_ids = st.from_regex(TENANT_ID, fullmatch=True)


@pytest.mark.parametrize("identifier", ["a", "0", "acme", "acme-eu-1", "a--", "x" * 63])
def test_an_id_is_of_small_letters_digits_and_hyphens(identifier: str) -> None:
    """It stands in topic names, group names and keys."""
    assert Tenant(id=identifier).id == identifier


@pytest.mark.parametrize(
    "identifier", ["", "a.b", "a_b", "-a", "A", "ä", "a b", "x" * 64, "a\n", "a|b", "a{b}", LAYOUT_KEY, SEAL_KEY]
)
def test_an_id_that_could_reach_beyond_its_own_topics_is_refused(identifier: str) -> None:
    """Kafka counts a dot and an underscore as the same in metric names; the registry's own keys are no tenants."""
    with pytest.raises(ValidationError):
        IDS.validate_python(identifier)


@given(one=tenant_ids, other=tenant_ids)
def test_no_tenants_prefix_covers_anothers_topics(one: str, other: str) -> None:
    """A PREFIXED access rule for one tenant opens nothing of another, even where one id begins with the other."""
    edge = (*topics.PER_TENANT, *topics.PER_INTERACTIVE_TENANT)
    prefix = topics.REQUESTS.of(one).removesuffix("requests")

    for near in (other, f"{one}-{other}"[:63], one + "0"):
        if near != one:
            assert not any(topic.of(near).startswith(prefix) for topic in edge)
    assert all(topic.of(one).startswith(prefix) for topic in edge)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (Tenant(id="acme", agents=("echo",), limits=Limits(rpm=60)), "acme"),
        (Layout(shards=32, journey="compact"), "_layout"),
        (SealSecret(kid="k1", secret=b"\x00\xff" * 16), "_seal"),
        (SealKeys(fingerprints={"k2": "00ff"}, retired=("k1",)), "_seal_keys"),
    ],
)
def test_a_registry_record_survives_the_wire_under_its_key(value: Tenant | Layout | SealSecret, key: str) -> None:
    """Its kind says what it is."""
    record = RegistryRecord(value)

    again = RegistryRecord.model_validate_json(record.model_dump_json())

    assert again.root == value
    assert again.key == key


@pytest.mark.parametrize("kind", ['"policy"', "null", '""'])
def test_a_registry_record_of_an_unknown_kind_is_refused(kind: str) -> None:
    """Whoever cannot read the registry must not serve from it."""
    with pytest.raises(ValidationError):
        RegistryRecord.model_validate_json(f'{{"kind": {kind}, "id": "acme"}}')


def test_a_default_deadline_beyond_the_longest_is_refused() -> None:
    """Requests that name none would get less than the record says."""
    limits = Limits(default_deadline=100, max_deadline=99)

    with pytest.raises(ValidationError, match="deadline"):
        RegistryRecord(Tenant(id="acme", limits=limits))


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan"), 1e308])
@pytest.mark.parametrize("limit", ["default_deadline", "max_deadline", "max_wait"])
def test_a_limit_is_a_time_that_passes(limit: str, seconds: float) -> None:
    """An operator's typing error must not end the stage that multiplies it."""
    with pytest.raises(ValidationError):
        Limits.model_validate({limit: seconds})


def test_a_misspelt_limit_is_refused() -> None:
    """Else a tenant would run without it."""
    with pytest.raises(ValidationError, match="rmp"):
        Limits.model_validate({"rmp": 5})
