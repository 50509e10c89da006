import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { importSecret } from "../../src/auth/key-import.ts";
import { createKeySet, type KeySource } from "../../src/auth/keys.ts";
import { signDevelopmentToken } from "../../src/auth/sign.ts";
import { createLocalBus } from "../../src/durable/bus-local.ts";
import { createMemoryLog } from "../../src/durable/log-memory.ts";
import type { SessionBus } from "../../src/durable/session-bus.ts";
import type { SessionLog } from "../../src/durable/session-log.ts";
import type { OpenBackup } from "../../src/durable/store-backup.ts";
import {
  AdminService,
  CodeReviewService,
  type Fault,
  FaultSchema,
  type Join_History as History,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { createRelay } from "../../src/relay/create-relay.ts";
import { serveNode } from "../../src/runtime/node-http2.ts";
import type { FetchHandler } from "../../src/runtime/server.ts";
import { serve } from "../../src/runtime/this-runtime.ts";
import { defaultLimits, type Limits } from "../../src/session/limits.ts";
import { createSocketTransport } from "../support/socket-transport.ts";

export const secret = new TextEncoder().encode("a secret of the tests, thirty-two bytes long");

export type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;
export type Case = SessionMessage["payload"]["case"];

export interface TokenOptions {
  readonly sub?: string;
  readonly sessions?: readonly string[];
  readonly scope?: string;
  readonly ttlSeconds?: number;
  /** The claim `jti`; default: a random one. */
  readonly tokenId?: string;
  /** When it was issued; default: now, by the harness's clock. */
  readonly nowMs?: number;
}

const everything = "session:edit session:comment session:custom";

export interface RelaySetup {
  readonly limits?: Partial<Limits>;
  readonly log?: SessionLog;
  readonly bus?: SessionBus;
  readonly allowedOrigins?: readonly string[];
  readonly openBackup?: OpenBackup;
  /** In place of the secret of the tests, which `token` signs with. */
  readonly keys?: KeySource;
  /** Its clock stands still but for `advance`: what happens at a limit can be told from what happens just before it. */
  readonly isClockStill?: boolean;
  /** Default: what the runtime carries streams best with. */
  readonly listener?: "node:http2" | undefined;
}

/** A real relay on a real port, with a clock that a test can move. */
export async function startRelay(options: RelaySetup = {}) {
  let clockMs = 0;
  const startedMs = Date.now();
  const now = () => (options.isClockStill === true ? startedMs : Date.now()) + clockMs;
  const log = options.log ?? createMemoryLog(now);
  const limits = { ...defaultLimits, ...options.limits };
  const imported = await importSecret(secret);
  if (imported.kind === "refused") throw new Error(imported.message);
  let names = 0;
  const { relay, routes, drain, metrics } = await createRelay({
    log,
    bus: options.bus ?? createLocalBus().member(),
    limits,
    now,
    newId: () => `id-${++names}-${crypto.randomUUID().slice(0, 8)}`,
    defer: (run) => void setImmediate(run),
    keys: options.keys ?? createKeySet(imported.keys),
    allowedOrigins: options.allowedOrigins,
    openBackup: options.openBackup,
  });
  const fetch: FetchHandler = (request, bindings) => routes.fetch(request, bindings);
  const listen = { host: "127.0.0.1", port: 0, limits, fetch };
  const server = options.listener === "node:http2" ? await serveNode(listen) : await serve(listen);
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
    routes,
    relay,
    metrics,
    log,
    now,
    drain,
    token,
    /** Moves the relay's clock on. */
    advance(ms: number) {
      clockMs += ms;
    },
    client(kind: Kind = "connect"): Client<typeof CodeReviewService> {
      return createClient(CodeReviewService, transports[kind](server.url));
    },
    admin(kind: Kind = "connect"): Client<typeof AdminService> {
      return createClient(AdminService, transports[kind](server.url));
    },
    /** Opens a bidi stream and sends its Join. */
    async join(join: JoinOptions = {}): Promise<Stream> {
      const { as = "alice", session = "demo", kind = "connect", token: given, ...fields } = join;
      const jwt = given ?? (await token({ sub: as, sessions: [session] }));
      const stream = new Stream(createClient(CodeReviewService, transports[kind](server.url)), jwt);
      streams.add(stream);
      stream.send({ case: "join", value: fields }, { sessionId: session });
      return stream;
    },
    async stop() {
      for (const stream of streams) stream.cut();
      await drain();
      await server.stop(200);
    },
  };
}

export type TestRelay = Awaited<ReturnType<typeof startRelay>>;
export type Kind = keyof typeof transports;

type Values = {
  [P in Exclude<SessionMessage["payload"], { case: undefined }> as P["case"]]: P["value"];
};

interface JoinOptions {
  readonly as?: string;
  readonly session?: string;
  readonly kind?: Kind;
  readonly token?: string;
  readonly clientId?: string;
  readonly resumeToken?: string;
  readonly lastSeq?: bigint;
  readonly history?: History;
  readonly pendingFrom?: bigint;
  readonly protocol?: number;
}

interface Fields {
  readonly sessionId?: string;
  readonly userId?: string;
  readonly clientId?: string;
  readonly clientSeq?: bigint;
}

export const transports = {
  connect: (baseUrl: string): Transport => createConnectTransport({ baseUrl, httpVersion: "2" }),
  "connect-json": (baseUrl: string): Transport =>
    createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  "connect-h1": (baseUrl: string): Transport => createConnectTransport({ baseUrl, httpVersion: "1.1" }),
  "grpc-web": (baseUrl: string): Transport => createGrpcWebTransport({ baseUrl, httpVersion: "2" }),
  websocket: (baseUrl: string): Transport => createSocketTransport(baseUrl, "binary"),
  "websocket-json": (baseUrl: string): Transport => createSocketTransport(baseUrl, "json"),
  /** Where the relay listens over `node:http2`. */
  grpc: (baseUrl: string): Transport => createGrpcTransport({ baseUrl }),
};

/** How a stream ended: OK, or an error with the Fault in its details. */
export interface End {
  readonly error: ConnectError | undefined;
  readonly fault: Fault | undefined;
}

const patienceMs = 10_000;

/** One bidi stream, and all that has come down on it. */
export class Stream {
  readonly received: SessionMessage[] = [];
  readonly ended: Promise<End>;
  readonly #up: (SessionMessage | undefined)[] = [];
  readonly #abort = new AbortController();
  #wakeUp: () => void = () => undefined;
  #watchers = new Set<() => void>();
  #isOver = false;

  constructor(client: Client<typeof CodeReviewService>, token: string) {
    this.ended = this.#read(client, token);
  }

  send(payload: Payload, fields: Fields = {}): void {
    this.#up.push(create(SessionMessageSchema, { ...fields, payload }));
    this.#wakeUp();
  }

  /** The next message of this kind that no test has taken yet. */
  async take<C extends keyof Values>(kind: C): Promise<Values[C]> {
    const { payload } = await this.takeMessage(kind);
    if (!isCase(payload, kind)) throw new Error(`a ${kind} was expected`);
    return payload.value;
  }

  async takeMessage(kind: NonNullable<Case>, accept: (message: SessionMessage) => boolean = () => true) {
    const deadline = Date.now() + patienceMs;
    for (;;) {
      const index = this.received.findIndex((message) => message.payload.case === kind && accept(message));
      const [message] = index === -1 ? [] : this.received.splice(index, 1);
      if (message !== undefined) return message;
      if (this.#isOver) throw new Error(`the stream ended before a ${kind} came`);
      if (Date.now() > deadline) throw new Error(`no ${kind} came; waiting: ${this.kinds().join(", ")}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        const watcher = () => {
          clearTimeout(timer);
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  kinds(): string[] {
    return this.received.map(({ payload }) => String(payload.case));
  }

  /** Closes the client's half. */
  finish(): void {
    this.#up.push(undefined);
    this.#wakeUp();
  }

  /** Cuts the stream off. */
  cut(): void {
    this.#abort.abort();
  }

  async #read(client: Client<typeof CodeReviewService>, token: string): Promise<End> {
    const headers = token === "" ? {} : { authorization: `Bearer ${token}` };
    try {
      for await (const message of client.collaborativeSession(this.#messages(), {
        headers,
        signal: this.#abort.signal,
      })) {
        this.received.push(message);
        this.#notify();
      }
      return { error: undefined, fault: undefined };
    } catch (cause) {
      const error = ConnectError.from(cause);
      return { error, fault: error.findDetails(FaultSchema)[0] };
    } finally {
      this.#isOver = true;
      this.#notify();
    }
  }

  #notify(): void {
    for (const watcher of [...this.#watchers]) watcher();
  }

  async *#messages(): AsyncGenerator<SessionMessage> {
    for (;;) {
      while (this.#up.length > 0) {
        const message = this.#up.shift();
        if (message === undefined) return;
        yield message;
      }
      await new Promise<void>((resolve) => {
        this.#wakeUp = resolve;
      });
    }
  }
}

function isCase<C extends keyof Values>(
  payload: { case?: string | undefined; value?: unknown },
  kind: C,
): payload is { case: C; value: Values[C] } {
  return payload.case === kind;
}

/** An edit in the range form. */
export function edit(filePath: string, version: number, from: number, to: number, insert: string): Payload {
  return { case: "edit", value: { filePath, version, changes: [{ from, to, insert }] } };
}
