import type { ConnectRouter } from "@connectrpc/connect";
import { Hono } from "hono";
import { createTokenVerifier, type TokenVerifier, type TokenVerifierOptions } from "../../auth/verify.ts";
import { createLocalBus } from "../../durable/bus-local.ts";
import { registerAdmin } from "../admin/service.ts";
import { assembleRelay } from "../assemble-relay.ts";
import type { RelayPlatform } from "../context.ts";
import { getSnapshot, readLog } from "../log-streams.ts";
import { createReadiness } from "../readiness.ts";
import type { Relay } from "../relay.ts";
import { RevocationFeed } from "../revocation-feed.ts";
import { createServiceRoutes, type RelayRoutes } from "../routes.ts";
import { Users } from "../users.ts";
import type { WireBindings } from "../wire/endpoint.ts";
import { guardOrigins } from "../wire/origins.ts";
import type { Gateway, SessionObjects } from "./gateway.ts";
import { handPublish } from "./gateway-publish.ts";
import { readAtGateway } from "./gateway-reads.ts";
import { liveObjects } from "./gateway-sessions.ts";
import { carryConversation, carrySubscription } from "./gateway-streams.ts";
import { Subscribers } from "./subscribers.ts";

export interface GatewayOptions extends Omit<RelayPlatform, "bus"> {
  readonly objects: SessionObjects;
  readonly keys: TokenVerifierOptions["keys"];
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** Of web pages that may call, as browsers send it; undefined: the relay's own alone. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Whether a WebSocket tells when its client is behind. */
  readonly socketsTell: boolean;
  /** Has work done whose outcome no answer waits for. */
  readonly background: (work: Promise<unknown>) => void;
}

/**
 * The relay's methods at a gateway. Nothing happens by itself in it: what runs by time belongs to a stream, and what two
 * calls share is in memory alone, as some platforms want it, so that no call waits for what another asked for.
 */
export function createGateway(options: GatewayOptions): RelayRoutes {
  const { log, limits, now, newId, defer, objects, socketsTell, allowedOrigins = [] } = options;
  const revocations = new RevocationFeed(log);
  const users = new Users(limits);
  const tokens = createTimelyVerifier(options, revocations, users);
  /** Resume tokens are the objects' affair. */
  const noSecret = crypto.getRandomValues(new Uint8Array(32));
  /** Of one call: what it folds of a session, it folds anew. Nothing of it is anybody else's. */
  const readingRelay = (): Relay => {
    const platform = { log, bus: createLocalBus().member(), limits, now, newId, defer };
    return assembleRelay(platform, { tokens, resumeSecret: noSecret, revocations, traces: undefined, users });
  };
  const { meters } = readingRelay();
  const subscribers = new Subscribers();
  const gateway: Gateway = {
    subscribers,
    tokens,
    limits,
    now,
    newId,
    defer,
    meters,
    users,
    revocations,
    objects,
    socketsTell,
  };
  const readiness = createReadiness();
  readiness.become("ready");
  const services = {
    collaborate: carryConversation(gateway),
    subscribe: carrySubscription(gateway),
    readLog: readAtGateway(readingRelay, readLog),
    getSnapshot: readAtGateway(readingRelay, getSnapshot),
    publish: handPublish.bind(undefined, gateway),
    registerAdmin: (router: ConnectRouter) =>
      registerAdmin(router, { tokens, now, log, revocations, live: liveObjects(options) }),
  };
  return new Hono<{ Bindings: WireBindings }>()
    .use(guardOrigins(allowedOrigins))
    .route("/", createServiceRoutes(services, gateway, readiness));
}

/**
 * It knows what was revoked two seconds ago: whoever asks first after that waits until it has been read. They also forget
 * the users of whom there is nothing to know, since nothing happens by itself.
 */
function createTimelyVerifier(
  { keys, limits, issuer, audience }: Pick<GatewayOptions, "keys" | "limits" | "issuer" | "audience">,
  revocations: RevocationFeed,
  users: Users,
): TokenVerifier {
  const verifier = createTokenVerifier({
    keys,
    skewMs: limits.tokenSkewMs,
    maxTokenBytes: limits.tokenBytes,
    revocations: revocations.known,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  });
  return {
    async verify(token, nowMs) {
      if (!revocations.isLoaded) await revocations.load(nowMs);
      else if (revocations.isDue(nowMs)) {
        users.sweep(nowMs);
        await revocations.poll(nowMs);
      }
      return await verifier.verify(token, nowMs);
    },
  };
}
