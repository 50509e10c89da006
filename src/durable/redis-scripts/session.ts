import type { RedisScript } from "../redis-connection.ts";

/**
 * What every script of a session begins with. It reads the session's state, and answers with it as it is at the end.
 *
 * KEYS: 1 the session, 2 its records, 3 its snapshots. ARGV: 1 to 3 the epoch, a head and its checksum that the caller
 * has seen in this log, 4 an epoch to begin where the log does not reach that head any more or has another record there,
 * 5 the doorbell's channel. A server that took over from another may not have got the last of what that one had; so the
 * loss is found, and said in a new epoch, by whoever comes first and before anything is built on it.
 *
 * Numbers are kept as decimal texts. Lua would write large ones as 1.7e+15, so `integer` does.
 */
const prelude = `
local names = {'epoch', 'head', 'checksum', 'first', 'start', 'before', 'through', 'active'}
local session = {}
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(names))) do session[names[i]] = value end
local function integer(number) return string.format('%.0f', number) end
local function set(values)
  local flat = {}
  for name, value in pairs(values) do
    session[name] = value
    flat[#flat + 1] = name
    flat[#flat + 1] = value
  end
  redis.call('HSET', KEYS[1], unpack(flat))
end
local function ring(head) redis.call('PUBLISH', ARGV[5], head) end
local function answer(kind, ...)
  local state = {}
  if session.epoch then for i, name in ipairs(names) do state[i] = session[name] end end
  return {state, kind, ...}
end
local function reaches(seq, checksum)
  local head = tonumber(session.head)
  return head > seq or (head == seq and session.checksum == checksum)
end
if session.epoch and session.epoch == ARGV[1] and not reaches(tonumber(ARGV[2]), ARGV[3]) then
  set({epoch = ARGV[4]})
  ring('')
end
`;

/**
 * `packs(from, to, maxBytes)`: the records from..to, each pack as its id (whose first number is its first seq), the
 * checksum before it, and its bytes; the first may begin earlier. It stops before those after the first hold more than
 * maxBytes of frames.
 */
export const packsFunction = `
local function packs(from, to, maxBytes)
  local found, base, count = {}, nil, 8
  local function take(entry)
    local fields = entry[2]
    local before = tonumber(fields[4])
    if #found == 3 then base = before end
    if base and before - base > maxBytes then return false end
    found[#found + 1] = entry[1]
    found[#found + 1] = fields[2]
    found[#found + 1] = fields[6]
    return true
  end
  local next = from
  local first = redis.call('XREVRANGE', KEYS[2], from, '-', 'COUNT', 1)[1]
  if first then
    take(first)
    next = '(' .. first[1]
  end
  while true do
    local entries = redis.call('XRANGE', KEYS[2], next, to, 'COUNT', count)
    for _, entry in ipairs(entries) do
      if not take(entry) then return found end
    end
    if #entries < count then return found end
    next = '(' .. entries[#entries][1]
    if #entries[#entries][2][6] < 4096 then count = math.min(count * 2, 256) end
  end
end
`;

/** A script of one session; `body` ends in `return answer(kind, ...)`. */
export const sessionScript = (name: string, body: string): RedisScript => ({ name, lua: `${prelude}${body}` });
