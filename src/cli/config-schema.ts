import { z } from "zod";
import { limitNames, limitSchema, limitVariable, wholeNumber } from "../runtime/limit-settings.ts";
import { logLevelSchema } from "../runtime/log-levels.ts";
import { originsSchema } from "../runtime/origins.ts";
import { runtimeNames } from "../runtime/this-runtime.ts";
import { claimTextSchema, secretSchema } from "../runtime/token-settings.ts";
import { defaultLimits } from "../session/limits.ts";
import { defaultDataDir } from "./data-folder.ts";
import { isHost } from "./hosts.ts";
import { jwksUrlSchema, jwtSecretSchema, publicKeySchema } from "./key-settings.ts";
import { redisPrefixSchema, storeSchema } from "./log-settings.ts";
import { certificateSchema, tlsKeySchema } from "./tls-settings.ts";

export const logEngines = ["sqlite", "memory", "redis", "upstash"] as const;

const controlCharacter = /\p{Cc}/u;

const portSchema = (error: string) => wholeNumber(error).refine((port) => port <= 65_535, { error });

const portError = "must be a whole number from 0 (any free port) to 65535; leave it out for 8080";
const grpcPortError = "must be off, or a whole number from 0 (any free port) to 65535; leave it out for 8081";

const limitsSchema = z.partialRecord(z.enum(limitNames), limitSchema);

/**
 * The whole configuration, from texts. Every variable has the name that it has in the environment; limits stand under
 * `limits`, by their own names. No message repeats a value: one may be a secret that was put under a wrong name.
 */
export const configSchema = z.strictObject({
  BATON_HOST: z
    .string()
    .refine(isHost, {
      error: "must be an IP address (IPv6 without brackets) or a host name; leave it out for 127.0.0.1",
    })
    .default("127.0.0.1"),
  BATON_PORT: portSchema(portError).default(8080),
  BATON_GRPC_PORT: z.union([z.literal("off"), portSchema(grpcPortError)], { error: grpcPortError }).default(8081),
  BATON_TLS_CERT: certificateSchema.optional(),
  BATON_TLS_KEY: tlsKeySchema.optional(),
  BATON_DATA_DIR: z
    .string()
    .refine((path) => !controlCharacter.test(path), { error: "must be a path without control characters" })
    .default(defaultDataDir),
  BATON_LOG: z
    .enum(logEngines, { error: "must be sqlite or memory, redis or upstash; leave it out for sqlite" })
    .default("sqlite"),
  BATON_REDIS_PREFIX: redisPrefixSchema,
  ...storeSchema,
  BATON_JWT_SECRET: jwtSecretSchema.optional(),
  BATON_JWT_PUBLIC_KEY: publicKeySchema.optional(),
  BATON_JWKS_URL: jwksUrlSchema.optional(),
  BATON_JWT_ISSUER: claimTextSchema("the claim iss").optional(),
  BATON_JWT_AUDIENCE: claimTextSchema("the claim aud").optional(),
  BATON_ALLOWED_ORIGINS: originsSchema.default([]),
  BATON_RESUME_SECRET: secretSchema.optional(),
  BATON_METRICS_TOKEN: z
    .string()
    .regex(/^[A-Za-z0-9._~+/-]{16,256}=*$/, {
      error: "must have 16 to 256 letters, digits or ._~+/- and may end with =; make one with: openssl rand -base64 32",
    })
    .optional(),
  /** The launcher heeds it, before anything of this is read. */
  BATON_RUNTIME: z.enum(runtimeNames, { error: "must be bun, node or deno; leave it out for bun" }).optional(),
  BATON_LOG_LEVEL: logLevelSchema,
  limits: limitsSchema.default({}).transform((limits) => ({ ...defaultLimits, ...limits })),
});

export type Settings = z.output<typeof configSchema>;

/** Every variable that means something. */
export const variableNames: readonly string[] = [
  ...Object.keys(configSchema.shape).filter((name) => name !== "limits"),
  ...limitNames.map(limitVariable),
];
