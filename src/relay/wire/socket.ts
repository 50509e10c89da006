/** `text`: of UTF-8 bytes. */
export type SocketMessageKind = "binary" | "text";

/**
 * The relay's end of one WebSocket, as a runtime makes it. Compression is off; fragments are put together, pings answered,
 * and what is no WebSocket, or is text and no UTF-8, is closed by the runtime itself (1002, 1007).
 */
export interface ServerSocket {
  /**
   * Sends messages, all before anything that is sent later, and none of them changed afterwards. Undefined: the peer keeps
   * up. A promise: they were taken, but wait; it resolves when they are off, or the socket has closed. It does nothing
   * once the socket has closed, or its peer has begun to: `closed` tells that.
   * Where a runtime says nothing of when its peer is behind (`bufferedAmount` alone), its implementation looks again
   * from time to time; one that cannot know holds back by other means, for nobody else bounds what a stopped reader costs.
   */
  send(messages: readonly Uint8Array[], kind: SocketMessageKind): Promise<unknown> | undefined;
  /**
   * Takes nothing more from the peer until `resume`; what was read already may still come. Left out where the runtime
   * cannot: a client that sends far more than it may ahead of its answers is then sent away.
   */
  pause?(): void;
  resume?(): void;
  /** Sends a close frame behind all that was sent. The reason has at most 123 bytes. What comes from now on is not read. */
  close(code: number, reason: string): void;
  /** Cuts the connection: its peer did not take the end. */
  terminate(): void;
}

/** Whom the runtime tells what comes, one after the other. */
export interface SocketListener {
  /** One message: text as a string, binary as bytes that are not used again. */
  message(data: string | Uint8Array): void;
  /** The socket has closed, by whoever; told once, and nothing behind it. */
  closed(): void;
}

/** Called once, when the socket is open; nothing has come before. */
export type OpenSocket = (socket: ServerSocket) => SocketListener;

/**
 * What a runtime brings that can serve WebSockets: makes one of the request, whose origin and subprotocols were looked at,
 * and answers with `subprotocol` alone. A request that is no sound handshake is refused, and `open` not called. What it
 * gives is answered, or thrown away where the runtime answers by itself. Messages over `largestSocketMessageBytes` are
 * closed 1009 where the runtime can tell before it makes room for them.
 */
export type AcceptSocket = (request: Request, subprotocol: string, open: OpenSocket) => Response;

/**
 * The most that a runtime takes in one message. A frame that is larger than allowed is told so by name, if the message
 * that holds it is not larger than this; so is one message of several frames.
 */
export const largestSocketMessageBytes = (maxMessageBytes: number): number => 2 * maxMessageBytes;

/** Whether it asks for a WebSocket. */
export function isSocketRequest({ method, headers }: Pick<Request, "method" | "headers">): boolean {
  return method === "GET" && /(?:^|[, ])websocket(?:$|[, ])/i.test(headers.get("upgrade") ?? "");
}
