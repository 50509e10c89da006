import { createTokenVerifier, type TokenVerifierOptions } from "../auth/verify.ts";
import type { InstanceMessage } from "../durable/session-bus.ts";
import type { OpenBackup } from "../durable/store-backup.ts";
import { assertNever } from "../session/reasons.ts";
import { assembleRelay, keptResumeSecret } from "./assemble-relay.ts";
import type { RelayPlatform } from "./context.ts";
import { drain } from "./drain.ts";
import { disconnect } from "./end-streams.ts";
import type { RelayFacts } from "./metrics/collectors.ts";
import { createMetrics, type Metrics } from "./metrics/registry.ts";
import { createReadiness, type ReadinessState } from "./readiness.ts";
import type { Relay } from "./relay.ts";
import { RevocationFeed } from "./revocation-feed.ts";
import { createRoutes, type RelayRoutes } from "./routes.ts";
import { createTicker, followRevocations, tickMs } from "./ticker.ts";
import { openTraces } from "./traces/traces.ts";

export interface RelayOptions extends RelayPlatform {
  readonly keys: TokenVerifierOptions["keys"];
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** Of web pages that may call, as browsers send it; the relay's own may anyhow. Undefined: no others. */
  readonly allowedOrigins?: readonly string[] | undefined;
  /** Signs resume tokens; undefined: one that is kept in the log's store, shared by its instances. */
  readonly resumeSecret?: Uint8Array | undefined;
  /** Of the log's store; undefined: it has none. */
  readonly openBackup?: OpenBackup | undefined;
  /** What the metrics tell besides, and the relay cannot know. */
  readonly facts?: RelayFacts | undefined;
}

export interface RunningRelay {
  readonly relay: Relay;
  readonly routes: RelayRoutes;
  /** What it counts, for whoever scrapes it. */
  readonly metrics: Metrics;
  /** Whoever listens tells it when the relay is ready; the drain tells the rest. */
  readonly readiness: ReadinessState;
  /** Sends everybody away so that nothing is lost, within the drain's time. The log is its opener's to close. */
  drain(): Promise<void>;
}

export async function createRelay(options: RelayOptions): Promise<RunningRelay> {
  const { log, bus, limits, now, newId, defer, keys, issuer, audience } = options;
  const secret = options.resumeSecret ?? (await keptResumeSecret(log));
  // Before anybody is let in.
  const revocations = new RevocationFeed(log);
  await revocations.load(now());
  const tokens = createTokenVerifier({
    keys,
    skewMs: limits.tokenSkewMs,
    maxTokenBytes: limits.tokenBytes,
    revocations: revocations.known,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  });
  const platform = { log, bus, limits, now, newId, defer };
  const traces = openTraces(options.facts?.build?.version);
  const relay = assembleRelay(platform, { tokens, resumeSecret: secret, revocations, traces });
  const leaveBus = bus.listen((message) => hear(relay, message));
  relay.instances.begin();
  // An issuer that does not answer holds the start up for as long as one request may take, and no longer.
  await keys.tend(now());
  const tick = createTicker(relay);
  const ticker = setInterval(() => {
    void keys.tend(now());
    tick();
  }, tickMs);
  const readiness = createReadiness();
  return {
    relay,
    routes: createRoutes(relay, readiness, options.allowedOrigins ?? [], options.openBackup),
    metrics: createMetrics({ relay, keys, ...options.facts }),
    readiness,
    async drain() {
      readiness.become("draining");
      await drain(relay);
      clearInterval(ticker);
      relay.instances.end();
      leaveBus();
    },
  };
}

/** What another instance tells all of them. */
function hear(relay: Relay, message: InstanceMessage): void {
  switch (message.kind) {
    case "disconnect": {
      const streams = disconnect(relay, message);
      if (message.ask !== undefined) relay.instances.answer(message.ask, streams);
      return;
    }
    case "disconnected":
    case "instance":
      relay.instances.hear(message);
      return;
    case "revoked":
      void followRevocations(relay);
      return;
    default:
      assertNever(message);
  }
}
