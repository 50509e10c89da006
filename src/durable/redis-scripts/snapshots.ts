import { sessionScript } from "./session.ts";

/**
 * Of a snapshot the field `<seq>` says how many parts it has and the checksum of the whole; its parts are
 * `<seq>:<checksum>:<index>`. It is there once that field is, which comes with its last part.
 *
 * ARGV: 6 epoch, 7 seq, 8 checksum, 9 the part's index, 10 the part, 11 the count of parts where this is the last.
 * `ignored` takes the parts before it away, unless they are those of the snapshot that is kept there. So does a last part
 * before which one is missing: somebody has removed it meanwhile. With a snapshot that is whole, parts go that belong to
 * none and are not of a later one: whoever wrote them was refused, or died.
 */
export const putSnapshotScript = sessionScript(
  "put-snapshot",
  `
local seq, name = tonumber(ARGV[7]), ARGV[7] .. ':' .. ARGV[8] .. ':'
local function ignore()
  for i = 0, tonumber(ARGV[9]) do redis.call('HDEL', KEYS[3], name .. integer(i)) end
  return answer('ignored')
end
local kept = redis.call('HGET', KEYS[3], ARGV[7])
if kept and string.match(kept, ' (%d+)$') == ARGV[8] then return answer('ignored') end
if kept or session.epoch ~= ARGV[6] or seq > tonumber(session.head) or seq < tonumber(session.first) - 1 then
  return ignore()
end
redis.call('HSET', KEYS[3], name .. ARGV[9], ARGV[10])
if ARGV[11] == '' then return answer('kept') end
for i = 0, tonumber(ARGV[9]) do
  if redis.call('HEXISTS', KEYS[3], name .. integer(i)) == 0 then return ignore() end
end
redis.call('HSET', KEYS[3], ARGV[7], ARGV[11] .. ' ' .. ARGV[8])
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  local of, checksum = string.match(field, '^(%d+):(%d+):')
  if of and tonumber(of) <= seq then
    local head = redis.call('HGET', KEYS[3], of)
    if not head or string.match(head, ' (%d+)$') ~= checksum then redis.call('HDEL', KEYS[3], field) end
  end
end
return answer('kept')
`,
);

/** ARGV: 6 the seq at most. Answers with its seq, its field, and its first part. */
export const findSnapshotScript = sessionScript(
  "find-snapshot",
  `
local best
for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
  local seq = string.match(field, '^%d+$') and tonumber(field)
  if seq and seq <= tonumber(ARGV[6]) and (not best or seq > best) then best = seq end
end
if not session.epoch or not best then return answer('none') end
local field = integer(best)
local head = redis.call('HGET', KEYS[3], field)
return answer('found', field, head, redis.call('HGET', KEYS[3], field .. ':' .. string.match(head, '(%d+)$') .. ':0'))
`,
);

/** `removeSnapshots(goes)`: those of whose seq `goes` is true, and parts of those that never became one. */
const removeFunction = `
local function removeSnapshots(goes)
  for _, field in ipairs(redis.call('HKEYS', KEYS[3])) do
    if goes(tonumber(string.match(field, '^%d+'))) then redis.call('HDEL', KEYS[3], field) end
  end
end
`;

/** ARGV: 6 epoch, 7 seq. */
export const dropSnapshotScript = sessionScript(
  "drop-snapshot",
  `${removeFunction}
local dropped = tonumber(ARGV[7])
if session.epoch ~= ARGV[6] or dropped == tonumber(session.first) - 1 then return answer('ignored') end
removeSnapshots(function(seq) return seq == dropped end)
return answer('dropped')
`,
);

/** ARGV: 6 a seq. Answers with the pack that has it, if there is one, as the stream keeps it. */
export const findPackScript = sessionScript(
  "find-pack",
  "return answer('found', redis.call('XREVRANGE', KEYS[2], ARGV[6], '-', 'COUNT', 1)[1])",
);

/**
 * ARGV: 6 epoch, 7 the last seq that goes, 8 its checksum, 9 bytes of all frames up to it, 10 the first seq of the pack in
 * which the next record is. XTRIM comes first: it is let through where memory is full, and then so is what follows.
 */
export const trimScript = sessionScript(
  "trim",
  `${removeFunction}
local through = tonumber(ARGV[7])
if session.epoch ~= ARGV[6] or through < tonumber(session.first) or through > tonumber(session.head)
  or redis.call('HEXISTS', KEYS[3], ARGV[7]) == 0 then return answer('ignored') end
redis.call('XTRIM', KEYS[2], 'MINID', '=', ARGV[10])
removeSnapshots(function(seq) return seq < through end)
set({first = integer(through + 1), start = ARGV[8], before = ARGV[9]})
return answer('trimmed')
`,
);
