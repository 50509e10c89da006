import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import type { KeySource } from "../auth/keys.ts";
import { withBreaker } from "../durable/log-breaker.ts";
import { createRelay } from "../relay/create-relay.ts";
import { createHealthRoutes } from "../relay/health.ts";
import { createMetricsRoutes, type MetricsAccess } from "../relay/metrics/routes.ts";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import { createStreamId } from "../relay/wire/router.ts";
import type { Limits } from "../session/limits.ts";
import { logFileBytes } from "./log-files.ts";
import { isLoopback } from "./loopback.ts";
import { serveNode } from "./node-http2.ts";
import { databasePath, type LogChoice, openLog } from "./open-log.ts";
import { processMetrics } from "./process-metrics.ts";
import type { FetchHandler, RunningServer, TlsIdentity } from "./server.ts";
import { carriesNativeGrpc, runtimeTitle, serve } from "./this-runtime.ts";
import { readVersion } from "./version.ts";

const logger = getLogger(["baton", "relay"]);

/** What a relay needs to know, on every runtime. */
export interface RelayConfig {
  readonly host: string;
  /** Of Connect and gRPC-Web. 0: any free one. */
  readonly port: number;
  /** Of native gRPC. 0: any free one; left out: it is not served there. On Node `port` serves it too, on Deno neither does. */
  readonly grpcPort?: number | undefined;
  /** Of both ports; left out: cleartext. */
  readonly tls?: TlsIdentity | undefined;
  /** Of the SQLite log, which makes it where it is missing; on a local disk. */
  readonly dataDir: string;
  readonly log: LogChoice;
  readonly keys: KeySource;
  /** What the claim `iss` must be; left out: anything. */
  readonly issuer?: string | undefined;
  /** What the claim `aud` must be or contain; left out: anything. */
  readonly audience?: string | undefined;
  /** Of web pages that may call, as browsers send it; left out: none but the relay's own. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Signs resume tokens, at least 32 bytes; left out: one that is kept in the log's store. */
  readonly resumeSecret?: Uint8Array | undefined;
  /** Whoever scrapes `/metrics` shows it; left out: anybody may where the host is this machine alone, and else nobody. */
  readonly metricsToken?: string | undefined;
  readonly limits: Limits;
}

export interface StartedRelay {
  /** Where it listens for Connect and gRPC-Web, without a slash at the end. */
  readonly url: string;
  /** Where it listens for native gRPC too; undefined: nowhere. */
  readonly grpcUrl: string | undefined;
  /** Drains and stops. */
  close(): Promise<void>;
}

/** What is left of the drain's time for connections to close in, once their streams have ended. */
const closeGraceMs = 500;

/** Resolves once the relay listens. Rejects with an error that says what to do where its operator can help. */
export async function startRelay(config: RelayConfig): Promise<StartedRelay> {
  const { host, port, grpcPort, tls, dataDir, limits, keys, issuer, audience, allowedOrigins, resumeSecret } = config;
  const opened = await openLog(config.log, { dataDir, clientTtlMs: limits.clientTtlMs });
  const log = withBreaker(opened.log);
  const servers: RunningServer[] = [];
  try {
    const running = await createRelay({
      log,
      bus: opened.bus,
      limits,
      now: Date.now,
      newId: createStreamId,
      defer: (run) => void setImmediate(run),
      keys,
      issuer,
      audience,
      allowedOrigins,
      resumeSecret,
      openBackup: opened.openBackup,
      facts: {
        build: { version: readVersion(), runtime: runtimeTitle },
        ...(opened.epochsBegun !== undefined && { logEpochsBegun: opened.epochsBegun }),
        ...(config.log === "sqlite" && { logFileBytes: () => logFileBytes(databasePath(dataDir)) }),
      },
    });
    const { readiness, metrics } = running;
    const app = new Hono<{ Bindings: WireBindings }>();
    app.route(
      "/",
      createHealthRoutes(() => readiness.current),
    );
    app.route("/", createMetricsRoutes([metrics, processMetrics()], metricsAccess(config)));
    app.route("/", running.routes);
    const fetch: FetchHandler = (request, bindings) => app.fetch(request, bindings);
    const server = await serve({ host, port, tls, limits, fetch });
    servers.push(server);
    const grpc =
      grpcPort === undefined || !carriesNativeGrpc
        ? undefined
        : await serveNode({ host, port: grpcPort, tls, limits, fetch });
    if (grpc !== undefined) servers.push(grpc);
    readiness.become("ready");
    logger.info("listening", { url: server.url, grpcUrl: grpc?.url, runtime: runtimeTitle });
    return {
      url: server.url,
      grpcUrl: grpc?.url,
      async close() {
        await running.drain();
        await Promise.all(servers.map((one) => one.stop(closeGraceMs)));
        await log.close();
        logger.info("stopped");
      },
    };
  } catch (error) {
    await Promise.all(servers.map((one) => one.stop(0)));
    await log.close();
    throw error;
  }
}

function metricsAccess({ host, metricsToken }: RelayConfig): MetricsAccess {
  if (metricsToken !== undefined) return { kind: "token", token: metricsToken };
  return { kind: isLoopback(host) ? "open" : "closed" };
}
