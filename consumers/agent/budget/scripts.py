"""The Lua scripts of budgets in Valkey. Each is one operation over all spenders of an account, by Valkey's clock.

``calls`` is a hash. ``c`` and a call's id is its reservation; ``n`` and ``p`` and a spender are its reserved tokens and
picodollars. The empty field is the generation of a loaded account. ``expiry`` has the ends of reservations.
``day:DATE`` and ``month:DATE`` are hashes of what was used, and of the alerts that were raised. ``bucket:SPENDER`` is a
token bucket: ``level`` at the time ``at``, and the head of its queue with its ``ticket``, its ``need`` and its end.

Amounts used are 64-bit integers in Valkey. Lua compares them as doubles: exact up to 2^53, which is 9,007 dollars,
and to a billionth of a dollar beyond that. The keys after the first two are prefixes, in the slot of the account.
"""

from __future__ import annotations

from typing import NamedTuple

from consumers.valkey.lua import LuaScript, lua_script

TIME = "redis.call('TIME')"

_ALL = "#!lua\n"
"""A full Valkey refuses such a script before its first line, never in its middle."""

_FREE = "#!lua flags=allow-oom\n"
"""A settlement frees memory, so that a full Valkey still accepts it."""

_READS = "#!lua flags=no-writes\n"

_CLOCK = """
local CALLS, EXPIRY, DAYS, MONTHS, BUCKETS = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local DAY_MS = 86400000
local clock = %s
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days
local function date(days)
  local z = days + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%%04d-%%02d-%%02d', year, month, doy - math.floor((153 * mp + 2) / 5) + 1)
end

local today = date(math.floor(now / DAY_MS))
local function day_key(day) return DAYS .. ':' .. day end
local function month_key(day) return MONTHS .. ':' .. string.sub(day, 1, 7) end
"""

_COUNTS = """
local function add(key, field, amount)
  if amount == 0 then return end
  return redis.pcall('HINCRBY', key, field, string.format('%.0f', amount))
end

local function hold(spender, tokens, pico)
  for field, amount in pairs({n = tokens, p = pico}) do
    if amount ~= 0 and add(CALLS, field .. spender, amount) == 0 then redis.call('HDEL', CALLS, field .. spender) end
  end
end

local function charge(spenders, day, tokens, pico)
  local key, month = day_key(day), month_key(day)
  for _, spender in ipairs(spenders) do
    add(key, spender .. ' tokens', tokens)
    add(key, spender .. ' pico', pico)
    add(month, spender .. ' tokens', tokens)
    add(month, spender .. ' pico', pico)
  end
  redis.call('PEXPIRE', key, 3 * DAY_MS)
  redis.call('PEXPIRE', month, 35 * DAY_MS)
end

local function level_of(spender, cap)
  local found = redis.call('HMGET', BUCKETS .. ':' .. spender, 'level', 'at', 'head', 'ticket', 'until', 'need')
  local level = cap
  if found[1] then level = math.min(cap, found[1] + math.max(0, now - found[2]) * cap / 60000) end
  return level, found
end

local function put_level(spender, cap, level)
  local key = BUCKETS .. ':' .. spender
  redis.call('HSET', key, 'level', string.format('%.3f', level), 'at', now)
  redis.call('PEXPIRE', key, math.ceil(math.max(61000, (cap - level) * 60000 / cap + 1000)))
end

local function reservation(id)
  local found = redis.call('HGET', CALLS, 'c' .. id)
  return found and cmsgpack.unpack(found)
end

local function store(id, record, ends)
  redis.call('HSET', CALLS, 'c' .. id, cmsgpack.pack(record))
  redis.call('ZADD', EXPIRY, math.floor(ends), id)
end

-- another generation takes a charge that is known from the ledger, when its run has ended
local function finish(id, record, tokens, pico, unknown)
  if record.generation ~= '' then
    for _, spender in ipairs(record.spenders) do hold(spender, -record.tokens, -record.pico) end
    local current = redis.call('HGET', CALLS, '')
    local counts = current and (unknown or current == record.generation)
    if counts and (tokens > 0 or pico > 0) then charge(record.spenders, record.day, tokens, pico) end
  end
  for at, spender in ipairs(record.spenders) do
    local cap, back = record.caps[at], record.tokens - tokens
    if cap > 0 and back ~= 0 then put_level(spender, cap, math.min(cap, (level_of(spender, cap)) + back)) end
  end
  redis.call('HDEL', CALLS, 'c' .. id)
  redis.call('ZREM', EXPIRY, id)
end

-- a called reservation was charged by the provider, as far as anyone knows; a held one was not
local function finish_unknown(id, record)
  local called = record.state == 'called'
  finish(id, record, called and record.tokens or 0, called and record.pico or 0, true)
end

local SWEPT = 64
local function sweep()
  local ended = redis.call('ZRANGEBYSCORE', EXPIRY, '-inf', now, 'LIMIT', 0, SWEPT)
  for _, id in ipairs(ended) do
    local record = reservation(id)
    if record then finish_unknown(id, record) else redis.call('ZREM', EXPIRY, id) end
  end
  return #ended == SWEPT
end
"""

_LIMITS = """
local PERIODS, MEASURES = {'day', 'month'}, {'tokens', 'pico'}
local spenders, names, caps, periodic = {}, {}, {}, false
local function read_limits(first)
  for at = first, #ARGV, 6 do
    local function limit(place) return tonumber(ARGV[at + place]) end
    local spender = {
      name = ARGV[at], cap = limit(1),
      day = {tokens = limit(2), pico = limit(4)}, month = {tokens = limit(3), pico = limit(5)},
    }
    spenders[#spenders + 1], names[#names + 1], caps[#caps + 1] = spender, spender.name, spender.cap or 0
    periodic = periodic or limit(2) or limit(3) or limit(4) or limit(5)
  end
end

-- calls visit(spender's place, period, measure, limit, amount used) for each limit of a day or month
local function each_limit(visit)
  local keys = {day = day_key(today), month = month_key(today)}
  for at, spender in ipairs(spenders) do
    for _, period in ipairs(PERIODS) do
      local limits = spender[period]
      if limits.tokens or limits.pico then
        local used = redis.call('HMGET', keys[period], spender.name .. ' tokens', spender.name .. ' pico')
        for place, measure in ipairs(MEASURES) do
          if limits[measure] then visit(at, period, measure, limits[measure], tonumber(used[place] or 0)) end
        end
      end
    end
  end
end

local alerts = {}
local function alert(soft, at, period, measure, limit, used)
  if used >= soft * limit then
    local key = period == 'day' and day_key(today) or month_key(today)
    if redis.call('HSETNX', key, 'alert ' .. spenders[at].name .. ' ' .. measure, 1) == 1 then
      redis.call('PEXPIRE', key, period == 'day' and 3 * DAY_MS or 35 * DAY_MS)
      alerts[#alerts + 1] = at .. ' ' .. period .. ' ' .. measure
    end
  end
end
"""

_RESERVE = """
local id, owner, held_ms, soft = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local ticket = tonumber(ARGV[4])
if ticket == 0 then ticket = clock[1] * 1000000 + clock[2] end
local output = tonumber(ARGV[7])
local fixed = {tokens = tonumber(ARGV[6]), pico = tonumber(ARGV[9])}
local unit = {tokens = 1, pico = tonumber(ARGV[10])}
local function amount(measure, tokens) return fixed[measure] + tokens * unit[measure] end
local least = {tokens = amount('tokens', ARGV[8]), pico = amount('pico', ARGV[8])}
read_limits(11)

local more = sweep()
local before = reservation(id)
if before then finish_unknown(id, before) end

local generation = redis.call('HGET', CALLS, '')
if periodic and not generation then return {'unloaded'} end
if not periodic and generation then
  redis.call('HDEL', CALLS, '')
  redis.call('DEL', day_key(today), month_key(today))
end

local refused, waits
local function whole(number) return string.format('%.0f', number) end
local function wait(at, period, measure, ms)
  waits = waits or {'wait', at, period, measure, math.ceil(math.max(50, math.min(1000, ms)) - 0.000001), whole(ticket)}
end
local function refuse(at, period, measure, too_large, limit)
  refused = refused or {
    'spent', at, period, measure, too_large and 1 or 0, whole(limit), whole(least[measure]),
  }
end

each_limit(function(at, period, measure, limit, used)
  alert(soft, at, period, measure, limit, used)
  local held = tonumber(redis.call('HGET', CALLS, (measure == 'tokens' and 'n' or 'p') .. names[at]) or 0)
  local free = limit - used - held
  if least[measure] > limit - used then
    refuse(at, period, measure, least[measure] > limit, limit)
  elseif least[measure] > free then
    wait(at, period, measure, 250)
  elseif unit[measure] > 0 then
    output = math.min(output, math.floor((free - fixed[measure]) / unit[measure]))
  end
end)
for at, spender in ipairs(spenders) do
  if spender.cap then
    if least.tokens > spender.cap then refuse(at, 'minute', 'tokens', true, spender.cap) end
    output = math.min(output, spender.cap - fixed.tokens)
  end
end
if more and (refused or waits) then return {'again'} end
if refused then
  refused[#refused + 1] = alerts
  return refused
end

local need = amount('tokens', output)
local levels = {}
for at, spender in ipairs(spenders) do
  if spender.cap and not waits then
    local level, found = level_of(spender.name, spender.cap)
    local headed = found[3] and found[3] ~= id and tonumber(found[5]) > now
    if headed and tonumber(found[4]) < ticket then
      wait(at, 'minute', 'tokens', (found[6] + need - level) * 60000 / spender.cap)
    elseif level < need then
      wait(at, 'minute', 'tokens', (need - level) * 60000 / spender.cap)
      put_level(spender.name, spender.cap, level)
      redis.call('HSET', BUCKETS .. ':' .. spender.name, 'head', id, 'ticket', whole(ticket),
        'until', now + 3000, 'need', need)
    end
    levels[at] = level
  end
end
if waits then return waits end

for at, spender in ipairs(spenders) do
  if spender.cap then
    put_level(spender.name, spender.cap, levels[at] - need)
    local key = BUCKETS .. ':' .. spender.name
    if redis.call('HGET', key, 'head') == id then redis.call('HDEL', key, 'head', 'ticket', 'until', 'need') end
  end
  if periodic then hold(spender.name, need, amount('pico', output)) end
end
local record = {
  state = 'held', owner = owner, tokens = need, pico = amount('pico', output), day = today,
  generation = periodic and generation or '', spenders = names, caps = caps,
}
store(id, record, now + held_ms)
redis.call('PEXPIRE', CALLS, 35 * DAY_MS)
redis.call('PEXPIRE', EXPIRY, 35 * DAY_MS)
return {'granted', today, whole(need), whole(record.pico), generation or '', alerts}
"""

_CALLED = """
local record = reservation(ARGV[1])
if not record or record.owner ~= ARGV[2] then return 0 end
record.state = 'called'
store(ARGV[1], record, now + ARGV[3])
return 1
"""

_SETTLE = """
local id, owner = ARGV[1], ARGV[2]
local tokens, pico, soft = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
read_limits(6)
local record = reservation(id)
if not record or record.owner ~= owner then return {} end
finish(id, record, tokens, pico)
if record.day == today then
  each_limit(function(...) alert(soft, ...) end)
end
return alerts
"""

_TOTALS = """
local function add_totals(first)
  for at = first, #ARGV, 5 do
    local key, ttl = day_key(ARGV[at + 2]), 3 * DAY_MS
    if ARGV[at + 1] == 'month' then key, ttl = month_key(ARGV[at + 2]), 35 * DAY_MS end
    redis.call('HINCRBY', key, ARGV[at] .. ' tokens', ARGV[at + 3])
    redis.call('HINCRBY', key, ARGV[at] .. ' pico', ARGV[at + 4])
    redis.call('PEXPIRE', key, ttl)
  end
end
"""

_LATE = """
if redis.call('HGET', CALLS, '') ~= ARGV[1] then return 0 end
add_totals(2)
return 1
"""

_LOAD = """
local loader, first, last, generation = ARGV[1], ARGV[2] == '1', ARGV[3] == '1', ARGV[4]
if redis.call('HEXISTS', CALLS, '') == 1 then return 0 end
if first then
  redis.call('DEL', day_key(today), month_key(today))
  redis.call('HSET', CALLS, '>', loader)
elseif redis.call('HGET', CALLS, '>') ~= loader then
  return 0
end
add_totals(5)
if last then
  redis.call('HSET', CALLS, '', generation)
  redis.call('HDEL', CALLS, '>')
end
redis.call('PEXPIRE', CALLS, 35 * DAY_MS)
return 1
"""

_FORGET = """
redis.call('HDEL', CALLS, '', '>')
redis.call('DEL', day_key(today), month_key(today))
return 1
"""

_READ = """
local found = {today}
for _, spender in ipairs(ARGV) do
  for _, key in ipairs({day_key(today), month_key(today)}) do
    for _, count in ipairs(redis.call('HMGET', key, spender .. ' tokens', spender .. ' pico')) do
      found[#found + 1] = count or '0'
    end
  end
  for _, count in ipairs(redis.call('HMGET', CALLS, 'n' .. spender, 'p' .. spender)) do
    found[#found + 1] = count or '0'
  end
end
return found
"""


class BudgetScripts(NamedTuple):
    """The scripts of one store."""

    reserve: LuaScript
    called: LuaScript
    settle: LuaScript
    load: LuaScript
    late: LuaScript
    forget: LuaScript
    read: LuaScript


def budget_scripts(time: str = TIME) -> BudgetScripts:
    """Return the scripts. *time* is a Lua expression for seconds and microseconds since the epoch, as of ``TIME``."""
    clock = _CLOCK % time
    return BudgetScripts(
        reserve=lua_script(_ALL + clock + _COUNTS + _LIMITS + _RESERVE),
        called=lua_script(_FREE + clock + _COUNTS + _CALLED),
        settle=lua_script(_FREE + clock + _COUNTS + _LIMITS + _SETTLE),
        load=lua_script(_ALL + clock + _TOTALS + _LOAD),
        late=lua_script(_ALL + clock + _TOTALS + _LATE),
        forget=lua_script(_FREE + clock + _FORGET),
        read=lua_script(_READS + clock + _READ),
    )
