import { fetchJwks } from "../auth/jwks-fetch.ts";
import { importPublishedSet } from "../auth/key-jwk.ts";
import { StartError } from "../runtime/start-error.ts";
import type { KeySetting } from "./key-settings.ts";

/**
 * Asks what the configuration points to, as the relay would at its start, and says what came. Throws a `StartError` where
 * it cannot be used: the configuration may be right and its issuer down.
 */
export async function describeOnline(key: KeySetting): Promise<string> {
  if (key.kind !== "jwks") return "# Nothing is to be asked over the network: BATON_JWKS_URL is not set.";
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
