import process from "node:process";
import { after, before } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import {
  CodeReviewService,
  PublishResponseSchema,
  type SessionMessage,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import type { StreamCall, StreamHandler } from "../../src/relay/stream.ts";
import { encodeFrame, frameInForm } from "../../src/relay/wire/envelope.ts";
import { createHandlerEndpoints } from "../../src/relay/wire/handlers.ts";
import { createWireRoutes } from "../../src/relay/wire/router.ts";
import { createStreamEndpoint } from "../../src/relay/wire/stream-handler.ts";
import { serveBun } from "../../src/runtime/bun.ts";
import { serveDeno } from "../../src/runtime/deno.ts";
import { serveNode } from "../../src/runtime/node-http2.ts";
import type { FetchHandler, RunningServer, ServeOptions, TlsIdentity } from "../../src/runtime/server.ts";
import { runtimeName } from "../../src/runtime/this-runtime.ts";
import { defaultLimits, type Limits } from "../../src/session/limits.ts";

export const maxMessageBytes = 64 * 1024;

type Input = typeof SessionMessageSchema;

/** What became of one call of `CollaborativeSession`. */
export interface Seen {
  readonly call: StreamCall<Input>;
  /** How often its signal aborted. */
  aborts: number;
  /** Resolves when the handler has run to its end, with what ended its loop over the inbound. */
  readonly handled: Promise<unknown>;
}

export function customMessage(type: string, data: Uint8Array = new Uint8Array()): SessionMessage {
  return create(SessionMessageSchema, { payload: { case: "custom", value: { type, data } } });
}

export function typeOf(message: SessionMessage): string {
  return message.payload.case === "custom" ? message.payload.value.type : String(message.payload.case);
}

export const heartbeat = create(SessionMessageSchema, { payload: { case: "heartbeat", value: {} } });

/** Writes a first frame at once, then each message back as it came, and ends as the inbound does. */
export const echo: StreamHandler<Input> = async ({ inbound, outlet }) => {
  await outlet.write(encodeFrame(SessionMessageSchema, heartbeat, outlet.form));
  for await (const { message } of inbound) {
    const frame = encodeFrame(SessionMessageSchema, message, "binary");
    await outlet.write(frameInForm(SessionMessageSchema, frame, outlet.form));
  }
};

export interface HarnessOptions {
  readonly session?: StreamHandler<Input>;
  readonly endGraceMs?: number;
  readonly register?: (router: ConnectRouter) => unknown;
  readonly listener?: ListenerName;
  readonly tls?: TlsIdentity;
  readonly limits?: Partial<Limits>;
}

/** The ways to listen: a runtime's own, and Node's modules, which Bun has too. */
export type ListenerName = "Bun.serve" | "Deno.serve" | "node:http2";

const ownListeners = { bun: "Bun.serve", deno: "Deno.serve", node: "node:http2" } as const;

/** What the suites of this folder are run over; test/wire/runtimes.test.ts runs them again over the rest. */
export const listenerHere: ListenerName =
  process.env.WIRE_LISTENER === "node:http2" ? "node:http2" : ownListeners[runtimeName];

const listeners: Readonly<Record<ListenerName, (options: ServeOptions) => RunningServer | Promise<RunningServer>>> = {
  "Bun.serve": serveBun,
  "Deno.serve": serveDeno,
  "node:http2": serveNode,
};

interface ListenOptions {
  readonly host?: string;
  readonly port?: number;
  readonly tls?: TlsIdentity;
  readonly limits?: Partial<Limits>;
  readonly fetch: FetchHandler;
}

export async function listen(
  name: ListenerName,
  { host = "127.0.0.1", port = 0, limits, ...options }: ListenOptions,
): Promise<RunningServer> {
  return await listeners[name]({ host, port, limits: { ...defaultLimits, ...limits }, ...options });
}

export async function startHarness({
  session = echo,
  endGraceMs = 5_000,
  register,
  listener = listenerHere,
  tls,
  limits,
}: HarnessOptions = {}) {
  const calls: Seen[] = [];
  const waiting: ((seen: Seen) => void)[] = [];
  const reported: { streamId: string; error: unknown }[] = [];
  const report = (streamId: string, error: unknown) => void reported.push({ streamId, error });
  const options = { maxMessageBytes, maxWaitingBytes: 4 * maxMessageBytes, endGraceMs, report };

  const observed: StreamHandler<Input> = (call) => {
    const { promise: handled, resolve } = Promise.withResolvers<unknown>();
    const seen: Seen = { call, aborts: 0, handled };
    call.signal.addEventListener("abort", () => {
      seen.aborts += 1;
    });
    calls.push(seen);
    waiting.shift()?.(seen);
    const done = session(call);
    done.then(
      () => resolve(undefined),
      (error) => resolve(error),
    );
    return done;
  };

  const routes = createWireRoutes([
    createStreamEndpoint(CodeReviewService.method.collaborativeSession, observed, options),
    createStreamEndpoint(
      CodeReviewService.method.subscribe,
      async ({ inbound, outlet }) => {
        for await (const { message } of inbound) {
          for (const type of ["1", "2", message.sessionId]) {
            await outlet.write(encodeFrame(SessionMessageSchema, customMessage(type), outlet.form));
          }
        }
      },
      options,
    ),
    ...createHandlerEndpoints(
      register ??
        ((router) =>
          router.rpc(CodeReviewService.method.publish, ({ messages }) =>
            create(PublishResponseSchema, { replies: messages }),
          )),
      { maxMessageBytes, firstMessageMs: limits?.firstMessageMs ?? defaultLimits.firstMessageMs, report },
    ),
  ]);
  const server = await listen(listener, {
    fetch: (request, bindings) => routes.fetch(request, bindings),
    ...(tls && { tls }),
    ...(limits && { limits }),
  });
  return {
    url: server.url,
    port: Number(new URL(server.url).port),
    calls,
    reported,
    /** The next call that comes. */
    nextCall: () => new Promise<Seen>((resolve) => waiting.push(resolve)),
    stop: () => server.stop(0),
  };
}

export type Harness = Awaited<ReturnType<typeof startHarness>>;

/** Harnesses of one suite: all are stopped behind it. `floating`: rejections that nobody caught meanwhile. */
export function useHarnesses() {
  const running: Harness[] = [];
  const floating: unknown[] = [];
  const onFloating = (error: unknown) => void floating.push(error);
  before(() => void process.on("unhandledRejection", onFloating));
  after(async () => {
    await Promise.all(running.map((harness) => harness.stop()));
    process.off("unhandledRejection", onFloating);
  });
  return {
    floating,
    async start(options: HarnessOptions = {}): Promise<Harness> {
      const harness = await startHarness(options);
      running.push(harness);
      return harness;
    },
  };
}
