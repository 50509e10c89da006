import { packsFunction, sessionScript } from "./session.ts";

/**
 * ARGV: 6 epoch, 7 expected head, 8 the checksum there, 9 the head after it, 10 the checksum there, 11 bytes of the
 * frames, 12 the records, 13 now, 14 bytes of a conflict's answer; then for each writer its field, generation, and last
 * number.
 *
 * `checksum`: the head is the expected one, and its checksum, which the caller does not know, is in the answer.
 * An older claim than the batch's is one that the server went back to: the newer one was lost with it, and holds.
 * Nothing is written before XADD, and that is refused where memory is full.
 */
export const appendScript = sessionScript(
  "append",
  `${packsFunction}
if session.epoch ~= ARGV[6] then return answer('epoch') end
local expected = tonumber(ARGV[7])
if session.head ~= ARGV[7] then
  if expected + 1 < tonumber(session.first) or expected > tonumber(session.head) then return answer('unknown-place') end
  return answer('conflict', packs(integer(expected + 1), session.head, tonumber(ARGV[14])))
end
if tonumber(session.head) >= tonumber(session.first) and redis.call('XLEN', KEYS[2]) == 0 then
  return answer('damaged')
end
local superseded, clients = {}, {}
for i = 15, #ARGV, 3 do
  local client = redis.call('HGET', KEYS[1], ARGV[i])
  if not client or tonumber(string.match(client, '^%d+')) > tonumber(ARGV[i + 1]) then superseded[#superseded + 1] = (i - 15) / 3 end
  clients[ARGV[i]] = ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[13]
end
if #superseded > 0 then return answer('superseded', superseded) end
if session.checksum ~= ARGV[8] then return answer('checksum') end
local added = redis.pcall('XADD', KEYS[2], integer(expected + 1) .. '-0', 'start', session.checksum, 'before', session.through, 'records', ARGV[12])
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller', 1, true) then return answer('damaged') end
  return added
end
for field, client in pairs(clients) do redis.call('HSET', KEYS[1], field, client) end
set({head = ARGV[9], checksum = ARGV[10], through = integer(tonumber(session.through) + tonumber(ARGV[11])), active = ARGV[13]})
ring(session.head)
return answer('appended')
`,
);
