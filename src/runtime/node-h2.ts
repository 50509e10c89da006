import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { ConnectionServer } from "./node-connections.ts";
import { type Exchange, serveExchange } from "./node-exchange.ts";
import type { ConnectionLimits, FetchHandler } from "./server.ts";

/** Over HTTP/2's own streams: the classes that make them look like HTTP/1.1 cost more. */
export function createH2Server(
  { headerBytes, streamsPerConnection }: ConnectionLimits,
  fetch: FetchHandler,
): ConnectionServer {
  const server = createServer({
    settings: { maxConcurrentStreams: streamsPerConnection, maxHeaderListSize: headerBytes },
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  // A connection that speaks something else, or breaks the protocol, is closed by its session.
  server.on("sessionError", () => undefined);
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    // Node looks at twice as much and more before the client has acknowledged the setting.
    const isTooLarge = listBytes(headers) > headerBytes;
    void serveExchange(createExchange(stream, headers), isTooLarge ? refuseHeaders : fetch);
  });
  return {
    take: (socket) => void server.emit("connection", socket),
    drain() {
      for (const session of sessions) session.close();
    },
  };
}

const refuseHeaders = () => new Response(null, { status: 431 });

/** The size of a header list as HTTP/2 counts it (RFC 9113, 6.5.2). */
function listBytes(headers: IncomingHttpHeaders): number {
  let bytes = 0;
  for (const [name, value = ""] of Object.entries(headers)) bytes += name.length + String(value).length + 32;
  return bytes;
}

function createExchange(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Exchange {
  const { ":method": method = "", ":scheme": scheme = "", ":path": path = "" } = headers;
  // A proxy may say the one in place of the other (RFC 9113, 8.3.1); nginx does where it is told to hand `Host` on.
  const authority = headers[":authority"] ?? headers.host ?? "";
  return {
    method,
    // Without either no URL is made: of `http:///path` the parser would take `path` for the host.
    url: authority === "" ? "" : `${scheme}://${authority}${path}`,
    headers,
    incoming: stream,
    outgoing: stream,
    canSendTrailers: true,
    begin(status, fields) {
      stream.respond({ ...Object.fromEntries(fields), ":status": status }, { waitForTrailers: true });
    },
    end(trailers) {
      stream.once("wantTrailers", () => {
        stream.sendTrailers(Object.fromEntries(trailers ?? []));
        closeUnread(stream);
      });
      stream.end();
    },
    answer(status, fields) {
      stream.respond({ ...Object.fromEntries(fields), ":status": status }, { endStream: true });
      closeUnread(stream);
    },
    reset() {
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    },
  };
}

/**
 * The answer is whole, and the peer need send no more (RFC 9113, 8.1): else its half would hold the stream open. Not at
 * once, since on Node a reset overtakes the trailers, which leave at the end of the turn.
 */
function closeUnread(stream: ServerHttp2Stream): void {
  setImmediate(() => {
    if (!stream.readableEnded && !stream.destroyed) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}
