import process from "node:process";
import { signDevelopmentToken } from "../auth/sign.ts";
import type { TokenSource } from "../client/session-connection.ts";
import { requireConfig } from "./config.ts";
import { ConfigurationError } from "./configuration-error.ts";
import { requireDataFolder } from "./data-folder.ts";
import { openKeys } from "./signing-keys.ts";
import { configuredClaims } from "./token-key.ts";

export interface TokenSourceOptions {
  readonly session: string;
  readonly sub?: string | undefined;
  readonly token?: string | undefined;
  readonly scope: string;
  readonly ttlSeconds: number;
  readonly dataDir?: string | undefined;
}

/**
 * Tokens for a client of the terminal. `--sub`: signed here, anew each time, with the key that the relay on this machine
 * has; `--token`: that one, for as long as it is good.
 */
export async function openTokenSource(options: TokenSourceOptions): Promise<TokenSource> {
  const { session, sub, token, scope, ttlSeconds, dataDir } = options;
  if (token !== undefined) return async (need) => (need === "join" ? token : undefined);
  if (sub === undefined) throw new TypeError("either a user or a token is given");
  const config = await requireConfig(process.env, { dataDir });
  if (config.key.kind === "development") await requireDataFolder(config.dataDir);
  const { secret } = await openKeys(config);
  if (secret === undefined) {
    throw new ConfigurationError(
      "--sub: public keys check tokens and cannot sign them; get a token from the issuer, or by baton token --key, and give it by --token",
    );
  }
  const claims = { sub, sessions: [session], scope, ttlSeconds, ...configuredClaims(config) };
  const sign = () => signDevelopmentToken(secret, claims, Date.now());
  // A name that no token can have is told now, not at the first attempt.
  await sign();
  return sign;
}
