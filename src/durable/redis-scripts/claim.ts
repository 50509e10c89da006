import { sessionScript } from "./session.ts";

/**
 * KEYS: 4 all sessions, 5 the last generation. ARGV: 6 session id, 7 the client's field, 8 the epoch to begin with where
 * there is no session, 9 now, 10 the generation is at least this, 11 clients used before this are forgotten.
 *
 * A client that is new has some of the others looked at, from where the last one stopped ("swept"): so a session with very
 * many is never looked through at once, which would keep all others waiting.
 *
 * Whatever else is left under the names of a session that is not there belongs to none.
 */
export const claimScript = sessionScript(
  "claim",
  `
if not session.epoch then
  set({epoch = ARGV[8], head = '0', checksum = '0', first = '1', start = '0', before = '0', through = '0', active = ARGV[9]})
  redis.call('UNLINK', KEYS[2], KEYS[3])
end
redis.call('ZADD', KEYS[4], 0, ARGV[6])
local generation = integer(math.max(tonumber(redis.call('GET', KEYS[5]) or '0') + 1, tonumber(ARGV[10])))
redis.call('SET', KEYS[5], generation)
local client = redis.call('HGET', KEYS[1], ARGV[7])
local last = client and string.match(client, '^%d+ (%d+)') or '0'
if not client then
  local some = redis.call('HSCAN', KEYS[1], redis.call('HGET', KEYS[1], 'swept') or '0', 'COUNT', 50)
  local fields = some[2]
  for i = 1, #fields, 2 do
    local used = string.sub(fields[i], 1, 7) == 'client ' and string.match(fields[i + 1], '(%d+)$')
    if used and tonumber(used) < tonumber(ARGV[11]) then redis.call('HDEL', KEYS[1], fields[i]) end
  end
  redis.call('HSET', KEYS[1], 'swept', some[1])
end
redis.call('HSET', KEYS[1], ARGV[7], generation .. ' ' .. last .. ' ' .. ARGV[9])
set({active = ARGV[9]})
return answer('claimed', generation, last)
`,
);
