"""Deletion of all that the memories keep of one subject."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.agent.memory.exchange_log_valkey import index_key
from consumers.agent.memory.port import MemoryScope
from consumers.agent.memory.valkey_calls import ValkeyCalls

BATCH = 500
"""Keys that one call deletes, so that it does not hold up other clients."""

FORGET_KEYS = """
local keys = redis.call('ZRANGE', KEYS[1], 0, ARGV[1] - 1)
for _, key in ipairs(keys) do
  redis.call('UNLINK', key)
  redis.call('ZREM', KEYS[1], key)
end
return #keys
"""


@dataclass(frozen=True, slots=True)
class ValkeySubjectData:
    """The data of subjects in Valkey. Ids of runs stay until they expire: a replay does not bring a text back."""

    calls: ValkeyCalls

    async def forget_subject(self, scope: MemoryScope) -> None:
        """Delete the subject's memory of all kinds. Raises MemoryUnavailableError; then call it again."""
        while await self.calls.script(FORGET_KEYS, [index_key(scope)], [BATCH]) == BATCH:
            pass
