"""The journal port: the steps that a run has started and finished, where the next worker finds them.

A worker names a fencing token at each call. The store refuses a token that is lower than one it has seen for the run,
so that a worker which has lost its shard cannot write any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from consumers.fencing_token import FencingToken

ENTRY_LIMIT = 256 * 1024
"""Bytes of one entry's value."""


class RunKey(NamedTuple):
    """The key of a run's journal. The run id is the digest of the whole identity: two users may use one request id."""

    tenant: str
    run_id: str


class Entry(NamedTuple):
    """One step of a run."""

    step: str
    """Id of the step, unique within the run: 1 to 200 printable ASCII characters."""

    state: Literal["started", "finished"]
    value: bytes = b""
    """JSON, at most ``ENTRY_LIMIT`` bytes."""


class RunJournal(NamedTuple):
    """The journal of a run as it was found."""

    created: bool
    """True if there was none."""

    lost: bool
    """True if an earlier journal of the run may have been lost. It stays true for the run."""

    entries: Mapping[str, Entry]
    """The newest entry of each step, in the order of their first writes."""


class Journal(Protocol):
    """The journals of all runs."""

    async def open(
        self, run: RunKey, token: FencingToken, *, lost: bool, stale: bool = False, expires_ms: int
    ) -> RunJournal:
        """Return the run's journal; create it if there is none, and keep *lost* in it.

        With *stale*, a journal that exists counts as lost from then on: its newest steps may be missing.

        It expires at *expires_ms*, in milliseconds since the epoch; never earlier than an earlier call has said.
        Raises RunSupersededError for a token lower than one seen before, JournalUnavailableError if the store fails.
        """
        ...

    async def write(
        self,
        run: RunKey,
        token: FencingToken,
        entries: Sequence[Entry],
        *,
        known: int,
        durable: bool = False,
    ) -> None:
        """Write entries; with *durable*, return only when they are on disk.

        *known* is the number of steps that the caller knows in the journal. Writing an entry again changes nothing: a
        finished step stays finished, with its first outcome.
        Raises JournalLostError if the store has fewer steps, or no journal of the run; TooLargeError, with nothing
        written, for a value, a number of steps or a sum of bytes above its limit; RunSupersededError and
        JournalUnavailableError as ``open``. After JournalUnavailableError the entries may be written or not.
        """
        ...

    async def rebuild(
        self, run: RunKey, token: FencingToken, entries: Sequence[Entry], *, lost: bool, expires_ms: int
    ) -> None:
        """Write all *entries* of a lost journal, at once and durably; create the journal if there is none.

        Entries that the store still has stay: a call that arrives late must not remove what was written after it.
        Raises as ``open`` does, and TooLargeError.
        """
        ...

    async def identity(self) -> str:
        """Return the identity of the store's data: another one after a restart, a failover or a loss of its data.

        Raises JournalUnavailableError if the store does not answer.
        """
        ...
