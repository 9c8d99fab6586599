"""The state of a Valkey server, as INFO reports it, and the states in which it cannot keep journals."""

from __future__ import annotations

from collections.abc import Mapping

WAITAOF_SINCE = (7, 2)
"""The version of Redis that Valkey started from; Valkey reports it too."""


class UnfitStoreError(Exception):
    """The server is set up so that it loses journals. The message says which setting to change."""


def parse_info(text: bytes) -> dict[str, str]:
    """Return the fields of an INFO reply."""
    lines = (line.partition(":") for line in text.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def check_info(info: Mapping[str, str]) -> None:
    """Raise UnfitStoreError for a server without ``WAITAOF``, one without an append-only file, and a replica.

    Also for a server that may evict keys: an evicted journal is a lost one.
    """
    version = info.get("redis_version", "0.0")
    if tuple(int(part) for part in version.split(".")[:2] if part.isdecimal()) < WAITAOF_SINCE:
        raise UnfitStoreError(f"the server has version {version}: use Valkey, or Redis from 7.2 on")
    if info.get("aof_enabled") != "1":
        raise UnfitStoreError("Valkey keeps no append-only file: set `appendonly yes`")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise UnfitStoreError(f"Valkey evicts keys by {policy}, journals too: set `maxmemory-policy noeviction`")
    if info.get("role") != "master":
        raise UnfitStoreError("HEADRACE_VALKEY_URL names a replica: name the primary")
