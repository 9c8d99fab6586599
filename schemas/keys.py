"""Keys of the shared state. Each starts with its tenant's hash tag, so one tenant's keys share a slot."""

from __future__ import annotations


def tenant_prefix(tenant: str) -> str:
    """Return the prefix of every key of *tenant*: its hash tag in the sense of Redis Cluster."""
    return f"{{{tenant}}}:"


def journal_key(tenant: str, run_id: str) -> str:
    """Return the key of a run's journal."""
    return f"{tenant_prefix(tenant)}journal:{run_id}"


STORE_KEY = f"{tenant_prefix('_platform')}store"
"""The key of the store's identity. A tenant's id never begins with an underscore."""

PROBE_KEY = f"{tenant_prefix('_platform')}probe"
"""The key that is written to test the store."""
