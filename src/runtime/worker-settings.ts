import { z } from "zod";
import { maxRowBytes } from "../durable/object-storage.ts";
import { defaultLimits, type Limits } from "../session/limits.ts";
import { type ConfigFault, findUnknown } from "./config-faults.ts";
import { findLimitFaults, type LimitName, limitNames, limitSchema, limitVariable } from "./limit-settings.ts";
import { type LogLevel, logLevelSchema } from "./log-levels.ts";
import { originsSchema } from "./origins.ts";
import { claimTextSchema, issuerUrlSchema, secretSchema } from "./token-settings.ts";

/** What a Worker's variables and secrets say, but for what its keys are. */
export interface WorkerSettings {
  /** Of a shared secret, of public keys or of an issuer's URL: exactly one. */
  readonly key:
    | { readonly kind: "secret"; readonly secret: Uint8Array }
    | { readonly kind: "public"; readonly text: string }
    | { readonly kind: "jwks"; readonly url: URL };
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly allowedOrigins: readonly string[];
  /** Undefined: one that the directory keeps. */
  readonly resumeSecret: Uint8Array | undefined;
  readonly logLevel: LogLevel;
  readonly limits: Limits;
  /** Limits that are set and have no effect here. */
  readonly withoutEffect: readonly string[];
}

export type WorkerSettingsOutcome =
  | { readonly kind: "settings"; readonly settings: WorkerSettings }
  | { readonly kind: "faults"; readonly faults: readonly ConfigFault[] };

/** What an object's memory, 128 MB, holds several times over. */
const workerLimits: Limits = { ...defaultLimits, sessionBytes: 16 * 1024 * 1024 };

/** A record has its sender, its place and its file's path beside what the message said. */
const recordOverheadBytes = 64 * 1024;

const settingsSchema = z.object({
  BATON_JWT_SECRET: secretSchema.optional(),
  BATON_JWT_PUBLIC_KEY: z.string().optional(),
  BATON_JWKS_URL: issuerUrlSchema.optional(),
  BATON_JWT_ISSUER: claimTextSchema("the claim iss").optional(),
  BATON_JWT_AUDIENCE: claimTextSchema("the claim aud").optional(),
  BATON_ALLOWED_ORIGINS: originsSchema.default([]),
  BATON_RESUME_SECRET: secretSchema.optional(),
  BATON_LOG_LEVEL: logLevelSchema,
  limits: z.partialRecord(z.enum(limitNames), limitSchema),
});

const keyVariables = ["BATON_JWT_SECRET", "BATON_JWT_PUBLIC_KEY", "BATON_JWKS_URL"] as const;
const inObjects = "is of no use to a Worker, whose sessions are Durable Objects; unset it";
const inRoutes = "is of no use to a Worker, which is reached where its routes say; unset it";
const notHere = "is of no use to a Worker, which Cloudflare runs; unset it";

/** What other runtimes are told. It is refused, so that nobody believes it to hold. */
const elsewhere: Readonly<Record<string, string>> = {
  BATON_HOST: inRoutes,
  BATON_PORT: inRoutes,
  BATON_GRPC_PORT: "is of no use to a Worker, which serves no native gRPC; unset it",
  BATON_TLS_CERT: "is of no use to a Worker, in front of which Cloudflare ends TLS; unset it",
  BATON_TLS_KEY: "is of no use to a Worker, in front of which Cloudflare ends TLS; unset it, and take the key back",
  BATON_DATA_DIR: inObjects,
  BATON_LOG: inObjects,
  BATON_REDIS_PREFIX: inObjects,
  BATON_RUNTIME: notHere,
  BATON_METRICS_TOKEN: "is of no use to a Worker, which tells no metrics; unset it",
};

/** Of connections and processes, which are Cloudflare's here. */
const limitsWithoutEffect: readonly LimitName[] = [
  "headerBytes",
  "streamsPerConnection",
  "connectionIdleMs",
  "drainMs",
];

const limitOf = new Map(limitNames.map((name) => [limitVariable(name), name]));
const heeded: readonly string[] = [
  ...Object.keys(settingsSchema.shape).filter((name) => name !== "limits"),
  ...limitOf.keys(),
];

/** Every variable of which a Worker knows what it means. */
export const workerVariableNames: readonly string[] = [...heeded, ...Object.keys(elsewhere)];

/** Reads a Worker's variables, and tells everything that is wrong with them at once, without a value. */
export function readWorkerSettings(env: object): WorkerSettingsOutcome {
  const { texts, faults } = collect(env);
  const parsed = settingsSchema.safeParse(toInput(texts));
  for (const { path, message } of parsed.error?.issues ?? [])
    faults.push({ variable: variableAt(path), says: message });
  if (keyVariables.filter((variable) => Object.hasOwn(env, variable)).length !== 1) faults.push(keyFault);
  if (parsed.success) faults.push(...findClashes(parsed.data));
  if (!parsed.success || faults.length > 0) return { kind: "faults", faults };
  const { BATON_JWT_ISSUER: issuer, BATON_JWT_AUDIENCE: audience, BATON_ALLOWED_ORIGINS: allowedOrigins } = parsed.data;
  const key = keyOf(parsed.data);
  if (key === undefined) return { kind: "faults", faults: [keyFault] };
  return {
    kind: "settings",
    settings: {
      key,
      issuer,
      audience,
      allowedOrigins,
      resumeSecret: parsed.data.BATON_RESUME_SECRET,
      logLevel: parsed.data.BATON_LOG_LEVEL,
      limits: { ...workerLimits, ...parsed.data.limits },
      withoutEffect: limitsWithoutEffect.map(limitVariable).filter((variable) => texts.has(variable)),
    },
  };
}

/** The texts of what is heeded, and what is wrong with the names and kinds of all. */
function collect(env: object) {
  const texts = new Map<string, string>();
  const faults: ConfigFault[] = [];
  for (const [variable, value] of Object.entries(env)) {
    if (!variable.startsWith("BATON_")) continue;
    const says = elsewhere[variable];
    // Numbers of wrangler.toml stay numbers.
    const text = typeof value === "number" ? String(value) : value;
    if (says !== undefined) faults.push({ variable, says });
    else if (!heeded.includes(variable)) faults.push(...findUnknown([variable], workerVariableNames));
    else if (typeof text !== "string") faults.push({ variable, says: "must be a text; put it in quotes" });
    else if (text.trim() === "") faults.push({ variable, says: "is set but empty; give it a value, or unset it" });
    else texts.set(variable, text);
  }
  return { texts, faults };
}

function toInput(texts: ReadonlyMap<string, string>): Record<string, unknown> {
  const limits: Record<string, string> = {};
  const input: Record<string, unknown> = { limits };
  for (const [variable, text] of texts) {
    const limit = limitOf.get(variable);
    if (limit === undefined) input[variable] = text;
    else limits[limit] = text;
  }
  return input;
}

function variableAt([first, second]: readonly PropertyKey[]): string {
  const limit = first === "limits" ? limitNames.find((name) => name === second) : undefined;
  return limit === undefined ? String(first) : limitVariable(limit);
}

type Parsed = z.output<typeof settingsSchema>;

const keyFault: ConfigFault = {
  variable: keyVariables.join(", "),
  says: "set the one that tokens are signed for, and no other",
};

function findClashes(parsed: Parsed): readonly ConfigFault[] {
  const faults: ConfigFault[] = [];
  const { BATON_JWT_SECRET: jwt, BATON_RESUME_SECRET: resume } = parsed;
  if (jwt !== undefined && resume !== undefined && String(jwt) === String(resume)) {
    faults.push({
      variable: "BATON_RESUME_SECRET",
      says: "is the same as BATON_JWT_SECRET, so whoever signs tokens could make resume tokens; give it its own",
    });
  }
  const limits = { ...workerLimits, ...parsed.limits };
  for (const { names, says } of findLimitFaults(limits)) {
    faults.push({ variable: names.map(limitVariable).join(", "), says });
  }
  const mostMessageBytes = maxRowBytes - recordOverheadBytes;
  if (limits.messageBytes > mostMessageBytes) {
    const says = `must be at most ${mostMessageBytes}: a record has to fit into a row of a Durable Object; lower it`;
    faults.push({ variable: limitVariable("messageBytes"), says });
  }
  return faults;
}

function keyOf({
  BATON_JWT_SECRET: secret,
  BATON_JWT_PUBLIC_KEY: text,
  BATON_JWKS_URL: url,
}: Parsed): WorkerSettings["key"] | undefined {
  if (secret !== undefined) return { kind: "secret", secret };
  if (text !== undefined) return { kind: "public", text };
  return url === undefined ? undefined : { kind: "jwks", url };
}
