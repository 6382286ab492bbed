--[[ A window: what was taken in the last period, in slices of a sixtieth of it. The rules are those of memory.py, which
proves the bound; what is kept is a hash with w(idth of a slice in ticks), h(ead), b(orn), t(otal) and, by its number
modulo 61, each slice that holds something.
]]

local SLICES, RING = 60, 61
local WHOLE = 2 ^ 53 - 1  -- the largest total: above it a double skips numbers

-- The text of a whole number: Lua's own has an exponent where it is large.
local function whole(number)
  return string.format('%.0f', number)
end

local function slice(number)
  return whole(number % RING)
end

-- So long a window can hold something, whatever is put into its present slice.
local function expire_window(window, given)
  if given == '' then
    redis.call('PEXPIRE', window.key, whole(math.ceil((RING + 1) * window.width / 1000)))
  end
end

-- The window moved on to `now`, with what its present slice holds; `fresh` where nothing is kept of it.
local function window_at(key, width, now, given)
  local window = { key = key, width = width, head = math.floor(now / width), fresh = true }
  window.total, window.in_head, window.wanted = 0, 0, 0
  local held = redis.call('HMGET', key, 'w', 'h', 't', slice(window.head))
  if not held[1] then
    return window
  end
  local old, head, total = tonumber(held[1]), tonumber(held[2]), tonumber(held[3])
  local present = math.floor(now / old)
  if present - head > SLICES then
    redis.call('DEL', key)
    return window
  end
  if present > head then
    local entered = {}
    for number = head + 1, present do
      entered[#entered + 1] = slice(number)
    end
    for _, count in ipairs(redis.call('HMGET', key, unpack(entered))) do
      total = total - (tonumber(count) or 0)
    end
    redis.call('HDEL', key, unpack(entered))
    redis.call('HSET', key, 'h', whole(present), 't', whole(total))
  end
  window.total, window.fresh = total, false
  if old ~= width then
    -- Another period: what is in it counts as taken now.
    window.in_head = total
    redis.call('DEL', key)
    redis.call('HSET', key, 'w', whole(width), 'h', whole(window.head), 'b', whole(now), 't', whole(total))
    redis.call('HSET', key, slice(window.head), whole(total))
    expire_window(window, given)
  elseif present > head then
    expire_window(window, given)
  else
    window.in_head = tonumber(held[4]) or 0
  end
  return window
end

local function take_of_window(window, now, given)
  local key, head, wanted = window.key, window.head, window.wanted
  if window.fresh then
    redis.call('HSET', key, 'w', whole(window.width), 'h', whole(head), 'b', whole(now))
  end
  redis.call('HSET', key, 't', whole(window.total + wanted), slice(head), whole(window.in_head + wanted))
  if window.fresh then
    expire_window(window, given)
  end
end

-- `more` units than were taken at `at` (fewer where negative), unless that has left the window.
local function correct(key, at, more)
  local held = redis.call('HMGET', key, 'w', 'h', 'b', 't')
  if not held[1] or more == 0 then
    return
  end
  local taken = math.floor(at / tonumber(held[1]))
  if at >= tonumber(held[3]) and taken >= tonumber(held[2]) - SLICES then
    local change = whole(math.min(more, WHOLE - tonumber(held[4])))
    redis.call('HINCRBY', key, 't', change)
    redis.call('HINCRBY', key, slice(taken), change)
  end
end

-- What each slice holds, the present one first.
local function counts(window)
  local wanted = {}
  for age = 0, SLICES do
    wanted[#wanted + 1] = slice(window.head - age)
  end
  return redis.call('HMGET', window.key, unpack(wanted))
end

-- Ticks until what was taken `age` slices ago is gone: one more than that, for callers round down.
local function gone(window, age, now)
  return (window.head - age + RING) * window.width - now + 1
end

-- How much remains, and the ticks until the window is whole again.
local function standing(window, limit, taken, now)
  local total = window.total + taken
  local reset = 0
  if taken > 0 then
    reset = gone(window, 0, now)
  elseif total > 0 then
    for place, count in ipairs(counts(window)) do
      if count and count ~= '0' then
        reset = gone(window, place - 1, now)
        break
      end
    end
  end
  return whole(math.max(limit - total, 0)), reset
end

-- Ticks until `amount` fits if nobody else takes; -1 where it never will.
local function wait(window, amount, limit, now)
  local excess = window.total + amount - limit
  local held = counts(window)
  for age = SLICES, 0, -1 do
    excess = excess - (tonumber(held[age + 1]) or 0)
    if excess <= 0 then
      return gone(window, age, now)
    end
  end
  return -1
end
