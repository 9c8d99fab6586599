"""Every key of the shared state. Each starts with its tenant's hash tag, so that one tenant's keys live together."""

from __future__ import annotations


def tenant_prefix(tenant: str) -> str:
    """What every key of *tenant* starts with: its hash tag in the sense of Redis Cluster."""
    return f"{{{tenant}}}:"
