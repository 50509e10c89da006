import process from "node:process";
import { Command } from "commander";
import { limitNames, limitVariable } from "../runtime/limit-settings.ts";
import { engineOf } from "../runtime/open-log.ts";
import { carriesNativeGrpc, runtimeName } from "../runtime/this-runtime.ts";
import { assertNever } from "../session/reasons.ts";
import { describeOnline } from "./check-online.ts";
import { type Config, requireConfig } from "./config.ts";
import { defaultRedisPrefix, redisHost } from "./log-settings.ts";
import { withExample } from "./options.ts";
import { readTracing, requireSdk } from "./tracing.ts";

/** `baton check`: what is wrong with the configuration, all at once; or what is in force, without secrets. */
export function createCheckCommand(): Command {
  const command = new Command("check")
    .description("say what is wrong with the configuration")
    .option(
      "--online",
      "also ask the issuer for its keys and the log's Redis whether it can keep one, where they are set",
    )
    .action(async ({ online }: { readonly online?: true }) => {
      const config = await requireConfig(process.env);
      const tracing = readTracing(process.env);
      if (tracing !== undefined) await requireSdk();
      process.stdout.write(describeConfig(config));
      if (tracing !== undefined) process.stdout.write(`# Spans are sent to ${tracing.url.host}, by OTEL_ variables.\n`);
      if (online) process.stdout.write(`${await describeOnline(config)}\n`);
    });
  return withExample(command, "check --online");
}

export function describeConfig(config: Config): string {
  const {
    host,
    port,
    grpcPort,
    tls,
    dataDir,
    log,
    key,
    issuer,
    audience,
    allowedOrigins,
    resumeSecret,
    metricsToken,
    logLevel,
    limits,
  } = config;
  const given = (value: string | undefined) => value ?? "(not set)";
  const hidden = (isSet: boolean) => (isSet ? "(set)" : "(not set)");
  const lines: readonly (readonly [string, string | number])[] = [
    ["BATON_HOST", host],
    ["BATON_PORT", port],
    ["BATON_GRPC_PORT", carriesNativeGrpc ? (grpcPort ?? "off") : "off"],
    ["BATON_TLS_CERT", given(tls?.certPath)],
    ["BATON_TLS_KEY", hidden(tls !== undefined)],
    ["BATON_DATA_DIR", dataDir],
    ["BATON_LOG", engineOf(log)],
    ["BATON_REDIS_PREFIX", typeof log === "object" ? log.prefix : defaultRedisPrefix],
    ["REDIS_URL", engineOf(log) === "redis" ? `(set: ${redisHost(log)})` : "(not set)"],
    ["UPSTASH_REDIS_REST_URL", engineOf(log) === "upstash" ? `(set: ${redisHost(log)})` : "(not set)"],
    ["UPSTASH_REDIS_REST_TOKEN", engineOf(log) === "upstash" ? "(set)" : "(not set)"],
    ["BATON_JWT_SECRET", hidden(key.kind === "secret")],
    [
      "BATON_JWT_PUBLIC_KEY",
      key.kind === "public"
        ? `(set: ${[...new Set(key.keys.flatMap(({ algorithms }) => algorithms))].join(", ")})`
        : "(not set)",
    ],
    ["BATON_JWKS_URL", key.kind === "jwks" ? withoutQuery(key.url) : "(not set)"],
    ["BATON_JWT_ISSUER", given(issuer)],
    ["BATON_JWT_AUDIENCE", given(audience)],
    ["BATON_ALLOWED_ORIGINS", allowedOrigins.length === 0 ? "(not set)" : allowedOrigins.join(",")],
    ["BATON_RESUME_SECRET", hidden(resumeSecret !== undefined)],
    ["BATON_METRICS_TOKEN", hidden(metricsToken !== undefined)],
    ["BATON_RUNTIME", runtimeName],
    ["BATON_LOG_LEVEL", logLevel],
    ...limitNames.map((name) => [limitVariable(name), limits[name]] as const),
  ];
  return [...lines.map(([name, value]) => `${name}=${value}`), ...notesOn(config), ""].join("\n");
}

/** A query may hold what only the issuer should see. */
const withoutQuery = ({ origin, pathname, search }: URL) => `${origin}${pathname}${search === "" ? "" : "?(hidden)"}`;

function notesOn({ key, audience }: Config): readonly string[] {
  switch (key.kind) {
    case "development":
      return ["# No key is set: start makes a development key in the data folder."];
    case "secret":
      return [];
    case "public":
    case "jwks":
      return audience === undefined
        ? [
            "# BATON_JWT_AUDIENCE is not set: what the issuer signs for other services is taken too, if it has the claims.",
          ]
        : [];
    default:
      return assertNever(key);
  }
}
