"""The steps of one run: finished ones are returned from the journal, a new one is written before the next starts."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Protocol

from consumers.agent.journal.entries import newer
from consumers.agent.journal.limits import check_value
from consumers.agent.journal.port import Entry, Journal, RunJournal, RunKey
from consumers.agent.journal.store_retry import StoreRetry
from consumers.context import StepContext
from consumers.resilience.deadline import Deadline
from schemas.errors import JournalLostError, JournalUnavailableError, RunSupersededError


class JournaledSteps(Protocol):
    """The steps of a run, as the executor uses them."""

    @property
    def lost(self) -> bool:
        """True if an earlier journal of the run may have been lost."""
        ...

    @property
    def resumed(self) -> bool:
        """True if the journal had steps when it was opened."""
        ...

    def finished(self, step: str) -> bytes | None:
        """Return the recorded outcome of *step*; None if there is none."""
        ...

    def recorded(self) -> Iterable[tuple[str, bytes]]:
        """Return all finished steps with their outcomes, in the order of their first writes."""
        ...

    def started(self, step: str) -> bool:
        """Return True if an earlier owner of the run started *step*, and no outcome is recorded."""
        ...

    async def start(self, step: str) -> None:
        """Record durably that *step* starts. Call it before an effect outside the platform.

        Waits until every failed write has succeeded. Raises RunSupersededError if another worker has the run, or may
        have it; ExpiredError at the deadline.
        """
        ...

    async def finish(self, step: str, value: bytes) -> None:
        """Record the outcome of *step*. Start the next step only after the return.

        Raises TooLargeError for a value above ``ENTRY_LIMIT``; RunSupersededError if another worker has the run;
        ExpiredError at the deadline.
        """
        ...

    def may_start(self) -> None:
        """Raise RunSupersededError unless this worker owns the run. Call it before each model call and each tool."""
        ...


def check_ownership(context: StepContext) -> None:
    """Raise RunSupersededError unless the group has accepted this worker within its session."""
    if not context.may_start():
        raise RunSupersededError(detail="the group has not accepted this worker within its session")


class NoSteps:
    """The steps of a run without a journal. Nothing is recorded."""

    lost = False
    resumed = False

    def __init__(self, context: StepContext) -> None:
        self._context = context

    def finished(self, step: str) -> bytes | None:  # noqa: ARG002 - the seam's argument
        """Return None."""
        return None

    def recorded(self) -> Iterable[tuple[str, bytes]]:
        """Return nothing."""
        return ()

    def started(self, step: str) -> bool:  # noqa: ARG002 - as above
        """Return False."""
        return False

    async def start(self, step: str) -> None:  # noqa: ARG002 - as above
        """Check the ownership only."""
        self.may_start()

    async def finish(self, step: str, value: bytes) -> None:
        """Check the size only, so that an agent meets the same limit without a journal."""
        check_value(step, value)

    def may_start(self) -> None:
        """Raise RunSupersededError unless this worker owns the run."""
        check_ownership(self._context)


class RunSteps:
    """The steps of one run, in its journal."""

    def __init__(
        self,
        journal: Journal,
        run: RunKey,
        context: StepContext,
        deadline: Deadline,
        expires_ms: int,
        found: RunJournal,
    ) -> None:
        self.lost, self.resumed = found.lost, bool(found.entries)
        self._journal, self._run, self._context, self._expires_ms = journal, run, context, expires_ms
        self._retry = StoreRetry(context, deadline)
        self._entries = dict(found.entries)
        self._interrupted = {step for step, entry in found.entries.items() if entry.state == "started"}
        self._stored = set(found.entries)
        self._unwritten: set[str] = set()
        """Steps whose newest write has failed, and is repeated."""

    @classmethod
    async def open(
        cls,
        journal: Journal,
        run: RunKey,
        context: StepContext,
        *,
        attempt: int,
        deadline: Deadline,
        expires_ms: int,
    ) -> RunSteps:
        """Return the steps that the journal has; a new journal of a run that may have started before is a lost one.

        Waits for the store until the deadline, without the run slot. Raises ExpiredError then, and RunSupersededError
        if another worker has the run. *expires_ms* is in milliseconds since the epoch.
        """
        lost = context.started_before or attempt > 1

        async def opened() -> RunJournal:
            return await journal.open(
                run, context.token(), lost=lost, stale=context.store_changed, expires_ms=expires_ms
            )

        found = await StoreRetry(context, deadline)(opened)
        return cls(journal, run, context, deadline, expires_ms, found)

    def finished(self, step: str) -> bytes | None:
        """Return the recorded outcome of *step*; None if there is none."""
        entry = self._entries.get(step)
        return None if entry is None or entry.state == "started" else entry.value

    def recorded(self) -> Iterable[tuple[str, bytes]]:
        """Return all finished steps with their outcomes."""
        return [(entry.step, entry.value) for entry in self._entries.values() if entry.state == "finished"]

    def started(self, step: str) -> bool:
        """Return True if an earlier owner of the run started *step*, and no outcome is recorded."""
        return step in self._interrupted

    async def start(self, step: str) -> None:
        """Record durably that *step* starts."""
        self.may_start()
        await self._retry(partial(self._all_written_but, step))
        await self._record(Entry(step, "started"), durable=True)
        self.may_start()

    async def finish(self, step: str, value: bytes) -> None:
        """Record the outcome of *step*."""
        check_value(step, value)
        await self._record(Entry(step, "finished", value), durable=False)
        self._interrupted.discard(step)

    def may_start(self) -> None:
        """Raise RunSupersededError unless this worker owns the run."""
        check_ownership(self._context)

    async def _all_written_but(self, step: str) -> None:
        """Raise JournalUnavailableError while the write of another step fails."""
        if self._unwritten - {step}:
            raise JournalUnavailableError

    async def _record(self, entry: Entry, *, durable: bool) -> None:
        self._entries[entry.step] = newer(self._entries.get(entry.step), entry)
        await self._retry(partial(self._write, entry, durable=durable))

    async def _write(self, entry: Entry, *, durable: bool) -> None:
        try:
            await self._write_or_rebuild(entry, durable=durable)
        except JournalUnavailableError:
            self._unwritten.add(entry.step)
            raise
        self._unwritten.discard(entry.step)

    async def _write_or_rebuild(self, entry: Entry, *, durable: bool) -> None:
        known, token = len(self._stored), self._context.token()
        try:
            await self._journal.write(self._run, token, (entry,), known=known, durable=durable)
            self._stored.add(entry.step)
        except JournalLostError:
            await self._rebuild()

    async def _rebuild(self) -> None:
        """Write all that this process knows of the run: more than the store has."""
        entries, token = tuple(self._entries.values()), self._context.token()
        await self._journal.rebuild(self._run, token, entries, lost=self.lost, expires_ms=self._expires_ms)
        self._stored.update(entry.step for entry in entries)
