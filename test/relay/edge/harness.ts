import { createClient } from "@connectrpc/connect";
import { importSecret } from "../../../src/auth/key-import.ts";
import { createKeySet } from "../../../src/auth/keys.ts";
import { signDevelopmentToken } from "../../../src/auth/sign.ts";
import { createMemoryLog } from "../../../src/durable/log-memory.ts";
import type { SessionLog } from "../../../src/durable/session-log.ts";
import {
  AdminService,
  CodeReviewService,
  type Join_History as History,
} from "../../../src/gen/codereview/v1/codereview_pb.ts";
import { createGateway } from "../../../src/relay/edge/create-gateway.ts";
import type { FetchHandler } from "../../../src/runtime/server.ts";
import { serve } from "../../../src/runtime/this-runtime.ts";
import { defaultLimits, type Limits } from "../../../src/session/limits.ts";
import { type Kind, Stream, secret, type TokenOptions, transports } from "../harness.ts";
import { type Calls, Objects } from "./objects.ts";

const everything = "session:edit session:comment session:custom";

export interface EdgeSetup {
  readonly limits?: Partial<Limits>;
  /** Whether an object that may leave memory does so before the next event; default: always. */
  readonly evicts?: () => boolean;
  /** Awaited by an object that comes into memory; where it rejects, the object cannot. */
  readonly wakes?: () => Promise<void>;
  /** Awaited before a gateway has its link to an object; where it rejects, the object cannot be reached. */
  readonly reaches?: () => Promise<void>;
  /** Makes the calls between objects; default: they do not fail. */
  readonly calls?: Calls;
  /** Awaited before an object hears that a link is gone which it has closed itself. */
  readonly closes?: () => Promise<void>;
  /** What stands before the log. */
  readonly log?: (log: SessionLog) => SessionLog;
  /** Whether the runtime tells when the client of a WebSocket is behind; default: it does. */
  readonly socketsTell?: boolean;
}

interface JoinOptions {
  readonly as?: string;
  readonly session?: string;
  readonly kind?: Kind;
  readonly token?: string;
  readonly clientId?: string;
  readonly resumeToken?: string;
  readonly lastSeq?: bigint;
  readonly pendingFrom?: bigint;
  readonly history?: History;
}

/** A gateway on a real port, and the sessions' objects behind it in this process. */
export async function startEdge(setup: EdgeSetup = {}) {
  let clockMs = 0;
  const now = () => Date.now() + clockMs;
  const limits = { ...defaultLimits, ...setup.limits };
  const log = (setup.log ?? ((one) => one))(createMemoryLog(now));
  const newId = () => crypto.randomUUID().slice(0, 13);
  const { evicts = () => true, calls = (call) => call() } = setup;
  const { wakes = async () => undefined, reaches = async () => undefined, closes = async () => undefined } = setup;
  const objects = new Objects({ log, limits, now, newId, evicts, wakes, reaches, closes, calls });
  const imported = await importSecret(secret);
  if (imported.kind === "refused") throw new Error(imported.message);
  const background = new Set<Promise<unknown>>();
  const routes = createGateway({
    // As a session's object has it, which tells its own.
    log: { ...log, delete: (sessionId, untouchedSinceMs) => objects.delete(sessionId, untouchedSinceMs) },
    objects,
    limits,
    now,
    newId,
    defer: (run) => void setImmediate(run),
    keys: createKeySet(imported.keys),
    socketsTell: setup.socketsTell ?? true,
    background: (work) => void background.add(work),
  });
  const fetch: FetchHandler = (request, bindings) => routes.fetch(request, bindings);
  const server = await serve({ host: "127.0.0.1", port: 0, limits, fetch });
  const ringing = setInterval(() => void objects.ring(), 10);
  const streams = new Set<Stream>();
  const token = ({
    sub = "alice",
    sessions = ["demo"],
    scope = everything,
    ttlSeconds = 3600,
    nowMs,
    ...named
  }: TokenOptions = {}) => signDevelopmentToken(secret, { sub, sessions, scope, ttlSeconds, ...named }, nowMs ?? now());
  return {
    url: server.url,
    objects,
    limits,
    log,
    now,
    token,
    advance(ms: number) {
      clockMs += ms;
    },
    client: (kind: Kind = "connect") => createClient(CodeReviewService, transports[kind](server.url)),
    admin: (kind: Kind = "connect") => createClient(AdminService, transports[kind](server.url)),
    async join({ as = "alice", session = "demo", kind = "connect", token: given, ...fields }: JoinOptions = {}) {
      const jwt = given ?? (await token({ sub: as, sessions: [session] }));
      const stream = new Stream(createClient(CodeReviewService, transports[kind](server.url)), jwt);
      streams.add(stream);
      stream.send({ case: "join", value: fields }, { sessionId: session });
      return stream;
    },
    async stop() {
      for (const stream of streams) stream.cut();
      clearInterval(ringing);
      await Promise.allSettled(background);
      await server.stop(200);
    },
  };
}

export type TestEdge = Awaited<ReturnType<typeof startEdge>>;
