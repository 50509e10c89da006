import { createJwks } from "../auth/jwks.ts";
import { importSecret } from "../auth/key-import.ts";
import { createKeySet, type KeySource } from "../auth/keys.ts";
import { assertNever } from "../session/reasons.ts";
import type { Config } from "./config.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { openDevKey } from "./dev-key.ts";

export interface RelayKeys {
  readonly keys: KeySource;
  readonly kind: Config["key"]["kind"];
  /** What this relay's tokens can be signed with; undefined where only an issuer elsewhere can. */
  readonly secret: Uint8Array | undefined;
}

/** The configured keys, or the development key where none is configured. */
export async function openKeys({ key, dataDir }: Config): Promise<RelayKeys> {
  switch (key.kind) {
    case "development": {
      const secret = await openDevKey(dataDir);
      const imported = await importSecret(secret);
      if (imported.kind === "refused") throw new ConfigurationError(`development key: ${imported.message}`);
      return { keys: createKeySet(imported.keys), kind: key.kind, secret };
    }
    case "secret":
      return { keys: createKeySet(key.keys), kind: key.kind, secret: key.secret };
    case "public":
      return { keys: createKeySet(key.keys), kind: key.kind, secret: undefined };
    case "jwks":
      return { keys: createJwks({ url: key.url }), kind: key.kind, secret: undefined };
    default:
      return assertNever(key);
  }
}
