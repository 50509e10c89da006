import type { Logger } from "@logtape/logtape";
import { Hono } from "hono";
import type { KeySource } from "../auth/keys.ts";
import { createHealthRoutes, type Readiness } from "../relay/health.ts";
import type { Limits } from "../session/limits.ts";
import { serveBun } from "./bun.ts";

/** What a relay on Bun needs to know. */
export interface RelayConfig {
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Absolute; it is there, and can be written. */
  readonly dataDir: string;
  readonly log: "sqlite" | "memory";
  readonly keys: KeySource;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  /** Undefined: one that is kept in the log's store. */
  readonly resumeSecret: Uint8Array | undefined;
  readonly limits: Limits;
}

export interface RelayOnBun {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Drains and stops. */
  close(): Promise<void>;
}

/** Resolves once the relay listens. Rejects with a `StartError` where its operator can help. */
export async function startRelay({ host, port, limits }: RelayConfig, logger: Logger): Promise<RelayOnBun> {
  let readiness: Readiness = "starting";
  const app = new Hono().route(
    "/",
    createHealthRoutes(() => readiness),
  );
  const server = serveBun({ host, port, fetch: (request) => app.fetch(request) });
  readiness = "ready";
  logger.info("listening", { url: server.url });
  return {
    url: server.url,
    async close() {
      readiness = "draining";
      await server.stop(limits.drainMs);
      logger.info("stopped");
    },
  };
}
