import type { ConnectRouter } from "@connectrpc/connect";
import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import type { OpenBackup } from "../durable/store-backup.ts";
import {
  CodeReviewService,
  type GetSnapshotRequestSchema,
  type PublishRequest,
  type PublishResponse,
  type ReadLogRequestSchema,
  type SessionMessageSchema,
  type SubscribeRequestSchema,
} from "../gen/codereview/v1/codereview_pb.ts";
import { createBackupRoute } from "./admin/backup.ts";
import { liveRooms } from "./admin/live-sessions.ts";
import { registerAdmin } from "./admin/service.ts";
import { registerStandardServices } from "./grpc/standard-services.ts";
import { getSnapshot, readLog } from "./log-streams.ts";
import { publish } from "./publish.ts";
import type { ReadinessState } from "./readiness.ts";
import type { Relay } from "./relay.ts";
import { collaborate, subscribe } from "./session-streams.ts";
import type { StreamHandler } from "./stream.ts";
import type { WireBindings } from "./wire/endpoint.ts";
import { createHandlerEndpoints } from "./wire/handlers.ts";
import { guardOrigins } from "./wire/origins.ts";
import { createWireRoutes } from "./wire/router.ts";
import { leastWaitingBytes } from "./wire/socket-queue.ts";
import { createStreamEndpoint } from "./wire/stream-handler.ts";

const logger = getLogger(["baton", "relay"]);

/** What health and reflection are asked for are names. Whoever asks has no token, and what is asked is told again. */
const maxNameBytes = 4 * 1024;

/** How long an ended stream waits for a peer that is behind. */
const endGraceMs = 2_000;

export type RelayRoutes = Hono<{ Bindings: WireBindings }>;

/** What answers the methods of the contract. */
export interface Services {
  readonly collaborate: StreamHandler<typeof SessionMessageSchema>;
  readonly subscribe: StreamHandler<typeof SubscribeRequestSchema>;
  readonly readLog: StreamHandler<typeof ReadLogRequestSchema>;
  readonly getSnapshot: StreamHandler<typeof GetSnapshotRequestSchema>;
  publish(request: PublishRequest, headers: Headers): Promise<PublishResponse>;
  registerAdmin(router: ConnectRouter): void;
}

/** Every method that the relay serves, behind the guard of origins. */
export function createRoutes(
  relay: Relay,
  readiness: ReadinessState,
  allowedOrigins: readonly string[],
  openBackup: OpenBackup | undefined,
): RelayRoutes {
  const services: Services = {
    collaborate: collaborate(relay),
    subscribe: subscribe(relay),
    readLog: readLog(relay),
    getSnapshot: getSnapshot(relay),
    publish: (request, headers) => publish(relay, request, headers),
    registerAdmin: (router) => registerAdmin(router, { ...relay, live: liveRooms(relay) }),
  };
  return new Hono<{ Bindings: WireBindings }>()
    .use(guardOrigins(allowedOrigins))
    .route("/", createBackupRoute(relay, openBackup))
    .route("/", createServiceRoutes(services, relay, readiness));
}

/** The methods, and what gRPC's own services tell of them, to be mounted at the root behind a guard of origins. */
export function createServiceRoutes(
  services: Services,
  { limits, defer }: Pick<Relay, "limits" | "defer">,
  readiness: ReadinessState,
): RelayRoutes {
  const report = (streamId: string, error: unknown) => {
    logger.error("a call failed", { streamId, error: describeError(error) });
  };
  const { messageBytes: maxMessageBytes, unackedBytes, firstMessageMs } = limits;
  const options = { maxMessageBytes, firstMessageMs, report };
  const maxWaitingBytes = Math.max(leastWaitingBytes, unackedBytes + maxMessageBytes);
  const streamOptions = { ...options, endGraceMs, maxWaitingBytes };
  const { method } = CodeReviewService;
  const endpoints = [
    createStreamEndpoint(method.collaborativeSession, services.collaborate, streamOptions),
    createStreamEndpoint(method.subscribe, services.subscribe, streamOptions),
    createStreamEndpoint(method.readLog, services.readLog, streamOptions),
    createStreamEndpoint(method.getSnapshot, services.getSnapshot, streamOptions),
    ...createHandlerEndpoints((router) => {
      router.rpc(method.publish, (request, { requestHeader }) => services.publish(request, requestHeader));
      services.registerAdmin(router);
    }, options),
  ];
  const described = [...new Set(endpoints.map((endpoint) => endpoint.method.parent))];
  const standard = createHandlerEndpoints(
    (router) => registerStandardServices(router, { readiness, services: described, defer }),
    { ...options, maxMessageBytes: maxNameBytes },
  );
  return createWireRoutes([...endpoints, ...standard]);
}

/** The kind and place of an error, without its message, which may quote what a client sent. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return "not an Error";
  const place = error.stack?.split("\n").find((line) => line.includes("at ")) ?? "";
  return `${error.name} ${place.trim()}`;
}
