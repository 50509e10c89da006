import { createHash } from "node:crypto";

/** Upstash locks the whole database for a script that does not begin so. */
const firstLine = "#!lua flags=allow-key-locking\n";

/**
 * Put before a script, in the same chunk, so that it sees this `redis`: a script that locks only its keys may touch no
 * others, and a Redis that is not a cluster does not check that.
 */
const guard = `
local baton_declared = {}
for _, key in ipairs(KEYS) do baton_declared[key] = true end
local baton_redis = redis
local baton_keyless = { PUBLISH = true, TIME = true, ECHO = true }
local baton_many = { DEL = true, UNLINK = true, EXISTS = true, MGET = true }
local function baton_guarded(call)
  return function(name, ...)
    name = string.upper(name)
    local arguments = { ... }
    if not baton_keyless[name] then
      for index = 1, baton_many[name] and #arguments or 1 do
        if not baton_declared[tostring(arguments[index])] then
          error("ERR script touched a key outside KEYS with " .. name)
        end
      end
    end
    return call(name, ...)
  end
end
local redis = setmetatable(
  { call = baton_guarded(baton_redis.call), pcall = baton_guarded(baton_redis.pcall) },
  { __index = baton_redis }
)
`;

export interface ScriptGuard {
  /** The command that runs this on a Redis; a text: why it is refused. */
  translate(command: readonly string[]): readonly string[] | string;
}

/** Lets `EVAL` and `EVALSHA` come through as Upstash would run them. */
export function createScriptGuard(): ScriptGuard {
  const sha1 = (text: string) => createHash("sha1").update(text).digest("hex");
  /** By the hash that a client knows, the one that the Redis behind knows. */
  const hashes = new Map<string, string>();
  return {
    translate(command) {
      const [name = "", script = "", ...rest] = command;
      switch (name.toUpperCase()) {
        case "EVAL": {
          if (!script.startsWith(firstLine)) return "ERR this script would lock the whole database";
          const guarded = guard + script.slice(firstLine.length);
          hashes.set(sha1(script), sha1(guarded));
          return ["EVAL", guarded, ...rest];
        }
        case "EVALSHA":
          return ["EVALSHA", hashes.get(script.toLowerCase()) ?? script, ...rest];
        default:
          return command;
      }
    },
  };
}
