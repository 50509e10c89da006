import { configure } from "@logtape/logtape";
import { fetchJwks } from "../auth/jwks-fetch.ts";
import { importPublishedSet } from "../auth/key-jwk.ts";
import { type LogChoice, openLog } from "../runtime/open-log.ts";
import { StartError } from "../runtime/start-error.ts";
import { defaultLimits } from "../session/limits.ts";
import type { Config } from "./config.ts";
import type { KeySetting } from "./key-settings.ts";
import { redisHost } from "./log-settings.ts";

/**
 * Asks what the configuration points to, as the relay would at its start, and says what came. Throws a `StartError` where
 * it cannot be used: the configuration may be right and its issuer down.
 */
export async function describeOnline({ key, log }: Pick<Config, "key" | "log">): Promise<string> {
  const lines = [await describeKeys(key), await describeStore(log)].filter((line) => line !== undefined);
  return lines.length === 0 ? "# Nothing is to be asked over the network." : lines.join("\n");
}

/** Opens the log as a start would, and closes it. */
async function describeStore(log: LogChoice): Promise<string | undefined> {
  if (typeof log !== "object") return undefined;
  const warnings: string[] = [];
  // What a start would write to the relay's log: that an Ack means less there, for one.
  await configure({
    sinks: { told: ({ level, message }) => void (level === "warning" && warnings.push(`# ${message.join("")}`)) },
    loggers: [
      { category: ["baton", "redis"], sinks: ["told"], lowestLevel: "warning" },
      { category: ["logtape", "meta"], lowestLevel: "error" },
    ],
  });
  const opened = await openLog(log, { dataDir: "", clientTtlMs: defaultLimits.clientTtlMs });
  try {
    await opened.log.list("", "", 1);
    return [`# The log's Redis at ${redisHost(log)} answered, and can keep one.`, ...warnings].join("\n");
  } finally {
    await opened.log.close();
  }
}

async function describeKeys(key: KeySetting): Promise<string | undefined> {
  if (key.kind !== "jwks") return undefined;
  const fetched = await fetchJwks({ url: key.url });
  if (fetched.kind === "failed") throw cannotUse(fetched.why);
  const published = await importPublishedSet(fetched.text);
  if (published.kind === "refused") throw cannotUse(published.message);
  const { keys, skipped } = published;
  const algorithms = new Set(keys.flatMap(({ algorithms }) => algorithms));
  const why = skipped.length === 0 ? "" : ` (${[...new Set(skipped)].join("; ")})`;
  return `# The key set was fetched: it checks ${[...algorithms].join(", ")}; ${skipped.length} left out${why}.`;
}

const cannotUse = (why: string) => new StartError(`BATON_JWKS_URL: the key set cannot be used: ${why}`);
