"""The Lua scripts of the journal in Valkey: each call checks the fencing token and writes, as one operation.

A run is one hash. ``layout`` and ``life`` are the highest token, ``lost`` is the flag, ``steps`` and ``bytes`` count.
``s:STEP`` is the place of the step's first write, and the state, ``started`` or ``finished``. ``v:STEP`` is the value.
"""

from __future__ import annotations

from consumers.valkey.lua import lua_script

SUPERSEDED = b"superseded"
LOST = b"lost"
TOO_MANY_STEPS = b"steps"
TOO_MANY_BYTES = b"bytes"

_CLAIM = """
local key, layout, life = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local head = redis.call('HMGET', key, 'layout', 'life', 'steps', 'bytes', 'lost')
local exists = head[1] and true or false
if exists then
  local top, last = tonumber(head[1]), tonumber(head[2])
  if layout < top or (layout == top and life < last) then
    return 'superseded'
  end
  if layout > top or life > last then redis.call('HSET', key, 'layout', ARGV[1], 'life', ARGV[2]) end
end
"""

_ADD = """
local function add(first, max_steps, max_bytes)
  local steps, bytes = tonumber(head[3] or 0), tonumber(head[4] or 0)
  local states, values, order = {}, {}, {}
  for at = first, #ARGV, 3 do
    local step, state, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
    local stored = states[step] or redis.call('HGET', key, 's:' .. step)
    local place = stored and string.match(stored, '^%d+')
    if not stored then
      steps = steps + 1
      place = string.format('%d', steps)
    end
    if not stored or (state == 'finished' and string.sub(stored, -7) == 'started') then
      local before = values[step] and #values[step] or redis.call('HSTRLEN', key, 'v:' .. step)
      bytes = bytes - before + #value
      if not states[step] then order[#order + 1] = step end
      states[step], values[step] = place .. ' ' .. state, value
    end
  end
  if steps > max_steps then return 'steps' end
  if bytes > max_bytes then return 'bytes' end
  redis.call('HSET', key, 'layout', ARGV[1], 'life', ARGV[2], 'steps', steps, 'bytes', bytes)
  for _, step in ipairs(order) do
    redis.call('HSET', key, 's:' .. step, states[step], 'v:' .. step, values[step])
  end
  return 'ok'
end
"""

_OPEN = """
if not exists then
  redis.call('HSET', key, 'layout', ARGV[1], 'life', ARGV[2], 'steps', 0, 'bytes', 0, 'lost', ARGV[3])
  redis.call('PEXPIRE', key, ARGV[4])
else
  redis.call('PEXPIRE', key, ARGV[4], 'GT')
  if ARGV[5] == '1' then redis.call('HSET', key, 'lost', '1') end
end
return {exists and 0 or 1, redis.call('HGETALL', key)}
"""

_WRITE = """
if not exists or tonumber(head[3]) < tonumber(ARGV[3]) then return 'lost' end
return add(6, tonumber(ARGV[4]), tonumber(ARGV[5]))
"""

_REBUILD = """
local done = add(7, tonumber(ARGV[5]), tonumber(ARGV[6]))
if done ~= 'ok' then return done end
if not exists or ARGV[3] == '1' then redis.call('HSET', key, 'lost', ARGV[3]) end
if exists then redis.call('PEXPIRE', key, ARGV[4], 'GT') else redis.call('PEXPIRE', key, ARGV[4]) end
return 'ok'
"""


OPEN = lua_script(_CLAIM + _OPEN)
"""Arguments: layout, life, lost, milliseconds to keep. Returns 1 if created, and the hash."""

WRITE = lua_script(_CLAIM + _ADD + _WRITE)
"""Arguments: layout, life, known, steps limit, bytes limit, then step, state and value of each entry.

It always writes the token, also if all entries are there: ``WAITAOF`` waits only for a write of its own connection.
"""

REBUILD = lua_script(_CLAIM + _ADD + _REBUILD)
"""Arguments: layout, life, lost, milliseconds to keep, steps limit, bytes limit, then the entries."""
