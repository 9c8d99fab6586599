"""A tenant's keys in the shared state live together and meet no other's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.keys import PROBE_KEY, STORE_KEY, journal_key, memory_key, tenant_prefix
from tests.unit.schemas.test_tenants import tenant_ids


def test_the_prefix_is_the_tenants_hash_tag() -> None:
    """Redis Cluster hashes what stands between the first braces: scripts touch several keys of one tenant."""
    assert tenant_prefix("acme") == "{acme}:"


@given(one=tenant_ids, other=tenant_ids)
def test_no_prefix_begins_with_another(one: str, other: str) -> None:
    """A scan for one tenant's keys finds nothing of another."""
    for near in (other, one + other):
        assert tenant_prefix(near).startswith(tenant_prefix(one)) == (near == one)


@given(one=st.lists(st.text(st.characters()), max_size=4), other=st.lists(st.text(st.characters()), max_size=4))
def test_different_owners_have_different_keys(one: list[str], other: list[str]) -> None:
    """Parts that are joined without their lengths would let one owner name the key of another."""
    assert (memory_key("acme", "session", *one) == memory_key("acme", "session", *other)) == (one == other)


@pytest.mark.parametrize("near", [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a\0", "bc")])
def test_a_part_cannot_borrow_from_its_neighbour(near: tuple[str, ...]) -> None:
    """A user named ``ab`` with the session ``c`` is not the user ``a`` with the session ``bc``."""
    others = {("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("a\0", "bc")} - {near}

    assert memory_key("acme", "session", *near) not in {memory_key("acme", "session", *other) for other in others}


@pytest.mark.parametrize("tenant", ["", "a}:x", "{a}", "A", "a.b", "a\n", "a" * 64])
def test_a_tenant_that_is_none_has_no_keys(tenant: str) -> None:
    """Braces in a tenant's name would put its keys into another tenant's slot."""
    with pytest.raises(ValueError, match="not a tenant's id"):
        memory_key(tenant, "session", "s")


@given(one=tenant_ids, other=tenant_ids)
def test_a_journal_is_in_its_tenants_slot(one: str, other: str) -> None:
    """Two tenants may have one run id; the platform's own keys belong to no tenant."""
    assert journal_key(one, "run") == f"{tenant_prefix(one)}journal:run"
    assert (journal_key(one, "run") == journal_key(other, "run")) == (one == other)
    assert not any(key.startswith(tenant_prefix(one)) for key in (STORE_KEY, PROBE_KEY))
