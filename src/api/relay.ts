/**
 * `baton`: a relay in a program of one's own, on Bun or on Node from 22.13 on.
 *
 * `startRelay` is the whole of it: log, relay, health, listener. Who has a server already mounts the routes that
 * `createRelay` gives in it, and listens with `serve`; who keeps the log elsewhere brings a `SessionLog`.
 *
 * @module
 */
export { createLocalBus } from "../durable/bus-local.ts";
export { createMemoryLog } from "../durable/log-memory.ts";
export { openSqliteLog, type SqliteLogOptions } from "../durable/log-sqlite.ts";
export type { BusMessage, SessionBus } from "../durable/session-bus.ts";
export type {
  AppendBatch,
  AppendOutcome,
  BatchWriter,
  Claim,
  ClientKey,
  LogRecord,
  LogState,
  SessionListing,
  SessionLog,
  StoredSnapshot,
} from "../durable/session-log.ts";
export { createRelay, type RelayOptions, type RunningRelay } from "../relay/create-relay.ts";
export type { RelayFacts } from "../relay/metrics/collectors.ts";
export type { Metrics } from "../relay/metrics/registry.ts";
export type { WireBindings } from "../relay/wire/endpoint.ts";
export type { ConnectionLimits, FetchHandler, RunningServer, ServeOptions, TlsIdentity } from "../runtime/server.ts";
export { StartError } from "../runtime/start-error.ts";
export { type RelayConfig, type StartedRelay, startRelay } from "../runtime/start-relay.ts";
export { serve } from "../runtime/this-runtime.ts";
export { defaultLimits, type Limits } from "../session/limits.ts";
export { BatonError, type CodeName, type Reason } from "../session/reasons.ts";
