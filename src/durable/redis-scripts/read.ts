import { packsFunction, sessionScript } from "./session.ts";

export const describeScript = sessionScript("describe", "return answer('described')");

/** ARGV: 6 from, 7 to, 8 bytes of frames. */
export const readScript = sessionScript(
  "read",
  `${packsFunction}
if not session.epoch or tonumber(ARGV[6]) > tonumber(session.head) then return answer('nothing') end
if tonumber(ARGV[6]) < tonumber(session.first) then return answer('trimmed') end
return answer('records', packs(ARGV[6], ARGV[7], tonumber(ARGV[8])))
`,
);
