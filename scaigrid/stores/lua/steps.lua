--[[ The functions that are called: each is one step over all buckets of a call, which nobody sees half done.

What is kept, all under one hash tag:

  state        hash    epoch, the life of the counters; now and skew, their clock; run, the server that they were in
  open         zset    leases that are neither over nor expired, by a moment a quarter of an hour before they expire: as
                       releases have it in which every lease lasts that long, so that all give back the same ones
  lease:<id>   string  what a lease took: { when, bucket, kind, amount, bucket, kind, amount, ... }; or nothing, where it
                       is not of this epoch and has been settled
  b:<bucket>   hash    a window or a fund

A kind is w for a window, f for a fund, c for calls that run at the same time. Times are ticks of a microsecond; where a
caller gives one it owns the time, and nothing is left to the server's clock, the expiry of keys included.

An expired lease gives back what it reserved in the next step, whoever takes it. So a step touches keys that its caller
could not name: the hash tag puts them where the others are.
]]

local LATE = 24 * 3600 * 1e6  -- how long an expired lease is kept, for a holder that settles it after all
local SWEPT = 128             -- how many expired leases one step gives back
local TOLD = ''              -- what is kept of a lease that was not given out here, once it has been settled
local USUAL = 900 * 1e6       -- so long before it expires a lease stands in `open`

-- The time, which only goes forward, and the epoch.
local function tick(state, given)
  local now = tonumber(given)
  if not now then
    local time = redis.call('TIME')
    now = tonumber(time[1]) * 1e6 + tonumber(time[2])
  end
  local held = redis.call('HMGET', state, 'epoch', 'now', 'skew')
  local last, skew = tonumber(held[2]) or 0, tonumber(held[3]) or 0
  now = now + skew
  if now < last then
    redis.call('HSET', state, 'skew', whole(skew + last - now))
    now = last
  elseif now > last then
    redis.call('HSET', state, 'now', whole(now))
  end
  return now, held[1]
end

-- Gives back what expired leases reserved. What they took of windows comes back with time alone. Only from then on may
-- the server forget a lease by itself: where nobody takes a step for days, nobody else knows what it reserved.
local function sweep(open, now, given)
  local over = redis.call('ZRANGE', open, '-inf', whole(now - USUAL), 'BYSCORE', 'LIMIT', 0, SWEPT)
  for _, lease in ipairs(over) do
    redis.call('ZREM', open, lease)
    local packed = redis.call('GET', lease)
    local record = packed and cmsgpack.unpack(packed) or {}
    for i = 2, #record, 3 do
      if record[i + 1] ~= 'w' then
        close_fund(record[i], record[i + 2], '0')
      end
    end
    if given == '' then
      redis.call('PEXPIRE', lease, whole(LATE / 1000))
    end
  end
end

-- keys: state, open, lease, then a bucket for each take.
-- args: the time or '', the epoch, the ticks after which this lease expires, then `kind limit shape amount` for each take,
-- where shape is the width of a window's slices, or the milliseconds at which a fund's period ends, '-' for never.
-- Answers { 0, 0 } with everything taken; { place, wait } with nothing taken, because the take at that place had no
-- room; { -1, 0 } where the epoch is another one. Then the two numbers of a standing for each window.
local function acquire(keys, args)
  local given, patience = args[1], tonumber(args[3])
  local now, epoch = tick(keys[1], given)
  if epoch ~= args[2] then
    return { -1, 0 }
  end
  sweep(keys[2], now, given)

  local record, buckets, windows = { now }, {}, {}
  local refused, ticks = 0, 0
  for place = 1, #args - 3 do
    local key = keys[3 + place]
    local kind, limit, shape, amount = args[3 + place]:match('^(%a) (%d+) (%S+) (%d+)$')
    local bucket = buckets[key]
    if kind == 'w' then
      bucket = bucket or window_at(key, tonumber(shape), now, given)
      local most, wanted = tonumber(limit), tonumber(amount)
      bucket.wanted = bucket.wanted + wanted
      windows[#windows + 1] = { bucket, most }
      local fits = most > 0 and (wanted == 0 or bucket.total + bucket.wanted <= most)
      if refused == 0 and not fits then
        refused, ticks = place, wait(bucket, bucket.wanted, most, now)
      end
    elseif refused == 0 then
      bucket = bucket or fund_at(key)
      bucket.kind, bucket.ends = kind, shape
      if not fits_fund(bucket, amount, limit) then
        refused = place
      end
    end
    buckets[key] = bucket
    record[#record + 1], record[#record + 2], record[#record + 3] = key, kind, amount
  end

  local answer = { refused, ticks }
  for _, each in ipairs(windows) do
    local taken = refused == 0 and each[1].wanted or 0
    answer[#answer + 1], answer[#answer + 2] = standing(each[1], each[2], taken, now)
  end
  if refused ~= 0 then
    return answer
  end
  for _, bucket in pairs(buckets) do
    if bucket.width then
      take_of_window(bucket, now, given)
    else
      take_of_fund(bucket, now, given)
    end
  end
  redis.call('SET', keys[3], cmsgpack.pack(record))
  redis.call('ZADD', keys[2], whole(now + patience - USUAL), keys[3])
  return answer
end

-- keys: state, open, lease, then a bucket for each number. args: the epoch of the lease, 'settle' or 'release', then
-- how much was used of each bucket. One that is not named keeps what was taken, or with 'release' gives it back.
-- Or 'spend', for a lease that nobody was given: then each number has behind it when the period of its fund ends.
-- Answers, for each fund of which something was spent by this: its key, what was spent of it before, and after.
local function settle(keys, args)
  local lease, release = keys[3], args[2] == 'release'
  local answer, places = {}, {}
  local function close(key, unreserved, use)
    local before, after = close_fund(key, unreserved, use)
    if before ~= after then
      local place = places[key] or #answer + 1
      places[key] = place
      answer[place], answer[place + 1], answer[place + 2] = key, answer[place + 1] or before, after
    end
  end
  local packed = redis.call('GET', lease)
  if not packed or packed == TOLD then
    -- In its own epoch it is over already; of another one nothing is known, and what was used was really spent: once.
    if #keys > 3 and not packed and redis.call('HGET', keys[1], 'epoch') ~= args[1] then
      redis.call('SET', lease, TOLD, 'PX', whole(LATE / 1000))
      for i = 4, #keys do
        local use, ends = args[i - 1]:match('^(%d+) ?(%S*)$')
        if ends ~= '' then
          begin_fund(keys[i], ends)
        end
        close(keys[i], '0', use)
      end
    end
    return answer
  end
  redis.call('DEL', lease)
  local reserved = redis.call('ZREM', keys[2], lease) == 1
  local record = cmsgpack.unpack(packed)
  local used = {}
  for i = 4, #keys do
    used[keys[i]] = args[i - 1]
  end
  for i = 2, #record, 3 do
    local key, kind, amount = record[i], record[i + 1], record[i + 2]
    local use = release and '0' or used[key]
    if kind ~= 'w' then
      close(key, reserved and amount or '0', use or amount)
    elseif use then
      correct(key, record[1], math.min(tonumber(use), WHOLE) - tonumber(amount))
    end
    if used[key] then
      -- A number replaces all takes of its bucket, so the first of them uses it up.
      used[key] = '0'
    end
  end
  return answer
end

-- keys: state, then funds. args: an epoch to begin where there is none, 'raise' or 'keep', 'more' or 'done', then what
-- is spent of each fund. A fund that is held stays as it is; but where the counters were lost it may be an old one,
-- read back from a disk, and is raised. Answers the epoch, '' where there is none yet because more are to come.
local function preset(keys, args)
  local epoch = redis.call('HGET', keys[1], 'epoch')
  local raise = args[2] == 'raise' or not epoch
  for i = 2, #keys do
    local amount = args[2 + i]
    local held = redis.call('HMGET', keys[i], 's', 'r')
    local high, low = split(amount)
    if not held[2] then
      redis.call('HSET', keys[i], 's', amount, 'r', '0')
    elseif raise and above(high, low, held[1] or '0') then
      redis.call('HSET', keys[i], 's', amount)
    end
  end
  if not epoch and args[3] == 'done' then
    epoch = args[1]
    redis.call('HSET', keys[1], 'epoch', epoch)
  end
  return epoch or ''
end

-- keys: state, then funds. args: how much more was spent of each, with its sign: the ledger has been corrected. Answers
-- 0 where there is no epoch, for then they will be counted from the ledger.
local function amend(keys, args)
  if not redis.call('HGET', keys[1], 'epoch') then
    return 0
  end
  for i = 2, #keys do
    local held = redis.call('HMGET', keys[i], 's', 'r')
    if held[2] then
      local sign, amount, spent = args[i - 1]:sub(1, 1), args[i - 1]:sub(2), held[1] or '0'
      redis.call('HSET', keys[i], 's', sign == '-' and minus(spent, amount) or sum(spent, amount))
    end
  end
  return 1
end

-- keys: state, open, then buckets. args: the time or '', then for each bucket the width of its slices, '-' for a fund.
-- Answers two numbers for each: spent or in the window, and reserved.
local function spent(keys, args)
  local now = tick(keys[1], args[1])
  sweep(keys[2], now, args[1])
  local answer = {}
  for i = 3, #keys do
    local amount, reserved
    if args[i - 1] == '-' then
      local held = redis.call('HMGET', keys[i], 's', 'r')
      amount, reserved = held[1] or '0', held[2] or '0'
    else
      -- Whatever its period is by now: only a call changes a window.
      local width = redis.call('HGET', keys[i], 'w') or args[i - 1]
      amount, reserved = whole(window_at(keys[i], tonumber(width), now, args[1]).total), '0'
    end
    answer[#answer + 1], answer[#answer + 2] = amount, reserved
  end
  return answer
end

-- keys: state. args: what names the running server. Another one than before may hold less than was counted: then the
-- epoch is over, and nothing is given out until the funds have been preset. Answers the epoch, '' where there is none.
local function open(keys, args)
  local held = redis.call('HMGET', keys[1], 'run', 'epoch')
  if held[1] == args[1] then
    return held[2] or ''
  end
  redis.call('HSET', keys[1], 'run', args[1])
  redis.call('HDEL', keys[1], 'epoch')
  return ''
end

redis.register_function('@name@_acquire', acquire)
redis.register_function('@name@_amend', amend)
redis.register_function('@name@_open', open)
redis.register_function('@name@_preset', preset)
redis.register_function('@name@_spent', spent)
-- What ends makes room: a server that is full takes it all the same.
redis.register_function { function_name = '@name@_settle', callback = settle, flags = { 'allow-oom' } }
