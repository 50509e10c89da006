import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import { z } from "zod";
import type { KeySource } from "../auth/keys.ts";
import { locationHintOf } from "../durable/location-hint.ts";
import { createObjectsLog } from "../durable/log-objects.ts";
import { createGateway } from "../relay/edge/create-gateway.ts";
import { createHealthRoutes } from "../relay/health.ts";
import type { WireBindings } from "../relay/wire/endpoint.ts";
import { createStreamId } from "../relay/wire/router.ts";
import { openWorkerBody } from "./worker-body.ts";
import { readWorkerConfig, WorkerConfigError } from "./worker-config.ts";
import { type FindObjects, requestPlace, sessionObjects } from "./worker-links.ts";
import { configureWorkerLogging } from "./worker-logging.ts";
import { type ObjectBindings, objectStubs } from "./worker-objects.ts";
import type { ReplicaObject } from "./worker-replica.ts";
import type { SessionObject } from "./worker-session.ts";
import { acceptWorkerSocket } from "./worker-socket.ts";
import { findReplica } from "./worker-tree.ts";

export { DirectoryObject } from "./worker-directory.ts";
export { ReplicaObject } from "./worker-replica.ts";
export { SessionObject } from "./worker-session.ts";

const logger = getLogger(["baton", "worker"]);

configureWorkerLogging();

interface Env extends Omit<ObjectBindings, "SESSIONS"> {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
  readonly REPLICAS: DurableObjectNamespace<ReplicaObject>;
}

const text = z.string().optional().catch(undefined);
/** Of what Cloudflare says of a request. */
const placeSchema = z.object({ continent: text, country: text, longitude: text });

interface Served {
  readonly app: Hono<{ Bindings: WireBindings }>;
  readonly keys: KeySource;
}

/** Made with the first request: before it, a worker may neither make keys nor random numbers. */
let served: Promise<Served> | undefined;

export default {
  async fetch(request, env, context) {
    served ??= open(env);
    const { app, keys } = await served.catch((error: unknown) => {
      served = undefined;
      throw error;
    });
    context.waitUntil(keys.tend(Date.now()));
    const hint = locationHintOf(placeSchema.parse(request.cf ?? {}));
    const background = (work: Promise<unknown>) => context.waitUntil(work);
    return await requestPlace.run({ hint, background }, () => app.fetch(request, bindings));
  },
} satisfies ExportedHandler<Env>;

const bindings: WireBindings = { openBody: openWorkerBody, acceptSocket: acceptWorkerSocket };

async function open(env: Env): Promise<Served> {
  try {
    return await openGateway(env);
  } catch (error) {
    // Whose variables are wrong serves nothing, until a deploy brings others, and with them a new isolate.
    if (!(error instanceof WorkerConfigError)) throw error;
    for (const { variable, says } of error.faults) logger.error("a variable is wrong", { variable, says });
    const body = `The relay does not run, since its variables are wrong:\n${error.message}\n`;
    const app = new Hono<{ Bindings: WireBindings }>().all("*", ({ text }) => text(body, 500));
    return { app, keys: { algorithms: new Set(), find: async () => [], tend: async () => undefined } };
  }
}

async function openGateway(env: Env): Promise<Served> {
  const { keys, issuer, audience, allowedOrigins, limits, withoutEffect } = await readWorkerConfig(env);
  if (withoutEffect.length > 0) logger.warn("variables have no effect on a Worker", { variables: withoutEffect });
  const find: FindObjects = {
    session: (sessionId, hint) => env.SESSIONS.getByName(sessionId, hint === undefined ? {} : { locationHint: hint }),
    replica: (name) => findReplica(env.REPLICAS, name),
  };
  const app = new Hono<{ Bindings: WireBindings }>();
  app.route(
    "/",
    createHealthRoutes(() => "ready"),
  );
  app.get("/metrics", ({ text }) => text(noMetrics, 501, { "Cache-Control": "no-store" }));
  app.route(
    "/",
    createGateway({
      log: createObjectsLog(objectStubs(env)),
      objects: sessionObjects(find, () => objectStubs(env).directory()),
      limits,
      now: Date.now,
      newId: createStreamId,
      defer: (run) => void setTimeout(run, 0),
      keys,
      issuer,
      audience,
      allowedOrigins,
      socketsTell: false,
      background: (work) => requestPlace.getStore()?.background(work),
    }),
  );
  return { app, keys };
}

/** A scrape would reach one isolate of many, which counts from 0 whenever it is made: no sum could be made of that. */
const noMetrics = `A Worker tells no metrics: it is many isolates, each of which would count for itself and forget.
Cloudflare counts requests, errors, and what the Durable Objects use; see docs/operate.md.
`;
