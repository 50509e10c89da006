import { importSigningKey, type SigningAlgorithm } from "../auth/key-signing.ts";
import type { DevelopmentClaims } from "../auth/sign.ts";
import { StartError } from "../runtime/start-error.ts";
import type { Config } from "./config.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { requireDataFolder } from "./data-folder.ts";
import { readKeyFile } from "./key-settings.ts";
import { openKeys } from "./signing-keys.ts";

export interface TokenKeyOptions {
  /** The path of a private key. */
  readonly key?: string;
  readonly alg?: SigningAlgorithm;
}

/** What `baton token` signs with: the key that is named, or else the configured secret or the development key. */
export async function openTokenKey(config: Config, { key: path, alg }: TokenKeyOptions) {
  if (path === undefined) {
    if (config.key.kind === "development") await requireDataFolder(config.dataDir);
    const { secret } = await openKeys(config);
    if (secret !== undefined) return secret;
    throw new ConfigurationError(
      "a public key checks tokens and cannot sign them; give the private one with --key <file>, or get a token from the issuer",
    );
  }
  const text = await readKeyFile(path);
  if (text === undefined) throw new StartError("--key: is not the path of a readable file of at most 64 KiB");
  const imported = await importSigningKey(text, alg);
  if (imported.kind === "refused") throw new StartError(`--key: ${imported.message}`);
  return imported.key;
}

/** The claims that the configuration asks of every token. */
export function configuredClaims({ issuer, audience }: Config): Pick<DevelopmentClaims, "issuer" | "audience"> {
  return { ...(issuer === undefined ? {} : { issuer }), ...(audience === undefined ? {} : { audience }) };
}
