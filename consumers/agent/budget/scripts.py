"""The Lua scripts of budgets in Valkey. Each is one operation over all spenders of an account, by Valkey's clock.

``calls`` is a hash. ``c`` and a call's id is its reservation; ``n`` and ``p`` and a spender are its reserved tokens and
picodollars. The empty field is the generation of a loaded account, ``t`` the day on which its end was last moved.
``expiry`` has the ends of reservations.
``day:DATE`` and ``month:DATE`` are hashes of what was used, and of the alerts that were raised. ``bucket:SPENDER`` is a
token bucket: its level, the time, and the head of its queue after its ticket, its end and its need.

Amounts used are 64-bit integers in Valkey. Lua compares them as doubles: exact up to 2^53, which is 9,007 dollars,
and to a billionth of a dollar beyond that. The keys after the first two are prefixes, in the slot of the account.
"""

from __future__ import annotations

from typing import NamedTuple

from consumers.valkey.lua import LuaScript, lua_script

TIME = "redis.call('TIME')"

SWEPT = 8
"""Expired reservations that one script ends: the work of a call is bounded."""

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
local EXACT = 9000000000000000
local function whole(number) return string.format('%.0f', number) end

local function pairs_of(spenders, tokens, pico)
  local fields = {}
  for _, spender in ipairs(spenders) do
    fields[#fields + 1] = tokens(spender)
    fields[#fields + 1] = pico(spender)
  end
  return fields
end
local function used_fields(spenders)
  return pairs_of(spenders, function(each) return each .. ' tokens' end, function(each) return each .. ' pico' end)
end
local function held_fields(spenders)
  return pairs_of(spenders, function(each) return 'n' .. each end, function(each) return 'p' .. each end)
end

local function add(key, field, amount) return redis.pcall('HINCRBY', key, field, amount) end

local function charge_period(key, ttl, fields, tokens, pico)
  local used, changed = redis.call('HMGET', key, unpack(fields)), {}
  for at, field in ipairs(fields) do
    local amount = at % 2 == 1 and tokens or pico
    local total = (used[at] or 0) + amount
    if total > EXACT then
      add(key, field, whole(amount))
    elseif amount > 0 then
      changed[#changed + 1] = field
      changed[#changed + 1] = whole(total)
    end
  end
  if #changed > 0 then redis.call('HSET', key, unpack(changed)) end
  if not used[#fields - 1] then redis.call('PEXPIRE', key, ttl) end
end

local function charge(spenders, day, tokens, pico)
  local fields = used_fields(spenders)
  charge_period(day_key(day), 3 * DAY_MS, fields, tokens, pico)
  charge_period(month_key(day), 35 * DAY_MS, fields, tokens, pico)
end

local function bucket_of(spender, cap)
  local found = redis.call('GET', BUCKETS .. ':' .. spender)
  if not found then return {level = cap, ticket = 0, ends = 0, need = 0, head = ''} end
  local level, at, ticket, ends, need, head = string.match(found, '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
  return {
    level = math.min(cap, level + math.max(0, now - at) * cap / 60000),
    ticket = tonumber(ticket), ends = tonumber(ends), need = tonumber(need), head = head,
  }
end

local function put_bucket(spender, cap, bucket)
  local text = string.format(
    '%.3f %.0f %.0f %.0f %.0f %s', bucket.level, now, bucket.ticket, bucket.ends, bucket.need, bucket.head
  )
  local full_ms = math.ceil((cap - bucket.level) * 60000 / cap) + 1000
  redis.call('SET', BUCKETS .. ':' .. spender, text, 'PX', math.max(61000, full_ms))
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
  local gone, kept = {'c' .. id}, {}
  if record.generation ~= '' then
    local fields = held_fields(record.spenders)
    fields[#fields + 1] = ''
    local held = redis.call('HMGET', CALLS, unpack(fields))
    local current = table.remove(fields) and held[#fields + 1]
    for at, field in ipairs(fields) do
      local left = (held[at] or 0) - (at % 2 == 1 and record.tokens or record.pico)
      if left > 0 then
        kept[#kept + 1] = field
        kept[#kept + 1] = whole(left)
      elseif held[at] then
        gone[#gone + 1] = field
      end
    end
    local counts = current and (unknown or current == record.generation)
    if counts and (tokens > 0 or pico > 0) then charge(record.spenders, record.day, tokens, pico) end
  end
  for at, spender in ipairs(record.spenders) do
    local cap, back = record.caps[at], record.tokens - tokens
    if cap > 0 and back ~= 0 then
      local bucket = bucket_of(spender, cap)
      bucket.level = math.min(cap, bucket.level + back)
      put_bucket(spender, cap, bucket)
    end
  end
  redis.call('HDEL', CALLS, unpack(gone))
  if #kept > 0 then redis.call('HSET', CALLS, unpack(kept)) end
  redis.call('ZREM', EXPIRY, id)
end

-- a called reservation was charged by the provider, as far as anyone knows; a held one was not
local function finish_unknown(id, record)
  local called = record.state == 'called'
  finish(id, record, called and record.tokens or 0, called and record.pico or 0, true)
end

local SWEPT = @SWEPT@
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
  for at = first, #ARGV do
    local cap, day, month, day_pico, month_pico, name = string.match(ARGV[at], '^(%S+) (%S+) (%S+) (%S+) (%S+) (.*)$')
    local spender = {
      name = name, cap = tonumber(cap),
      day = {tokens = tonumber(day), pico = tonumber(day_pico)},
      month = {tokens = tonumber(month), pico = tonumber(month_pico)},
    }
    spenders[at - first + 1], names[at - first + 1], caps[at - first + 1] = spender, name, spender.cap or 0
    periodic = periodic or spender.day.tokens or spender.day.pico or spender.month.tokens or spender.month.pico
  end
end

-- calls visit(spender's place, period, measure, limit, amount used) for each limit of a day or month
local function each_limit(visit)
  local fields = used_fields(names)
  local used = {
    day = redis.call('HMGET', day_key(today), unpack(fields)),
    month = redis.call('HMGET', month_key(today), unpack(fields)),
  }
  for at, spender in ipairs(spenders) do
    for _, period in ipairs(PERIODS) do
      for place, measure in ipairs(MEASURES) do
        local limit = spender[period][measure]
        if limit then visit(at, period, measure, limit, tonumber(used[period][2 * at - 2 + place] or 0)) end
      end
    end
  end
end

local alerts, reached = {}, {}
local function note(soft, at, period, measure, limit, used)
  if used >= soft * limit then reached[#reached + 1] = {at, period, measure} end
end
local function raise_alerts()
  for _, each in ipairs(reached) do
    local at, period, measure = unpack(each)
    local key = period == 'day' and day_key(today) or month_key(today)
    if redis.call('HSETNX', key, 'alert ' .. spenders[at].name .. ' ' .. measure, 1) == 1 then
      redis.call('PEXPIRE', key, period == 'day' and 3 * DAY_MS or 35 * DAY_MS)
      alerts[#alerts + 1] = at .. ' ' .. period .. ' ' .. measure
    end
  end
end
"""

_RESERVE = """
local id, owner = ARGV[1], ARGV[2]
local numbers = {}
for number in string.gmatch(ARGV[3], '%S+') do numbers[#numbers + 1] = tonumber(number) end
local held_ms, ticket, soft, prompt, output, least_output, prompt_pico, output_pico = unpack(numbers)
if ticket == 0 then ticket = clock[1] * 1000000 + clock[2] end
local fixed = {tokens = prompt, pico = prompt_pico}
local unit = {tokens = 1, pico = output_pico}
local function amount(measure, tokens) return fixed[measure] + tokens * unit[measure] end
local least = {tokens = amount('tokens', least_output), pico = amount('pico', least_output)}
read_limits(4)

local more = sweep()
local fields = held_fields(names)
local function read_calls() return redis.call('HMGET', CALLS, 'c' .. id, '', 't', unpack(fields)) end
local known = read_calls()
if known[1] then
  finish_unknown(id, cmsgpack.unpack(known[1]))
  known = read_calls()
end
local generation = known[2]
local function held_of(at, measure) return tonumber(known[2 + 2 * at + (measure == 'tokens' and 0 or 1)] or 0) end

if periodic and not generation then return {'unloaded'} end
if not periodic and generation then
  redis.call('HDEL', CALLS, '')
  redis.call('DEL', day_key(today), month_key(today))
end

local refused, waits
local function wait(at, period, measure, ms)
  local bounded = math.ceil(math.max(50, math.min(1000, ms)) - 0.000001)
  waits = waits or {'wait', at, period, measure, bounded, whole(ticket)}
end
local function refuse(at, period, measure, too_large, limit)
  refused = refused or {
    'spent', at, period, measure, too_large and 1 or 0, whole(limit), whole(least[measure]),
  }
end

if periodic then
  each_limit(function(at, period, measure, limit, used)
    note(soft, at, period, measure, limit, used)
    local free = limit - used - held_of(at, measure)
    if least[measure] > limit - used then
      refuse(at, period, measure, least[measure] > limit, limit)
    elseif least[measure] > free then
      wait(at, period, measure, 250)
    elseif unit[measure] > 0 then
      output = math.min(output, math.floor((free - fixed[measure]) / unit[measure]))
    end
  end)
end
for at, spender in ipairs(spenders) do
  if spender.cap then
    if least.tokens > spender.cap then refuse(at, 'minute', 'tokens', true, spender.cap) end
    output = math.min(output, spender.cap - fixed.tokens)
  end
end
if more and (refused or waits) then return {'again'} end
raise_alerts()
if refused then
  refused[#refused + 1] = alerts
  return refused
end

local need = amount('tokens', output)
local buckets = {}
for at, spender in ipairs(spenders) do
  if spender.cap and not waits then
    local bucket = bucket_of(spender.name, spender.cap)
    local others_turn = bucket.head ~= '' and bucket.head ~= id and bucket.ends > now
    if others_turn and bucket.ticket < ticket then
      wait(at, 'minute', 'tokens', (bucket.need + need - bucket.level) * 60000 / spender.cap)
    elseif bucket.level < need then
      wait(at, 'minute', 'tokens', (need - bucket.level) * 60000 / spender.cap)
      bucket.head, bucket.ticket, bucket.ends, bucket.need = id, ticket, now + 3000, need
      put_bucket(spender.name, spender.cap, bucket)
    end
    buckets[at] = bucket
  end
end
if waits then return waits end

local cost = amount('pico', output)
for at, spender in ipairs(spenders) do
  if spender.cap then
    local bucket = buckets[at]
    bucket.level = bucket.level - need
    if bucket.head == id then bucket.head = '' end
    put_bucket(spender.name, spender.cap, bucket)
  end
end
local record = {
  state = 'held', owner = owner, tokens = need, pico = cost, day = today,
  generation = periodic and generation or '', spenders = names, caps = caps,
}
local changed = {'c' .. id, cmsgpack.pack(record)}
if periodic then
  for at, field in ipairs(fields) do
    local more_held = at % 2 == 1 and need or cost
    if more_held > 0 then
      changed[#changed + 1] = field
      changed[#changed + 1] = whole((known[3 + at] or 0) + more_held)
    end
  end
end
if known[3] ~= today then
  changed[#changed + 1] = 't'
  changed[#changed + 1] = today
end
redis.call('HSET', CALLS, unpack(changed))
redis.call('ZADD', EXPIRY, now + held_ms, id)
redis.call('PEXPIRE', EXPIRY, 35 * DAY_MS)  -- a set that was empty is a new one, without an end
if known[3] ~= today then redis.call('PEXPIRE', CALLS, 35 * DAY_MS) end
return {'granted', today, whole(need), whole(cost), generation or '', alerts}
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
  each_limit(function(...) note(soft, ...) end)
  raise_alerts()
end
return alerts
"""

_TOTALS = """
local function add_totals(first)
  for at = first, #ARGV, 5 do
    local key, ttl = day_key(ARGV[at + 2]), 3 * DAY_MS
    if ARGV[at + 1] == 'month' then key, ttl = month_key(ARGV[at + 2]), 35 * DAY_MS end
    redis.pcall('HINCRBY', key, ARGV[at] .. ' tokens', ARGV[at + 3])
    redis.pcall('HINCRBY', key, ARGV[at] .. ' pico', ARGV[at + 4])
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


def budget_scripts(time: str = TIME, swept: int = SWEPT) -> BudgetScripts:
    """Return the scripts. *time* is a Lua expression for seconds and microseconds since the epoch, as of ``TIME``.

    *swept* is the number of expired reservations that one script ends.
    """
    clock, counts = _CLOCK % time, _COUNTS.replace("@SWEPT@", str(swept))
    return BudgetScripts(
        reserve=lua_script(_ALL + clock + counts + _LIMITS + _RESERVE),
        called=lua_script(_FREE + clock + counts + _CALLED),
        settle=lua_script(_FREE + clock + counts + _LIMITS + _SETTLE),
        load=lua_script(_ALL + clock + _TOTALS + _LOAD),
        late=lua_script(_ALL + clock + _TOTALS + _LATE),
        forget=lua_script(_FREE + clock + _FORGET),
        read=lua_script(_READS + clock + _READ),
    )
