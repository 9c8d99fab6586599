"""A log of exchanges in Valkey: one hash of texts, one of run ids, and an index of each subject's keys.

A script is atomic, so a client that dies between call and answer leaves all of an exchange or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from consumers.agent.memory.exchanges import ExchangeLimits, decoded, encoded, run_digest
from consumers.agent.memory.port import MemoryEntry, MemoryScope
from consumers.agent.memory.valkey_calls import ValkeyCalls
from schemas.keys import memory_key

INDEXED = """
local function keep(key, index, ttl_ms)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('PEXPIRE', key, ttl_ms)
  redis.call('ZADD', index, now + ttl_ms, key)
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. now)
  if redis.call('PTTL', index) < ttl_ms then redis.call('PEXPIRE', index, ttl_ms) end
end
"""
"""Lua: let a key expire, and list it with its subject's other keys until then."""

APPEND = (
    INDEXED
    + """
local texts, runs, index = KEYS[1], KEYS[2], KEYS[3]
local run, exchange, summary, through = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local max_exchanges, max_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local max_runs, ttl_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
local seen = redis.call('HGET', runs, 'seen') or ''
for at = 1, #seen, #run do
  if string.sub(seen, at, at + #run - 1) == run then return 0 end
end

local last = math.max(tonumber(redis.call('HGET', runs, 'last') or 0), tonumber(redis.call('HGET', texts, 'last') or 0))
local start = tonumber(redis.call('HGET', texts, 'start') or last)
local bytes = tonumber(redis.call('HGET', texts, 'bytes') or 0)
local function drop(upto)
  for number = start + 1, upto do
    bytes = bytes - redis.call('HSTRLEN', texts, number)
    redis.call('HDEL', texts, number)
  end
  start = upto
end

if through > start and through <= last then
  drop(through)
  redis.call('HSET', texts, 'summary', summary)
end
last = last + 1
redis.call('HSET', texts, last, exchange)
bytes = bytes + #exchange
while last - start > 1 and (last - start > max_exchanges or bytes > max_bytes) do drop(start + 1) end
redis.call('HSET', texts, 'start', start, 'last', last, 'bytes', bytes)
redis.call('HSET', runs, 'last', last, 'seen', string.sub(seen .. run, -#run * max_runs))
redis.call('PEXPIRE', runs, ttl_ms + 60000)
keep(texts, index, ttl_ms)
return 1
"""
)
"""Lua: add an exchange unless its run has added one, and drop what the summary or a limit replaces."""

FORGET = """
redis.call('ZREM', KEYS[2], KEYS[1])
return redis.call('UNLINK', KEYS[1])
"""

LogKind = Literal["session", "recall"]


def index_key(scope: MemoryScope) -> str:
    """Return the key of the index of the subject's keys."""
    return memory_key(scope.tenant, "index", scope.issuer, scope.subject)


@dataclass(frozen=True, slots=True)
class ValkeyExchangeLog:
    """The exchanges of each scope, in the order of their appends."""

    calls: ValkeyCalls
    kind: LogKind
    limits: ExchangeLimits

    async def load(self, scope: MemoryScope) -> tuple[MemoryEntry, ...]:
        """Return the entries, oldest first, after the summary. Raises MemoryUnavailableError."""
        return _entries(await self.calls.fields(self._texts(scope)))

    async def append(
        self, scope: MemoryScope, run_id: str, entries: Sequence[MemoryEntry], summary: MemoryEntry | None = None
    ) -> None:
        """Add checked entries once per run. Raises MemoryUnavailableError; then they may be added or not."""
        limits = self.limits
        bounds = (limits.exchanges, limits.total_bytes, limits.runs, round(limits.ttl_s * 1_000))
        replaced = (encoded([summary]), summary.position) if summary else (b"", 0)
        arguments = (run_digest(run_id), encoded(entries), *replaced, *bounds)
        await self.calls.script(APPEND, (self._texts(scope), self._runs(scope), index_key(scope)), arguments)

    async def forget(self, scope: MemoryScope) -> None:
        """Delete the texts, and keep the ids of the runs. Raises MemoryUnavailableError."""
        await self.calls.script(FORGET, (self._texts(scope), index_key(scope)), ())

    def _texts(self, scope: MemoryScope) -> str:
        return memory_key(scope.tenant, self.kind, scope.issuer, scope.subject, scope.session)

    def _runs(self, scope: MemoryScope) -> str:
        kind: Literal["runs", "recall-runs"] = "runs" if self.kind == "session" else "recall-runs"
        return memory_key(scope.tenant, kind, scope.issuer, scope.subject, scope.session)


def _entries(fields: dict[bytes, bytes]) -> tuple[MemoryEntry, ...]:
    if b"start" not in fields:
        return ()
    numbers = range(int(fields[b"start"]) + 1, int(fields[b"last"]) + 1)
    exchanges = [_placed(decoded(fields.get(b"%d" % number, b"")), number) for number in numbers]
    summary = decoded(fields[b"summary"]) if b"summary" in fields else ()
    return (*summary, *(entry for exchange in exchanges for entry in exchange))


def _placed(entries: Sequence[MemoryEntry], position: int) -> tuple[MemoryEntry, ...]:
    return tuple(entry.model_copy(update={"position": position}) for entry in entries)
