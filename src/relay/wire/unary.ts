import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
} from "@connectrpc/connect";
import {
  type UniversalHandler,
  type UniversalServerRequest,
  universalServerRequestFromFetch,
  universalServerResponseToFetch,
} from "@connectrpc/connect/protocol";
import { contentTypeUnaryJson, contentTypeUnaryProto } from "@connectrpc/connect/protocol-connect";
import { BatonError } from "../../session/reasons.ts";
import { jsonReading } from "./envelope.ts";
import { assertKnownFlags } from "./envelope-flags.ts";
import { admitError, connectErrorFrom } from "./errors.ts";
import { streamContentTypes as grpcWebContentTypes } from "./protocol-grpc-web.ts";
import { refuseContentType, refuseVerb } from "./refusals.ts";
import { type CallReport, nameErrors } from "./unary-errors.ts";

export interface UnaryOptions {
  /** The largest message taken, in bytes. */
  readonly maxMessageBytes: number;
  /** Told of each error that is not the relay's own, and that the client therefore sees as `INTERNAL` only. */
  readonly report: (streamId: string, error: unknown) => void;
}

export interface UnaryEndpoint {
  readonly method: DescMethod;
  handle(request: Request, context: { readonly streamId: string }): Promise<Response>;
}

/** setTimeout fires at once for more than this, 24.8 days, and connect-es does not look. */
const maxTimerMs = 2 ** 31 - 1;

const unaryContentTypes = [contentTypeUnaryProto, contentTypeUnaryJson, ...grpcWebContentTypes];

const streamIdKey = createContextKey("", { description: "streamId" });

/** Unary methods go through connect-es as they are, over Connect and gRPC-Web; only their errors are put in our words. */
export function createUnaryEndpoints(
  register: (router: ConnectRouter) => unknown,
  options: UnaryOptions,
): readonly UnaryEndpoint[] {
  const router = createConnectRouter({
    grpc: false,
    readMaxBytes: options.maxMessageBytes,
    maxTimeoutMs: maxTimerMs,
    jsonOptions: jsonReading,
    interceptors: [admitErrors(options)],
  });
  register(router);
  return router.handlers.map((handler) => ({
    method: handler.method,
    handle: (request, { streamId }) => answer(handler, request, { streamId, report: options.report }),
  }));
}

async function answer(handler: UniversalHandler, request: Request, call: CallReport): Promise<Response> {
  const response = await handler({
    ...withKnownFlags(universalServerRequestFromFetch(request, {})),
    contextValues: createContextValues().set(streamIdKey, call.streamId),
  });
  if (response.status === 405) return refuseVerb(request, handler.allowedMethods.join(", "));
  if (response.status === 415) return refuseContentType(request, unaryContentTypes);
  return universalServerResponseToFetch(await nameErrors(response, call));
}

function withKnownFlags(request: UniversalServerRequest): UniversalServerRequest {
  const { body, header } = request;
  const isEnveloped = /^application\/grpc/i.test(header.get("content-type") ?? "");
  if (!isEnveloped || typeof body !== "object" || body === null || !(Symbol.asyncIterator in body)) return request;
  return { ...request, body: assertKnownFlags(body) };
}

/** An implementation's errors, through the one door. The deadline ends the call even if the implementation lets it pass. */
const admitErrors =
  (options: UnaryOptions): Interceptor =>
  (next) =>
  async (request) => {
    const { promise: expired, reject } = Promise.withResolvers<never>();
    const expire = () => reject(request.signal.reason);
    request.signal.addEventListener("abort", expire, { once: true });
    try {
      return await Promise.race([next(request), expired]);
    } catch (error) {
      const streamId = request.contextValues.get(streamIdKey);
      const isDeadline = error instanceof ConnectError && error.code === Code.DeadlineExceeded;
      const known = isDeadline ? new BatonError("DEADLINE") : admitError(error, streamId);
      if (known.reason === "INTERNAL" && !request.signal.aborted) options.report(streamId, error);
      throw connectErrorFrom(known);
    } finally {
      request.signal.removeEventListener("abort", expire);
    }
  };
