-- Calls under way that may be asked for again. A key that is claimed names its run: 'holder fingerprint'. A run is a
-- hash: n, how many pieces there have been; b, the number of the oldest that is held; s, the bytes that are held; e,
-- the end; j, until when (milliseconds of the server's clock) somebody reads along. Its pieces are a list.
-- Everything expires: while the holder lives it says so, again and again.

local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function last(keys, from, milliseconds)
  for i = from, #keys do
    redis.call('PEXPIRE', keys[i], milliseconds)
  end
end

-- keys: claim, run. args: what the claim says, how long it holds. Answers what a claim of somebody else says, or ''.
local function claim(keys, args)
  local held = redis.call('GET', keys[1])
  if held then
    return held
  end
  redis.call('SET', keys[1], args[1], 'PX', args[2])
  redis.call('HSET', keys[2], 'n', 0, 'b', 0, 's', 0)
  last(keys, 2, args[2])
  return ''
end

-- keys: claim, run, pieces. args: what the claim says, how long it holds, how many pieces there have been. A server
-- that has lost the claim is told it again, unless somebody else has the key by now; of a run that it has lost the
-- pieces are gone.
local function hold(keys, args)
  local held = redis.call('GET', keys[1])
  if not held then
    redis.call('SET', keys[1], args[1], 'PX', args[2])
  elseif held ~= args[1] then
    return 0
  end
  if redis.call('EXISTS', keys[2]) == 0 then
    redis.call('DEL', keys[3])
    redis.call('HSET', keys[2], 'n', args[3], 'b', args[3], 's', 0)
  end
  last(keys, 1, args[2])
  return 1
end

-- keys: run, pieces. args: the number of the piece, the bytes that may be held, how long, the piece. Where the one
-- before it never came, those before it are of no use to anybody.
local function add(keys, args)
  local number = tonumber(args[1])
  local state = redis.call('HMGET', keys[1], 'n', 'b', 's')
  if not state[1] then
    return 0
  end
  local first, size = tonumber(state[2]), tonumber(state[3])
  if tonumber(state[1]) ~= number then
    redis.call('DEL', keys[2])
    first, size = number, 0
  end
  redis.call('RPUSH', keys[2], args[4])
  size = size + #args[4]
  while size > tonumber(args[2]) do
    size = size - #redis.call('LPOP', keys[2])
    first = first + 1
  end
  redis.call('HSET', keys[1], 'n', number + 1, 'b', first, 's', size)
  last(keys, 1, args[3])
  return 1
end

-- keys: claim, run, pieces. args: what the claim says, the end, how many pieces there have been, how long those who
-- read may take, how long the key stays claimed.
local function finish(keys, args)
  if redis.call('GET', keys[1]) == args[1] then
    if tonumber(args[5]) > 0 then
      redis.call('PEXPIRE', keys[1], args[5])
    else
      redis.call('DEL', keys[1])
    end
  end
  if redis.call('HGET', keys[2], 'n') ~= args[3] then
    redis.call('DEL', keys[3])
    redis.call('HSET', keys[2], 'n', args[3], 'b', args[3], 's', 0)
  end
  redis.call('HSET', keys[2], 'e', args[2])
  last(keys, 2, math.max(tonumber(args[4]), tonumber(args[5])))
  return 1
end

-- keys: run, pieces. args: the number of the next piece, the most pieces, for how long the reader is there. Answers
-- 'died' or 'outrun'; else 'ok', the end (or '') where nothing more will come, then the pieces.
local function read(keys, args)
  local number = tonumber(args[1])
  local state = redis.call('HMGET', keys[1], 'n', 'b', 'e')
  if not state[1] then
    return { 'died' }
  end
  if number < tonumber(state[2]) then
    return { 'outrun' }
  end
  if not state[3] then
    redis.call('HSET', keys[1], 'j', now() + tonumber(args[3]))
  end
  local first = number - tonumber(state[2])
  local pieces = redis.call('LRANGE', keys[2], first, first + tonumber(args[2]) - 1)
  local ended = number + #pieces == tonumber(state[1]) and state[3] or ''
  return { 'ok', ended, unpack(pieces) }
end

-- keys: run. Answers 1 while somebody reads along.
local function read_along(keys)
  local until_when = redis.call('HGET', keys[1], 'j')
  return until_when and tonumber(until_when) > now() and 1 or 0
end

redis.register_function('@name@_claim', claim)
redis.register_function('@name@_hold', hold)
redis.register_function('@name@_add', add)
redis.register_function('@name@_read', read)
redis.register_function { function_name = '@name@_read_along', callback = read_along, flags = { 'no-writes' } }
-- What ends makes room: a server that is full takes it all the same.
redis.register_function { function_name = '@name@_finish', callback = finish, flags = { 'allow-oom' } }
