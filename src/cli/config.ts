import { resolve } from "node:path";
import { type ConfigFault, describeFaults, findUnknown } from "../runtime/config-faults.ts";
import { limitNames, limitVariable } from "../runtime/limit-settings.ts";
import type { LogChoice } from "../runtime/open-log.ts";
import type { TlsIdentity } from "../runtime/server.ts";
import type { Limits } from "../session/limits.ts";
import { findClashes } from "./config-clashes.ts";
import { configSchema, logEngines, type Settings, variableNames } from "./config-schema.ts";
import { ConfigurationError } from "./configuration-error.ts";
import type { KeySetting } from "./key-settings.ts";
import { storeVariables, toLogChoice } from "./log-settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Command-line flags, which stand before the environment. */
export interface ConfigFlags {
  readonly host?: string | undefined;
  readonly port?: string | undefined;
  readonly grpcPort?: string | undefined;
  readonly dataDir?: string | undefined;
  readonly log?: string | undefined;
}

export interface Config {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Of native gRPC, likewise; undefined: it is not served. */
  readonly grpcPort: number | undefined;
  /** Of both ports; undefined: cleartext. */
  readonly tls: (TlsIdentity & { readonly certPath: string }) | undefined;
  /** Absolute. */
  readonly dataDir: string;
  readonly log: LogChoice;
  readonly key: KeySetting;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly allowedOrigins: readonly string[];
  /** Undefined: one that is kept in the log's store. */
  readonly resumeSecret: Uint8Array | undefined;
  /** Undefined: who may scrape goes by the host. */
  readonly metricsToken: string | undefined;
  readonly logLevel: Settings["BATON_LOG_LEVEL"];
  readonly limits: Limits;
}

export type ConfigOutcome =
  | { readonly kind: "config"; readonly config: Config }
  | { readonly kind: "faults"; readonly faults: readonly ConfigFault[] };

/** Reads the whole configuration and tells everything that is wrong with it at once. */
export async function readConfig(environment: Environment, flags: ConfigFlags = {}): Promise<ConfigOutcome> {
  const { texts, labels } = collect(environment, flags);
  const empty = [...texts].filter(([, text]) => text.trim() === "").map(([name]) => name);
  const faults: ConfigFault[] = empty.map((variable) => ({
    variable,
    says: "is set but empty; give it a value, or unset it",
  }));
  const given = new Map([...texts].filter(([name]) => variableNames.includes(name) && !empty.includes(name)));
  const parsed = await configSchema.safeParseAsync(toInput(given));
  for (const { path, message } of parsed.error?.issues ?? []) {
    const variable = variableAt(path);
    faults.push({ variable, says: hintAt(variable, given) ?? message });
  }
  // A faulty variable is left out for what is said of several together, and nothing is said of it again.
  const faulty = new Set(faults.map(({ variable }) => variable));
  const sound = new Map([...given].filter(([name]) => !faulty.has(name)));
  const settings = parsed.data ?? (await configSchema.parseAsync(toInput(sound)));
  faults.push(...findClashes(settings, { given: new Set(texts.keys()), faulty }));
  faults.push(
    ...findUnknown(
      [...texts.keys()].filter((name) => !empty.includes(name)),
      variableNames,
    ),
  );
  if (faults.length === 0) return { kind: "config", config: toConfig(settings) };
  return {
    kind: "faults",
    faults: faults.map((fault) => ({ ...fault, variable: labels.get(fault.variable) ?? fault.variable })),
  };
}

/** The same for commands that cannot go on without one. Throws a `ConfigurationError` with a line for each fault. */
export async function requireConfig(environment: Environment, flags: ConfigFlags = {}): Promise<Config> {
  const outcome = await readConfig(environment, flags);
  if (outcome.kind === "faults") throw new ConfigurationError(describeFaults(outcome.faults));
  return outcome.config;
}

const flagVariables = [
  ["host", "--host", "BATON_HOST"],
  ["port", "--port", "BATON_PORT"],
  ["grpcPort", "--grpc-port", "BATON_GRPC_PORT"],
  ["dataDir", "--data-dir", "BATON_DATA_DIR"],
  ["log", "--log", "BATON_LOG"],
] as const;

/** The texts by variable, and under which name a person gave those that came as flags. */
function collect(environment: Environment, flags: ConfigFlags) {
  const texts = new Map<string, string>();
  const labels = new Map<string, string>();
  for (const [name, text] of Object.entries(environment)) {
    if (name.startsWith("BATON_") && text !== undefined) texts.set(name, text);
  }
  for (const [key, flag, variable] of flagVariables) {
    const text = flags[key];
    if (text === undefined) continue;
    texts.set(variable, text);
    labels.set(variable, flag);
  }
  const engine = logEngines.find((name) => name === texts.get("BATON_LOG"));
  for (const name of engine === undefined ? [] : storeVariables[engine]) {
    const text = environment[name];
    if (text !== undefined) texts.set(name, text);
  }
  return { texts, labels };
}

function toInput(texts: ReadonlyMap<string, string>): Record<string, unknown> {
  const limits: Record<string, string> = {};
  const input: Record<string, unknown> = { limits };
  const limitOf = new Map(limitNames.map((name) => [limitVariable(name), name]));
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

/** A Kubernetes service named baton sets BATON_PORT to the likes of tcp://10.0.0.1:8080 in the pods beside it. */
const portsOfServices = new Map([
  ["BATON_PORT", "baton"],
  ["BATON_GRPC_PORT", "baton-grpc"],
]);

function hintAt(variable: string, given: ReadonlyMap<string, string>): string | undefined {
  const service = portsOfServices.get(variable);
  return service !== undefined && given.get(variable)?.startsWith("tcp://")
    ? `was set by Kubernetes for a service named ${service}: set enableServiceLinks: false in the pod`
    : undefined;
}

function toConfig(settings: Settings): Config {
  return {
    host: settings.BATON_HOST,
    port: settings.BATON_PORT,
    grpcPort: settings.BATON_GRPC_PORT === "off" ? undefined : settings.BATON_GRPC_PORT,
    tls: toTls(settings),
    dataDir: resolve(settings.BATON_DATA_DIR),
    log: toLogChoice(settings),
    key: settings.BATON_JWT_SECRET ??
      settings.BATON_JWT_PUBLIC_KEY ??
      settings.BATON_JWKS_URL ?? { kind: "development" },
    issuer: settings.BATON_JWT_ISSUER,
    audience: settings.BATON_JWT_AUDIENCE,
    allowedOrigins: settings.BATON_ALLOWED_ORIGINS,
    resumeSecret: settings.BATON_RESUME_SECRET,
    metricsToken: settings.BATON_METRICS_TOKEN,
    logLevel: settings.BATON_LOG_LEVEL,
    limits: settings.limits,
  };
}

function toTls({ BATON_TLS_CERT: cert, BATON_TLS_KEY: key }: Settings): Config["tls"] {
  if (cert === undefined || key === undefined) return undefined;
  return { cert: cert.pem, key: key.pem, certPath: resolve(cert.path) };
}
