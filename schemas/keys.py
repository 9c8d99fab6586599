"""Keys of the shared state. Each starts with its tenant's hash tag, so one tenant's keys share a slot."""

from __future__ import annotations


def tenant_prefix(tenant: str) -> str:
    """Return the prefix of every key of *tenant*: its hash tag in the sense of Redis Cluster."""
    return f"{{{tenant}}}:"
