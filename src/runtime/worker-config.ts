import { z } from "zod";
import { createJwks } from "../auth/jwks.ts";
import { type ImportedKeys, importPublicKeys, importSecret } from "../auth/key-import.ts";
import { createKeySet, type KeySource } from "../auth/keys.ts";
import { defaultLimits, type Limits } from "../session/limits.ts";
import { findLimitFaults, limitNames, limitVariable } from "./limit-settings.ts";
import { originsSchema } from "./origins.ts";

export interface WorkerConfig {
  readonly keys: KeySource;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly allowedOrigins: readonly string[];
  readonly limits: Limits;
}

/** What an object's memory, 128 MB, holds several times over. */
const workerLimits: Limits = { ...defaultLimits, sessionBytes: 16 * 1024 * 1024 };

const claimText = z.string().min(1).max(256).optional();

const variablesSchema = z.object({
  BATON_JWT_SECRET: z.string().optional(),
  BATON_JWT_PUBLIC_KEY: z.string().optional(),
  BATON_JWKS_URL: z.url({ protocol: /^https$/ }).optional(),
  BATON_JWT_ISSUER: claimText,
  BATON_JWT_AUDIENCE: claimText,
  BATON_ALLOWED_ORIGINS: originsSchema.default([]),
});

const limitSchema = z.stringFormat("whole number", /^[1-9][0-9]{0,15}$/).transform(Number);

/** What is wrong with a worker's variables: all of it at once, and no value, since one may be a secret. */
export class WorkerConfigError extends Error {
  override readonly name = "WorkerConfigError";
}

/** Of the variables and secrets of a worker, as `wrangler.toml` and `wrangler secret put` set them. */
export async function readWorkerConfig(env: object): Promise<WorkerConfig> {
  const parsed = variablesSchema.safeParse(env);
  const faults = parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join(".")} ${message}`);
  const limits = { ...workerLimits };
  for (const name of limitNames) {
    const value: unknown = Reflect.get(env, limitVariable(name));
    if (value === undefined) continue;
    const limit = limitSchema.safeParse(value);
    if (limit.success) limits[name] = limit.data;
    else faults.push(`${limitVariable(name)} must be a whole number from 1 on`);
  }
  for (const { names, says } of findLimitFaults(limits)) faults.push(`${names.map(limitVariable).join(", ")}: ${says}`);
  if (!parsed.success || faults.length > 0) throw new WorkerConfigError(faults.join("; "));
  const { BATON_JWT_ISSUER: issuer, BATON_JWT_AUDIENCE: audience, BATON_ALLOWED_ORIGINS: allowedOrigins } = parsed.data;
  return { keys: await readKeys(parsed.data), issuer, audience, allowedOrigins, limits };
}

async function readKeys({
  BATON_JWT_SECRET: secret,
  BATON_JWT_PUBLIC_KEY: publicKey,
  BATON_JWKS_URL: jwksUrl,
}: z.output<typeof variablesSchema>): Promise<KeySource> {
  const given = [secret, publicKey, jwksUrl].filter((value) => value !== undefined);
  if (given.length !== 1) {
    throw new WorkerConfigError("set exactly one of BATON_JWT_SECRET, BATON_JWT_PUBLIC_KEY and BATON_JWKS_URL");
  }
  if (jwksUrl !== undefined) return createJwks({ url: new URL(jwksUrl) });
  if (secret !== undefined) return keySet("BATON_JWT_SECRET", await importSecret(secret));
  return keySet("BATON_JWT_PUBLIC_KEY", await importPublicKeys(publicKey ?? ""));
}

function keySet(variable: string, imported: ImportedKeys): KeySource {
  if (imported.kind === "refused") throw new WorkerConfigError(`${variable}: ${imported.message}`);
  return createKeySet(imported.keys);
}
