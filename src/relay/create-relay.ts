import { getLogger } from "@logtape/logtape";
import { Hono } from "hono";
import { createResumeTokens } from "../auth/resume-token.ts";
import { createTokenVerifier, type TokenVerifierOptions } from "../auth/verify.ts";
import { CodeReviewService, GoAway_Reason as GoAwayReason } from "../gen/codereview/v1/codereview_pb.ts";
import { resumeTokenTtlMs } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import type { RelayContext } from "./context.ts";
import { getSnapshot, readLog } from "./log-streams.ts";
import { publish } from "./publish.ts";
import type { Relay } from "./relay.ts";
import { Rooms } from "./rooms.ts";
import { collaborate, subscribe } from "./session-streams.ts";
import { tick, tickMs } from "./ticker.ts";
import type { WireBindings } from "./wire/endpoint.ts";
import { createHandlerEndpoints } from "./wire/handlers.ts";
import { guardOrigins } from "./wire/origins.ts";
import { createWireRoutes } from "./wire/router.ts";
import { createStreamEndpoint } from "./wire/stream-handler.ts";

const logger = getLogger(["baton", "relay"]);

export interface RelayOptions extends RelayContext {
  readonly keys: TokenVerifierOptions["keys"];
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** Of web pages that may call, as browsers send it; the relay's own may anyhow. Undefined: no others. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Signs resume tokens; undefined: one that is kept in the log's store, shared by its instances. */
  readonly resumeSecret?: Uint8Array | undefined;
}

export interface RunningRelay {
  readonly relay: Relay;
  readonly routes: ReturnType<typeof createRoutes>;
  /** Sends everybody away so that nothing is lost, within the drain's time. The log is its opener's to close. */
  drain(): Promise<void>;
}

/** How long an ended stream waits for a peer that is behind. */
const endGraceMs = 2_000;
const resumeSecretBytes = 32;

export async function createRelay(options: RelayOptions): Promise<RunningRelay> {
  const { log, bus, limits, now, newId, defer, keys, issuer, audience } = options;
  const proposed = crypto.getRandomValues(new Uint8Array(resumeSecretBytes));
  const secret = options.resumeSecret ?? (await log.secret("resume", proposed));
  const context = { log, bus, limits, now, newId, defer };
  const relay: Relay = {
    ...context,
    tokens: createTokenVerifier({
      keys,
      skewMs: limits.tokenSkewMs,
      maxTokenBytes: limits.tokenBytes,
      ...(issuer === undefined ? {} : { issuer }),
      ...(audience === undefined ? {} : { audience }),
    }),
    resumeTokens: createResumeTokens({ secret, ttlMs: resumeTokenTtlMs }),
    rooms: new Rooms(context),
  };
  // An issuer that does not answer holds the start up for as long as one request may take, and no longer.
  await keys.tend(now());
  const ticker = setInterval(() => {
    void keys.tend(now());
    tick(relay);
  }, tickMs);
  return {
    relay,
    routes: createRoutes(relay, options.allowedOrigins ?? []),
    async drain() {
      await drain(relay);
      clearInterval(ticker);
    },
  };
}

function createRoutes(relay: Relay, allowedOrigins: readonly string[]) {
  const report = (streamId: string, error: unknown) => {
    logger.error("a call failed", { streamId, error: describeError(error) });
  };
  const streamOptions = { maxMessageBytes: relay.limits.messageBytes, endGraceMs, report };
  const { collaborativeSession, subscribe: subscribeMethod, readLog: readLogMethod } = CodeReviewService.method;
  const wire = createWireRoutes([
    createStreamEndpoint(collaborativeSession, collaborate(relay), streamOptions),
    createStreamEndpoint(subscribeMethod, subscribe(relay), streamOptions),
    createStreamEndpoint(readLogMethod, readLog(relay), streamOptions),
    createStreamEndpoint(CodeReviewService.method.getSnapshot, getSnapshot(relay), streamOptions),
    ...createHandlerEndpoints(
      (router) =>
        router.rpc(CodeReviewService.method.publish, (request, { requestHeader }) =>
          publish(relay, request, requestHeader),
        ),
      { maxMessageBytes: relay.limits.messageBytes, report },
    ),
  ]);
  return new Hono<{ Bindings: WireBindings }>().use(guardOrigins(allowedOrigins)).route("/", wire);
}

/** The kind and place of an error, without its message, which may quote what a client sent. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return "not an Error";
  const place = error.stack?.split("\n").find((line) => line.includes("at ")) ?? "";
  return `${error.name} ${place.trim()}`;
}

async function drain(relay: Relay): Promise<void> {
  const { rooms, limits } = relay;
  rooms.close(new BatonError("DRAIN"));
  let count = 0;
  for (const room of rooms.all) {
    for (const { reader } of room.participants.values()) {
      // Those who come back do so over as long a time as they were sent away in, not all at once.
      const spreadMs = BigInt(Math.floor(Math.random() * limits.drainMs));
      reader.tell({ case: "goAway", value: { reason: GoAwayReason.DRAIN, reconnectAfterMs: spreadMs } });
      count += 1;
    }
  }
  logger.info("draining", { streams: count });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limits.drainMs / 2);
  });
  const goodbyes = [...rooms.all].map(async (room) => {
    await room.pipeline.settled();
    await Promise.all([...room.participants.values()].map(({ reader }) => reader.flushed()));
  });
  await Promise.race([Promise.all(goodbyes), late]);
  clearTimeout(timer);
  for (const room of rooms.all) room.fail(new BatonError("DRAIN"));
}
