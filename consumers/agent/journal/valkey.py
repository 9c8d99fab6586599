"""The journals of all runs in Valkey: each run is one hash, which Lua scripts guard by the fencing token."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import ResponseError

from consumers.agent.journal import scripts
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
from consumers.valkey.errors import ValkeyCallError
from consumers.valkey.info import check_info, parse_info
from consumers.valkey.link import Argument, Durability, ValkeyLink, served
from consumers.valkey.lua import LuaScript, evaluate
from schemas.clock import Clock
from schemas.errors import JournalLostError, JournalUnavailableError, RunSupersededError
from schemas.keys import PROBE_KEY, STORE_KEY, journal_key

TIMEOUT_S = 1.0
"""Seconds for a call."""

ACKNOWLEDGED_MS = 2_000
"""Milliseconds for the acknowledgement of a durable write. ``appendfsync everysec`` takes up to a second of it."""

DURABLE_TIMEOUT_S = 3.0
"""Seconds for a durable write."""


class ValkeyJournal:
    """The journals of all runs in one Valkey.

    A journal's end is sent as a duration, so that Valkey's clock may differ from the worker's.
    """

    def __init__(self, plain: ValkeyLink, durable: ValkeyLink, clock: Clock, shortest_ms: int = SHORTEST_MS) -> None:
        self._plain, self._durable, self._clock, self._shortest_ms = plain, durable, clock, shortest_ms

    async def open(
        self, run: RunKey, token: FencingToken, *, lost: bool, stale: bool = False, expires_ms: int
    ) -> RunJournal:
        """Return the run's journal; create it if there is none."""
        created, fields = await self._evaluated(
            self._plain, scripts.OPEN, run, *token, int(lost), self._lifetime(expires_ms), int(stale)
        )
        return _journal(bool(created), fields)

    async def write(
        self,
        run: RunKey,
        token: FencingToken,
        entries: Sequence[Entry],
        *,
        known: int,
        durable: bool = False,
    ) -> None:
        """Write entries; with *durable*, return only when they are on disk."""
        check_entries(entries)
        link = self._durable if durable else self._plain
        limits = (STEPS_LIMIT, BYTES_LIMIT)
        await self._evaluated(link, scripts.WRITE, run, *token, known, *limits, *_flat(entries))

    async def rebuild(
        self, run: RunKey, token: FencingToken, entries: Sequence[Entry], *, lost: bool, expires_ms: int
    ) -> None:
        """Add the entries that a lost journal lacks; create it if there is none."""
        check_entries(entries)
        head = (*token, int(lost), self._lifetime(expires_ms), STEPS_LIMIT, BYTES_LIMIT)
        await self._evaluated(self._durable, scripts.REBUILD, run, *head, *_flat(entries))

    async def identity(self) -> str:
        """Return the identity of the server process, its replication history, and its data."""
        info = parse_info(await self._called(self._plain, "INFO", "server", "replication"))
        marker = await self._called(self._plain, "GET", STORE_KEY) or await self._marked()
        return f"{info['run_id']}:{info['master_replid']}:{marker.decode()}"

    async def check(self) -> None:
        """Raise UnfitStoreError if the server cannot keep journals. Raise JournalUnavailableError if it fails."""
        sections = ("server", "persistence", "replication", "memory")
        check_info(parse_info(await self._called(self._plain, "INFO", *sections)))
        await self._called(self._durable, "SET", PROBE_KEY, 1, "PX", 1)

    async def _marked(self) -> bytes:
        """Mark the data by a random value. Return the stored one, which another worker may have set first."""
        value = secrets.token_hex(16).encode()
        return await self._called(self._plain, "SET", STORE_KEY, value, "NX", "GET") or value

    async def _evaluated(self, link: ValkeyLink, script: LuaScript, run: RunKey, *arguments: Argument) -> Any:  # noqa: ANN401 - any reply
        try:
            return _checked(await evaluate(link, script, [journal_key(run.tenant, run.run_id)], *arguments))
        except ValkeyCallError as error:
            raise JournalUnavailableError(detail=error.detail) from error

    async def _called(self, link: ValkeyLink, *command: Argument) -> Any:  # noqa: ANN401 - any reply
        try:
            return _checked(await link.call(*command))
        except ValkeyCallError as error:
            raise JournalUnavailableError(detail=error.detail) from error

    def _lifetime(self, expires_ms: int) -> int:
        return lifetime_ms(expires_ms, self._clock.now_ms(), self._shortest_ms)


@asynccontextmanager
async def valkey_journal(
    url: str, clock: Clock, *, replicas: int = 0, shortest_ms: int = SHORTEST_MS
) -> AsyncGenerator[ValkeyJournal]:
    """Open the journal in the Valkey at *url*, for the block. Connections open when they are first used.

    *replicas* must acknowledge a durable write beside the server itself.
    """
    plain = ValkeyLink(url, TIMEOUT_S)
    durable = ValkeyLink(url, DURABLE_TIMEOUT_S, Durability(replicas, ACKNOWLEDGED_MS))
    async with served(plain, durable):
        yield ValkeyJournal(plain, durable, clock, shortest_ms)


def _flat(entries: Iterable[Entry]) -> list[Argument]:
    return [part for entry in entries for part in entry]


def _checked(reply: Any) -> Any:  # noqa: ANN401 - any reply of Valkey
    """Return *reply*, or raise the error that it means."""
    if isinstance(reply, ResponseError):
        raise JournalUnavailableError(detail=f"{type(reply).__name__}: {reply}"[:500])
    match reply:
        case scripts.SUPERSEDED:
            raise RunSupersededError(detail="the journal has seen a higher token")
        case scripts.LOST:
            raise JournalLostError
        case scripts.TOO_MANY_STEPS:
            raise too_many_steps()
        case scripts.TOO_MANY_BYTES:
            raise too_many_bytes()
        case _:
            return reply


def _journal(created: bool, fields: Sequence[bytes]) -> RunJournal:  # noqa: FBT001 - as the script returns it
    found = dict(zip(fields[::2], fields[1::2], strict=True))
    placed = [(*state.split(b" "), name[2:]) for name, state in found.items() if name.startswith(b"s:")]
    entries = [
        Entry(step.decode(), "finished" if state == b"finished" else "started", found[b"v:" + step])
        for _, state, step in sorted(placed, key=lambda each: int(each[0]))
    ]
    return RunJournal(created, found[b"lost"] == b"1", {entry.step: entry for entry in entries})
