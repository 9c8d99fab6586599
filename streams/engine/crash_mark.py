"""The mark of a shard's owner, as text in the metadata of the shard's own, empty partition."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

UNKNOWN_STORE: Final = ""
"""Runs may have journals in more than one store, or in one that could not be asked."""

NO_STORE: Final = "-"
"""No run has a journal: no owner so far had a store for them."""

_COUNT = re.compile("[0-9]{1,4}")
_LIFE = re.compile("[0-9]{1,15}")
_STORE = re.compile("[!-{}~]{0,200}")


class CrashMark(NamedTuple):
    """The mark in the metadata. Without an owner, the last owner released the shard by plan."""

    owner: str = ""
    ends: int = 0
    """The unexplained ends in a row during which the shard's open records stayed open."""

    life: int = 0
    """The number of the shard's opening: each one adds 1. 0 if no opening has been counted yet."""

    store: str = UNKNOWN_STORE
    """The identity of the store with the journals of all runs that have been started and are not visible."""


def encode(mark: CrashMark) -> str:
    """Return the mark as text."""
    return f"2|{mark.owner}|{mark.ends}|{mark.life}|{mark.store}"


def decode(text: str) -> CrashMark:
    """Return the mark in *text*. If it is unreadable, no record is suspected and no opening has been counted."""
    match text.split("|"):
        case ["1", owner, ends] if _COUNT.fullmatch(ends):
            return CrashMark(owner, int(ends))
        case ["2", owner, ends, life, store] if _COUNT.fullmatch(ends) and _LIFE.fullmatch(life) and is_store(store):
            return CrashMark(owner, int(ends), int(life), store)
        case _:
            return CrashMark()


def is_store(text: str) -> bool:
    """Return True if *text* can be the identity of a store in a mark."""
    return _STORE.fullmatch(text) is not None
