"""Keys of the shared state. Each starts with its tenant's hash tag, so one tenant's keys share a slot."""

from __future__ import annotations

import hashlib
import re
from typing import Literal, TypeAlias

from schemas.tenants import TENANT_ID

MemoryKind: TypeAlias = Literal["session", "runs", "core", "recall", "recall-runs", "archival", "index"]

BudgetPart: TypeAlias = Literal["calls", "expiry", "day", "month", "bucket", "loader"]

PLATFORM = "_platform"
"""The tag of keys that no tenant owns. A tenant's id never begins with an underscore."""

_TENANT = re.compile(TENANT_ID)


def tenant_prefix(tenant: str) -> str:
    """Return the prefix of every key of *tenant*: its hash tag in the sense of Redis Cluster."""
    return f"{{{tenant}}}:"


def journal_key(tenant: str, run_id: str) -> str:
    """Return the key of a run's journal."""
    return f"{tenant_prefix(tenant)}journal:{run_id}"


STORE_KEY = f"{tenant_prefix(PLATFORM)}store"
"""The key of the store's identity."""

PROBE_KEY = f"{tenant_prefix(PLATFORM)}probe"
"""The key that is written to test the store."""


def memory_key(tenant: str, kind: MemoryKind, *owner: str) -> str:
    """Return the key of the memory of *owner*, which is hashed: any text is a valid name.

    Raises ValueError if *tenant* is not a tenant's id, because its hash tag would not be its own.
    """
    if not _TENANT.fullmatch(tenant):
        raise ValueError(f"{tenant[:64]!r} is not a tenant's id: use the id from the tenant's record")
    return f"{tenant_prefix(tenant)}memory:{kind}:{owner_digest(*owner)}"


def budget_key(account: str, part: BudgetPart) -> str:
    """Return a key of the budgets of *account*: a tenant's id, or ``PLATFORM``.

    ``day``, ``month`` and ``bucket`` are prefixes: a colon and the date or the spender follow.

    Raises ValueError for any other account, because its hash tag would not be its own.
    """
    if account != PLATFORM and not _TENANT.fullmatch(account):
        raise ValueError(f"{account[:64]!r} is not a tenant's id: use the id from the tenant's record")
    return f"{tenant_prefix(account)}budget:{part}"


def owner_digest(*parts: str) -> str:
    """Return the SHA-256 digest of the parts, each after its length: other parts never have the same bytes."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    return hashlib.sha256(b"".join(len(part).to_bytes(8) + part for part in encoded)).hexdigest()
