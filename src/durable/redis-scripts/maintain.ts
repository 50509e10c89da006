import type { RedisScript } from "../redis-connection.ts";
import { sessionScript } from "./session.ts";

/** ARGV: 6 the epoch that ends, 7 the one that begins. */
export const renewEpochScript = sessionScript(
  "renew-epoch",
  `
if session.epoch and session.epoch == ARGV[6] then
  set({epoch = ARGV[7]})
  ring('')
end
return answer('renewed')
`,
);

/** KEYS: 4 all sessions. ARGV: 6 session id, 7 it stays where it was touched since then; empty: it goes. */
export const deleteScript = sessionScript(
  "delete",
  `
if session.epoch and ARGV[7] ~= '' and tonumber(session.active) >= tonumber(ARGV[7]) then return answer('kept') end
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
redis.call('ZREM', KEYS[4], ARGV[6])
ring('')
return answer('deleted')
`,
);

/** KEYS: 1 the secrets. ARGV: 1 name, 2 the proposed one. */
export const secretScript: RedisScript = {
  name: "secret",
  lua: `
redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
return redis.call('HGET', KEYS[1], ARGV[1])
`,
};

/**
 * KEYS: 1 what was revoked, 2 up to when. ARGV: 1 what, 2 up to when (empty: a token), 3 the place is at least this.
 * Whoever has read up to a place finds what is new behind it, also where the server lost what came last.
 */
export const revokeScript: RedisScript = {
  name: "revoke",
  lua: `
local last = tonumber(redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or '0')
redis.call('ZADD', KEYS[1], string.format('%.0f', math.max(last + 1, tonumber(ARGV[3]))), ARGV[1])
local kept = redis.call('HGET', KEYS[2], ARGV[1])
if ARGV[2] ~= '' and (not kept or tonumber(kept) < tonumber(ARGV[2])) then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
end
return 1
`,
};

/** KEYS likewise. ARGV: 1 after which place, 2 how many. Three texts for each: what, its place, up to when (or null). */
export const revocationsScript: RedisScript = {
  name: "revocations",
  lua: `
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local flat = {}
for i = 1, #found, 2 do
  flat[#flat + 1] = found[i]
  flat[#flat + 1] = found[i + 1]
  flat[#flat + 1] = redis.call('HGET', KEYS[2], found[i])
end
return flat
`,
};
