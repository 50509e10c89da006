import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { headerListBytes } from "./header-bytes.ts";
import type { ConnectionServer } from "./node-connections.ts";
import { type Exchange, serveExchange } from "./node-exchange.ts";
import type { ConnectionLimits, FetchHandler } from "./server.ts";

/** Over HTTP/2's own streams: the classes that make them look like HTTP/1.1 cost more. */
export function createH2Server(
  { headerBytes, streamsPerConnection, firstMessageMs, connectionIdleMs }: ConnectionLimits,
  fetch: FetchHandler,
): ConnectionServer {
  const server = createServer({
    settings: { maxConcurrentStreams: streamsPerConnection, maxHeaderListSize: headerBytes },
  });
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    // Later it may be quiet: a client keeps it for its next call.
    const timer = setTimeout(() => session.destroy(), firstMessageMs);
    session.once("stream", () => clearTimeout(timer));
    session.on("close", () => {
      clearTimeout(timer);
      sessions.delete(session);
    });
    session.on("error", () => undefined);
    closeWhenIdle(session, connectionIdleMs);
  });
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    // Node looks at twice as much and more before the client has acknowledged the setting.
    const isTooLarge = headerListBytes(Object.entries(headers)) > headerBytes;
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

/** How long a connection that is to close may take, before it is cut: its client may be gone. */
const lingerMs = 1_000;

/** Its streams are watched by whoever serves them; what is left of a client that vanished is the connection. */
function closeWhenIdle(session: ServerHttp2Session, idleMs: number): void {
  let open = 0;
  let timer: NodeJS.Timeout | undefined;
  const watch = () => {
    timer = setTimeout(() => {
      session.close();
      timer = setTimeout(() => session.destroy(), lingerMs);
    }, idleMs);
  };
  watch();
  session.on("stream", (stream: ServerHttp2Stream) => {
    clearTimeout(timer);
    open += 1;
    stream.once("close", () => {
      open -= 1;
      if (open === 0 && !session.closed) watch();
    });
  });
  session.once("close", () => clearTimeout(timer));
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
