"""A journal in the memory of this process, for unit tests without Valkey. It survives no process."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from consumers.agent.journal.entries import newer
from consumers.agent.journal.limits import (
    BYTES_LIMIT,
    SHORTEST_MS,
    STEPS_LIMIT,
    check_entries,
    lifetime_ms,
    too_many_bytes,
    too_many_steps,
)
from consumers.agent.journal.port import Entry, RunJournal, RunKey
from consumers.fencing_token import FencingToken
from schemas.clock import Clock
from schemas.errors import JournalLostError, RunSupersededError


@dataclass(slots=True)
class _StoredRun:
    token: FencingToken
    lost: bool
    expires_ms: int
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])

    def claim(self, token: FencingToken) -> None:
        """Keep the highest token. Raise RunSupersededError for a lower one."""
        if token < self.token:
            raise RunSupersededError(detail=f"token {token} is lower than {self.token}")
        self.token = token

    def add(self, entries: Iterable[Entry]) -> None:
        """Add all entries, or none if a limit is exceeded."""
        added = dict(self.entries)
        for entry in entries:
            added[entry.step] = newer(added.get(entry.step), entry)
        if len(added) > STEPS_LIMIT:
            raise too_many_steps()
        if sum(len(entry.value) for entry in added.values()) > BYTES_LIMIT:
            raise too_many_bytes()
        self.entries = added


class MemoryJournal:
    """The journals of all runs of one process."""

    def __init__(self, clock: Clock, *, shortest_ms: int = SHORTEST_MS) -> None:
        self._clock, self._shortest_ms = clock, shortest_ms
        self._runs: dict[RunKey, _StoredRun] = {}
        self._identity = secrets.token_hex(16)

    async def open(
        self, run: RunKey, token: FencingToken, *, lost: bool, stale: bool = False, expires_ms: int
    ) -> RunJournal:
        """Return the run's journal; create it if there is none."""
        created = self._stored(run) is None
        stored = self._claimed(run, token, lost=lost, expires_ms=expires_ms)
        stored.lost = stored.lost or stale
        return RunJournal(created, stored.lost, MappingProxyType(stored.entries))

    async def write(
        self,
        run: RunKey,
        token: FencingToken,
        entries: Sequence[Entry],
        *,
        known: int,
        durable: bool = False,  # noqa: ARG002 - nothing here is on a disk
    ) -> None:
        """Write entries."""
        check_entries(entries)
        stored = self._stored(run)
        if stored is None:
            raise JournalLostError
        stored.claim(token)
        if len(stored.entries) < known:
            raise JournalLostError
        stored.add(entries)

    async def rebuild(
        self, run: RunKey, token: FencingToken, entries: Sequence[Entry], *, lost: bool, expires_ms: int
    ) -> None:
        """Add the entries that a lost journal lacks; create it if there is none."""
        check_entries(entries)
        stored = self._claimed(run, token, lost=lost, expires_ms=expires_ms)
        stored.add(entries)
        stored.lost |= lost

    async def identity(self) -> str:
        """Return the identity of the data: another one after ``clear``."""
        return self._identity

    def clear(self) -> None:
        """Lose all journals, as a store without its data."""
        self._runs.clear()
        self._identity = secrets.token_hex(16)

    def _stored(self, run: RunKey) -> _StoredRun | None:
        stored = self._runs.get(run)
        if stored is not None and stored.expires_ms <= self._clock.now_ms():
            del self._runs[run]
            return None
        return stored

    def _claimed(self, run: RunKey, token: FencingToken, *, lost: bool, expires_ms: int) -> _StoredRun:
        now_ms = self._clock.now_ms()
        until_ms = now_ms + lifetime_ms(expires_ms, now_ms, self._shortest_ms)
        stored = self._stored(run) or self._runs.setdefault(run, _StoredRun(token, lost, until_ms))
        stored.claim(token)
        stored.expires_ms = max(stored.expires_ms, until_ms)
        return stored
