import type { DescMethod } from "@bufbuild/protobuf";
import { type ConnectRouter, createConnectRouter, createContextValues } from "@connectrpc/connect";
import {
  type UniversalHandler,
  universalServerRequestFromFetch,
  universalServerResponseToFetch,
} from "@connectrpc/connect/protocol";
import { contentTypeUnaryJson, contentTypeUnaryProto } from "@connectrpc/connect/protocol-connect";
import type { CallContext, WireBindings, WireEndpoint } from "./endpoint.ts";
import { jsonReading } from "./envelope.ts";
import type { ReportError } from "./errors.ts";
import { admitErrors, streamIdKey } from "./handler-admission.ts";
import { compressionOptions, tellEncodings } from "./handler-compression.ts";
import { watchDeparture } from "./handler-departure.ts";
import { nameErrors } from "./handler-errors.ts";
import { withKnownFlags } from "./handler-flags.ts";
import { withPromptBody } from "./handler-patience.ts";
import { throughText } from "./handler-text.ts";
import * as protocolConnect from "./protocol-connect.ts";
import { servedProtocols } from "./protocols.ts";
import { refuseContentType, refuseNativeGrpc, refuseVerb } from "./refusals.ts";

export interface HandlerOptions {
  /** The largest message taken, in bytes. */
  readonly maxMessageBytes: number;
  /** How long a call's first message may take to come; of a call with one message, its whole body. */
  readonly firstMessageMs: number;
  readonly report: ReportError;
}

/** setTimeout fires at once for more than this, 24.8 days, and connect-es does not look. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Methods that need no outlet of their own go through connect-es as they are, unary or streaming, over every protocol
 * that their listener can carry; only their errors are put in our words. A streaming implementation yields something at
 * once: connect-es sends the headers with its first message.
 */
export function createHandlerEndpoints(
  register: (router: ConnectRouter) => unknown,
  options: HandlerOptions,
): readonly WireEndpoint[] {
  const { maxMessageBytes, report } = options;
  const router = createConnectRouter({
    readMaxBytes: maxMessageBytes,
    ...compressionOptions,
    maxTimeoutMs: maxTimerMs,
    jsonOptions: jsonReading,
    interceptors: [admitErrors(report)],
  });
  register(router);
  return router.handlers.map((handler) => ({
    method: handler.method,
    handle: (request, context) => throughText(request, (binary) => answer(handler, binary, context, options)),
  }));
}

async function answer(
  handler: UniversalHandler,
  request: Request,
  context: CallContext,
  { firstMessageMs, report }: HandlerOptions,
): Promise<Response> {
  const native = refuseNativeGrpc(request, context);
  if (native !== undefined) return native;
  const { streamId, sendTrailers } = context;
  const { request: watched, brokeOff } = watchDeparture(universalServerRequestFromFetch(request, {}));
  const response = await handler({
    ...withPromptBody(withKnownFlags(watched), handler.method, firstMessageMs),
    contextValues: createContextValues().set(streamIdKey, streamId),
  });
  if (response.status === 405) return refuseVerb(request, context, handler.allowedMethods.join(", "));
  if (response.status === 415) return refuseContentType(request, context, contentTypesOf(handler.method, context));
  const reportOwn: ReportError = (id, error) => {
    if (!brokeOff()) report(id, error);
  };
  const call = { streamId, sendTrailers, report: reportOwn };
  return universalServerResponseToFetch(tellEncodings(await nameErrors(response, call)));
}

/** Connect alone speaks of one message otherwise than of a stream. */
function contentTypesOf({ methodKind }: DescMethod, bindings: WireBindings): readonly string[] {
  return servedProtocols(bindings).flatMap(({ protocolName, streamContentTypes }) =>
    methodKind === "unary" && protocolName === protocolConnect.protocolName
      ? [contentTypeUnaryProto, contentTypeUnaryJson]
      : streamContentTypes,
  );
}
