--[[ A fund: what was taken stays taken until it is settled. What is kept is a hash with s(pent), r(eserved), u(ntil,
the milliseconds at which it may be forgotten), and c where it counts calls that run at the same time.

Its numbers have up to 24 digits, and more counts as so many: Lua's doubles are exact to 15, so two of them are taken,
how many UNITs and the rest.
]]

local UNIT, MOST = 1e9, 1e15
local GRACE = 3600 * 1000  -- how long a fund stays when its period is over, in milliseconds

local function split(text)
  if #text <= 9 then
    return 0, tonumber(text)
  end
  return tonumber(text:sub(1, -10)), tonumber(text:sub(-9))
end

local function join(high, low)
  if high >= MOST then
    high, low = MOST - 1, UNIT - 1
  end
  if high == 0 then
    return whole(low)
  end
  return string.format('%.0f%09.0f', high, low)
end

local function plus(high, low, more_high, more_low)
  high, low = high + more_high, low + more_low
  if low >= UNIT then
    return high + 1, low - UNIT
  end
  return high, low
end

local function sum(text, more)
  local high, low = split(text)
  return join(plus(high, low, split(more)))
end

-- Never below 0.
local function minus(text, less)
  local high, low = split(text)
  local less_high, less_low = split(less)
  high, low = high - less_high, low - less_low
  if low < 0 then
    high, low = high - 1, low + UNIT
  end
  return high < 0 and '0' or join(high, low)
end

local function above(high, low, text)
  local limit_high, limit_low = split(text)
  return high > limit_high or (high == limit_high and low > limit_low)
end

local function fund_at(key)
  local held = redis.call('HMGET', key, 's', 'r', 'u')
  local fund = { key = key, fresh = not held[2], reserved = held[2] or '0', forgotten = held[3] or '-' }
  local high, low = split(held[1] or '0')
  fund.high, fund.low = plus(high, low, split(fund.reserved))
  fund.wanted_high, fund.wanted_low = 0, 0
  return fund
end

-- Whether `amount` more of it, in a call that may want several times of it, keeps to the limit.
local function fits_fund(fund, amount, limit)
  fund.wanted_high, fund.wanted_low = plus(fund.wanted_high, fund.wanted_low, split(amount))
  if amount == '0' then
    return limit ~= '0'
  end
  local high, low = plus(fund.high, fund.low, fund.wanted_high, fund.wanted_low)
  return not above(high, low, limit)
end

-- Not sooner than GRACE from now: a caller's clock may be behind the server's, and what it counts must stay for that.
local function expire_fund(fund, now)
  if fund.ends == '-' then
    if fund.forgotten ~= '-' then
      redis.call('PERSIST', fund.key)
      redis.call('HDEL', fund.key, 'u')
    end
    return
  end
  local forgotten, soonest = tonumber(fund.ends) + GRACE, math.floor(now / 1000) + GRACE
  if fund.forgotten ~= whole(forgotten) or forgotten < soonest then
    redis.call('HSET', fund.key, 'u', whole(forgotten))
    redis.call('PEXPIREAT', fund.key, whole(math.max(forgotten, soonest)))
  end
end

-- Where nothing is held of a fund, nothing is spent of it yet.
local function begin_fund(key, ends)
  if redis.call('HEXISTS', key, 'r') == 0 then
    redis.call('HSET', key, 's', '0', 'r', '0')
    expire_fund({ key = key, ends = ends, forgotten = '-' }, tonumber(redis.call('TIME')[1]) * 1e6)
  end
end

local function take_of_fund(fund, now, given)
  redis.call('HSET', fund.key, 'r', sum(fund.reserved, join(fund.wanted_high, fund.wanted_low)))
  if fund.fresh then
    redis.call('HSET', fund.key, fund.kind == 'c' and 'c' or 's', '0')
  end
  if given == '' then
    expire_fund(fund, now)
  end
end

-- So much less is reserved and so much more is spent of a fund that is held; one that is not was over long ago. Answers
-- what was spent before, and after.
local function close_fund(key, unreserved, used)
  local held = redis.call('HMGET', key, 's', 'r', 'c')
  if not held[2] then
    return
  end
  local rest = minus(held[2], unreserved)
  if not held[3] then
    local before = held[1] or '0'
    local after = sum(before, used)
    redis.call('HSET', key, 'r', rest, 's', after)
    return before, after
  end
  -- Calls that run at the same time are all over when they are settled: nothing of them stays.
  if rest == '0' then
    redis.call('DEL', key)
  else
    redis.call('HSET', key, 'r', rest)
  end
end
