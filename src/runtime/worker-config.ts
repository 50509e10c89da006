import { createJwks } from "../auth/jwks.ts";
import { importPublicKeys, importSecret } from "../auth/key-import.ts";
import { createKeySet, type KeySource } from "../auth/keys.ts";
import { assertNever } from "../session/reasons.ts";
import { type ConfigFault, describeFaults } from "./config-faults.ts";
import { readWorkerSettings, type WorkerSettings } from "./worker-settings.ts";

export interface WorkerConfig extends Omit<WorkerSettings, "key"> {
  readonly keys: KeySource;
}

/** What is wrong with a Worker's variables: all of it at once, a line each, and no value, since one may be a secret. */
export class WorkerConfigError extends Error {
  override readonly name = "WorkerConfigError";
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    super(describeFaults(faults));
    this.faults = faults;
  }
}

/** What an object needs. @throws WorkerConfigError */
export function requireWorkerSettings(env: object): WorkerSettings {
  const outcome = readWorkerSettings(env);
  if (outcome.kind === "faults") throw new WorkerConfigError(outcome.faults);
  return outcome.settings;
}

/**
 * Of the variables and secrets of a Worker, as `wrangler.toml` and `wrangler secret put` set them.
 *
 * @throws WorkerConfigError
 */
export async function readWorkerConfig(env: object): Promise<WorkerConfig> {
  const { key, ...settings } = requireWorkerSettings(env);
  return { ...settings, keys: await readKeys(key) };
}

async function readKeys(key: WorkerSettings["key"]): Promise<KeySource> {
  switch (key.kind) {
    case "jwks":
      return createJwks({ url: key.url });
    case "secret":
      return keySet("BATON_JWT_SECRET", await importSecret(key.secret));
    case "public":
      return keySet("BATON_JWT_PUBLIC_KEY", await importPublicKeys(key.text));
    default:
      return assertNever(key);
  }
}

function keySet(variable: string, imported: Awaited<ReturnType<typeof importSecret>>): KeySource {
  if (imported.kind === "refused") throw new WorkerConfigError([{ variable, says: imported.message }]);
  return createKeySet(imported.keys);
}
