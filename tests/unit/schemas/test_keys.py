"""A tenant's keys in the shared state live together and meet no other's."""

from __future__ import annotations

from hypothesis import given

from schemas.keys import tenant_prefix
from tests.unit.schemas.test_tenants import tenant_ids


def test_the_prefix_is_the_tenants_hash_tag() -> None:
    """Redis Cluster hashes what stands between the first braces: scripts touch several keys of one tenant."""
    assert tenant_prefix("acme") == "{acme}:"


@given(one=tenant_ids, other=tenant_ids)
def test_no_prefix_begins_with_another(one: str, other: str) -> None:
    """A scan for one tenant's keys finds nothing of another."""
    for near in (other, one + other):
        assert tenant_prefix(near).startswith(tenant_prefix(one)) == (near == one)
