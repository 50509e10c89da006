import type { DescMethodStreaming } from "@bufbuild/protobuf";
import type { StreamHandler } from "../stream.ts";
import type { BodyEnd } from "./body.ts";
import type { CallContext } from "./endpoint.ts";
import { refuseSocket, refuseSubprotocol } from "./refusals.ts";
import type { ServerSocket, SocketListener } from "./socket.ts";
import { createSocketInbound } from "./socket-inbound.ts";
import { closeOf, encodeEnd, formOf, protocolName, selectSubprotocol } from "./socket-protocol.ts";
import { SocketQueue, type SocketQueueOptions } from "./socket-queue.ts";
import { socketSink } from "./socket-sink.ts";
import { type CallOptions, openCall } from "./stream-call.ts";

export type SocketCallOptions = CallOptions & SocketQueueOptions;

/** A streaming method over a WebSocket: the same call, whose frames are messages and whose end is a close frame. */
export function answerSocketRequest<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: SocketCallOptions,
  request: Request,
  { acceptSocket, streamId }: CallContext,
): Response {
  if (acceptSocket === undefined) return refuseSocket();
  const { headers } = request;
  const subprotocol = selectSubprotocol(headers.get("sec-websocket-protocol"));
  if (subprotocol === undefined) return refuseSubprotocol();
  const call = { streamId, headers, form: formOf(subprotocol) };
  return acceptSocket(request, subprotocol, (socket) => openSocketCall(method, handler, options, call, socket));
}

interface SocketCall {
  readonly streamId: string;
  readonly headers: Headers;
  readonly form: "binary" | "json";
}

/** What lives as long as the socket holds nothing of the request. */
function openSocketCall<M extends DescMethodStreaming>(
  method: M,
  handler: StreamHandler<M["input"]>,
  options: SocketCallOptions,
  { streamId, headers, form }: SocketCall,
  socket: ServerSocket,
): SocketListener {
  const { maxMessageBytes, endGraceMs } = options;
  const queue = new SocketQueue(socket, options);
  const sink = socketSink(socket, form);
  let close = closeOf(undefined);
  const source = openCall(method, handler, options, {
    streamId,
    protocol: {
      protocolName,
      encodeEnd(error) {
        close = closeOf(error);
        return encodeEnd(error);
      },
    },
    form,
    headers,
    openInbound: (life) => createSocketInbound(queue, { schema: method.input, form, maxMessageBytes, ...life }),
  });
  let grace: ReturnType<typeof setTimeout> | undefined;

  function end(how: BodyEnd): void {
    clearTimeout(grace);
    if (queue.isClosed) return;
    if (how === "reset") {
      socket.terminate();
    } else {
      socket.close(close.code, close.reason);
      grace = setTimeout(() => socket.terminate(), endGraceMs);
    }
  }

  void source.run({ write: (frames) => (queue.isClosed ? undefined : sink.write(frames)) }).then(end);
  return {
    message: (data) => queue.push(data),
    closed() {
      clearTimeout(grace);
      queue.close();
      // What it said before it went still counts, if it is taken in time; whoever takes the last of it learns that it is gone.
      if (queue.isEmpty) source.gone();
      else grace = setTimeout(() => source.gone(), endGraceMs);
    },
  };
}
