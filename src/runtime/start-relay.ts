import { join } from "node:path";
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import type { KeySource } from "../auth/keys.ts";
import { createLocalBus } from "../durable/bus-local.ts";
import { createMemoryLog } from "../durable/log-memory.ts";
import { openSqliteLog } from "../durable/log-sqlite.ts";
import type { SessionLog } from "../durable/session-log.ts";
import { createRelay } from "../relay/create-relay.ts";
import { createHealthRoutes } from "../relay/health.ts";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import { createStreamId } from "../relay/wire/router.ts";
import type { Limits } from "../session/limits.ts";
import { assertNever } from "../session/reasons.ts";
import { runtimeTitle, serve } from "./this-runtime.ts";

const logger = getLogger(["baton", "relay"]);

/** What a relay needs to know, on every runtime. */
export interface RelayConfig {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Of the SQLite log, which makes it where it is missing; on a local disk. */
  readonly dataDir: string;
  readonly log: "sqlite" | "memory";
  readonly keys: KeySource;
  /** What the claim `iss` must be; left out: anything. */
  readonly issuer?: string | undefined;
  /** What the claim `aud` must be or contain; left out: anything. */
  readonly audience?: string | undefined;
  /** Of web pages that may call, as browsers send it; left out: none but the relay's own. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Signs resume tokens, at least 32 bytes; left out: one that is kept in the log's store. */
  readonly resumeSecret?: Uint8Array | undefined;
  readonly limits: Limits;
}

export interface StartedRelay {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Drains and stops. */
  close(): Promise<void>;
}

/** What is left of the drain's time for connections to close in, once their streams have ended. */
const closeGraceMs = 500;

/** Resolves once the relay listens. Rejects with an error that says what to do where its operator can help. */
export async function startRelay(config: RelayConfig): Promise<StartedRelay> {
  const { host, port, limits, keys, issuer, audience, allowedOrigins, resumeSecret } = config;
  const log = await openLog(config);
  try {
    const running = await createRelay({
      log,
      bus: createLocalBus().member(),
      limits,
      now: Date.now,
      newId: createStreamId,
      defer: (run) => void setImmediate(run),
      keys,
      issuer,
      audience,
      allowedOrigins,
      resumeSecret,
    });
    const { readiness } = running;
    const app = new Hono<{ Bindings: WireBindings }>();
    app.route(
      "/",
      createHealthRoutes(() => readiness.current),
    );
    app.route("/", running.routes);
    const server = await serve({ host, port, limits, fetch: (request, bindings) => app.fetch(request, bindings) });
    readiness.become("ready");
    logger.info("listening", { url: server.url, runtime: runtimeTitle });
    return {
      url: server.url,
      async close() {
        await running.drain();
        await server.stop(closeGraceMs);
        await log.close();
        logger.info("stopped");
      },
    };
  } catch (error) {
    await log.close();
    throw error;
  }
}

async function openLog({ log, dataDir }: RelayConfig): Promise<SessionLog> {
  switch (log) {
    case "memory":
      return createMemoryLog(Date.now);
    case "sqlite":
      return await openSqliteLog({ path: join(dataDir, "baton.sqlite"), now: Date.now });
    default:
      return assertNever(log);
  }
}
