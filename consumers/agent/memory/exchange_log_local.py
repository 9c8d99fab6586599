"""A log of exchanges in this process, which behaves as the one in Valkey does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from consumers.agent.memory.exchanges import ExchangeLimits, encoded, run_digest
from consumers.agent.memory.port import MemoryEntry, MemoryScope
from schemas.clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of one scope."""

    last: int = 0
    start: int = 0
    runs: tuple[bytes, ...] = ()
    summary: tuple[MemoryEntry, ...] = ()
    exchanges: tuple[tuple[MemoryEntry, ...], ...] = ()
    expires_at: float = 0.0

    def without(self, upto: int) -> _Log:
        return replace(self, exchanges=self.exchanges[upto - self.start :], start=upto)

    @property
    def bytes(self) -> int:
        return sum(len(encoded(_placed(exchange, 0))) for exchange in self.exchanges)


@dataclass(frozen=True, slots=True)
class LocalExchangeLog:
    """The exchanges of each scope, in the order of their appends. They end with the process."""

    limits: ExchangeLimits
    clock: Clock = field(default_factory=SystemClock)
    _logs: dict[MemoryScope, _Log] = field(default_factory=dict[MemoryScope, _Log], init=False)

    def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the entries, oldest first, after the summary."""
        log = self._found(scope)
        return (*log.summary, *(entry for exchange in log.exchanges for entry in exchange))

    def append(
        self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry], summary: MemoryEntry | None = None
    ) -> None:
        """Add checked entries once per run."""
        log, run = self._found(scope), run_digest(run_id)
        if run not in log.runs:
            self._logs[scope] = self._bounded(_added(_summarised(log, summary), run, entries))

    def forget(self, scope: MemoryScope) -> None:
        """Delete the texts, and keep the ids of the runs."""
        log = self._found(scope)
        self._logs[scope] = replace(log, start=log.last, summary=(), exchanges=())

    def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the texts of all the subject's sessions."""
        for known in [each for each in self._logs if each._replace(session="") == scope._replace(session="")]:
            self.forget(known)

    def _found(self, scope: MemoryScope) -> _Log:
        log = self._logs.get(scope, _Log())
        return log if self.clock.monotonic() < log.expires_at else _Log()

    def _bounded(self, log: _Log) -> _Log:
        limits = self.limits
        while len(log.exchanges) > 1 and (len(log.exchanges) > limits.exchanges or log.bytes > limits.total_bytes):
            log = log.without(log.start + 1)
        return replace(log, runs=log.runs[-limits.runs :], expires_at=self.clock.monotonic() + limits.ttl_s)


def _added(log: _Log, run: bytes, entries: Sequence[MemoryEntry]) -> _Log:
    last = log.last + 1
    exchange = _placed(entries, last)
    return replace(log, last=last, runs=(*log.runs, run), exchanges=(*log.exchanges, exchange))


def _summarised(log: _Log, summary: MemoryEntry | None) -> _Log:
    if summary is None or not log.start < summary.position <= log.last:
        return log
    return replace(log.without(summary.position), summary=(summary,))


def _placed(entries: Sequence[MemoryEntry], position: int) -> tuple[MemoryEntry, ...]:
    return tuple(entry.model_copy(update={"position": position}) for entry in entries)
