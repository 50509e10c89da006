import type { ConfigFault } from "../runtime/config-faults.ts";
import { isOnDeploy } from "../runtime/deno-version.ts";
import { findLimitFaults, limitVariable } from "../runtime/limit-settings.ts";
import { isLoopback } from "../runtime/loopback.ts";
import { runtimeName, runtimeTitle } from "../runtime/this-runtime.ts";
import { isOneFile } from "../runtime/version.ts";
import type { Settings } from "./config-schema.ts";
import { storeVariables } from "./log-settings.ts";
import { findCertificateFault, fits } from "./tls-settings.ts";

/** What tokens are checked with: one of these. */
const keyVariables = ["BATON_JWT_SECRET", "BATON_JWT_PUBLIC_KEY", "BATON_JWKS_URL"] as const;

export interface Variables {
  /** Those that were set. */
  readonly given: ReadonlySet<string>;
  /** Those of them that were refused already, for which the settings hold the default. */
  readonly faulty: ReadonlySet<string>;
}

/** What no variable is to blame for alone. */
export function findClashes(settings: Settings, { given, faulty }: Variables): readonly ConfigFault[] {
  const faults: ConfigFault[] = [];
  const [key, ...others] = keyVariables.filter((variable) => given.has(variable));
  if (key !== undefined && others.length > 0) {
    faults.push({
      variable: key,
      says: `is set together with ${others.join(" and ")}; set the one that tokens are signed for, and no other`,
    });
  }
  if (key === undefined && !isLoopback(settings.BATON_HOST)) {
    faults.push({
      variable: "BATON_HOST",
      says: `is reached from other machines, and no key is set; set one of ${keyVariables.join(", ")}, or listen on 127.0.0.1`,
    });
  }
  const { BATON_JWT_SECRET: jwt, BATON_RESUME_SECRET: resume } = settings;
  if (jwt !== undefined && resume !== undefined && Buffer.from(jwt.secret).equals(resume)) {
    faults.push({
      variable: "BATON_RESUME_SECRET",
      says: "is the same as BATON_JWT_SECRET, so whoever signs tokens could make resume tokens; give it its own",
    });
  }
  if (isOnDeploy && settings.BATON_LOG === "sqlite") {
    faults.push({
      variable: "BATON_LOG",
      says: "is sqlite, whose file would not outlive an instance of Deno Deploy, nor be the others'; choose a log in Redis",
    });
  }
  const { BATON_RUNTIME: asked } = settings;
  if (asked !== undefined && asked !== runtimeName) {
    faults.push({
      variable: "BATON_RUNTIME",
      says: isOneFile
        ? `asks for ${asked}, and this one file is ${runtimeTitle} with the program in it; unset it, or run Baton in a clone`
        : `asks for ${asked}, and this is ${runtimeTitle}; start Baton by its launcher (npx baton, bin/baton.mjs), which heeds it`,
    });
  }
  faults.push(...findListenerFaults(settings, { given, faulty }));
  const { BATON_LOG: engine } = settings;
  for (const variable of storeVariables[engine].filter((name) => !given.has(name))) {
    faults.push({ variable, says: `is not set, and says where the log ${engine} is kept (BATON_LOG); set it` });
  }
  for (const { names, says } of findLimitFaults(settings.limits)) {
    const variables = names.map(limitVariable);
    if (variables.some((variable) => faulty.has(variable))) continue;
    const variable = variables.find((name) => given.has(name)) ?? "BATON_LIMIT";
    faults.push({ variable, says });
  }
  return faults;
}

function findListenerFaults(settings: Settings, { given, faulty }: Variables): readonly ConfigFault[] {
  const { BATON_PORT: port, BATON_GRPC_PORT: grpcPort, BATON_TLS_CERT: cert, BATON_TLS_KEY: key } = settings;
  const faults: ConfigFault[] = [];
  const arePortsSound = !faulty.has("BATON_PORT") && !faulty.has("BATON_GRPC_PORT");
  if (arePortsSound && port === grpcPort && port !== 0) {
    const variable = given.has("BATON_GRPC_PORT") ? "BATON_GRPC_PORT" : "BATON_PORT";
    faults.push({
      variable,
      says: "is the port of both listeners; give BATON_GRPC_PORT another one, or set it to off",
    });
  }
  for (const [variable, other] of [
    ["BATON_TLS_CERT", "BATON_TLS_KEY"],
    ["BATON_TLS_KEY", "BATON_TLS_CERT"],
  ] as const) {
    if (given.has(variable) && !faulty.has(variable) && !given.has(other)) {
      faults.push({ variable, says: `is set without ${other}; TLS needs both, set it or unset this one` });
    }
  }
  const fault = cert === undefined ? undefined : findCertificateFault(cert, Date.now());
  if (fault !== undefined) faults.push({ variable: "BATON_TLS_CERT", says: fault });
  if (cert !== undefined && key !== undefined && !fits(cert, key)) {
    faults.push({
      variable: "BATON_TLS_KEY",
      says: "is not the key of the certificate in BATON_TLS_CERT; give its own",
    });
  }
  return faults;
}
