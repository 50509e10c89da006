import { isIPv6 } from "node:net";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import type { Limits } from "../session/limits.ts";
import { StartError } from "./start-error.ts";

/** PEM: a certificate, with those between it and its root behind it, and its key. */
export interface TlsIdentity {
  readonly cert: string;
  readonly key: string;
}

export type FetchHandler = (request: Request, bindings: WireBindings) => Response | Promise<Response>;

/**
 * What one connection may cost. Bun's own listener heeds `headerBytes`, up to its own 16 KiB, and `connectionIdleMs`;
 * Deno's heeds `headerBytes`, up to its own.
 */
export type ConnectionLimits = Pick<
  Limits,
  "headerBytes" | "streamsPerConnection" | "firstMessageMs" | "connectionIdleMs" | "messageBytes"
>;

export interface ServeOptions {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Undefined: cleartext. */
  readonly tls?: TlsIdentity | undefined;
  readonly limits: ConnectionLimits;
  readonly fetch: FetchHandler;
}

export interface RunningServer {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Takes no new connections and waits until the open calls have ended; they are cut when `graceMs` have passed. */
  stop(graceMs: number): Promise<void>;
}

/** Without a slash at the end. */
export function urlOf({ host, port, tls }: Pick<ServeOptions, "host" | "port" | "tls">): string {
  return new URL(`${tls === undefined ? "http" : "https"}://${isIPv6(host) ? `[${host}]` : host}:${port}`).origin;
}

/** What a listener failed with, in words that say what to do. */
export function startErrorFrom(error: unknown, address: string): StartError {
  return new StartError(explain(error, address), { cause: error });
}

function explain(error: unknown, address: string): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return `cannot listen on ${address}: something else does already; stop it or choose another BATON_PORT or BATON_GRPC_PORT`;
    case "EACCES":
      return `cannot listen on ${address}: not permitted; ports below 1024 often need privileges`;
    case "EADDRNOTAVAIL":
      return `cannot listen on ${address}: this machine has no such address; check BATON_HOST`;
    default:
      return `cannot listen on ${address}`;
  }
}
