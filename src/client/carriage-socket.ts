import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { endStreamFlag, endStreamFromJson } from "@connectrpc/connect/protocol-connect";
import { CodeReviewService, type SessionMessage, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import type { Carriage, CarriageCall, CarriageEnd, OpenCarriage } from "./carriage.ts";
import { endFromClose } from "./socket-close.ts";
import { splitFrames } from "./socket-frames.ts";
import { endFromError } from "./stream-error.ts";
import { tokenRotation } from "./token-message.ts";

/** Where a socket goes, and what it offers. */
export interface SocketAddress {
  readonly url: URL;
  readonly subprotocol: string;
  readonly token: string;
}

export interface SocketCarriageOptions {
  /** The relay's, `http:` or `https:`. */
  readonly url: string;
  /**
   * Opens the socket. Left out: the platform's own, with the token as a subprotocol beside the one that is spoken, since a
   * page can set no header of it. Where headers can be set, the token may go as `Authorization: Bearer` in place of that.
   */
  readonly openSocket?: (address: SocketAddress) => WebSocket;
}

const subprotocol = "baton.v1";

/** One stream both ways over a WebSocket: what a browser has in place of a full-duplex request. */
export function socketCarriage({ url: base, openSocket = openPlain }: SocketCarriageOptions): Carriage {
  const { parent, name } = CodeReviewService.method.collaborativeSession;
  const url = new URL(`/${parent.typeName}/${name}`, base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return (call) => {
    try {
      return new SocketStream(openSocket({ url, subprotocol, token: call.token }), call);
    } catch (error) {
      // A token that is no subprotocol, or a page that may not open sockets.
      queueMicrotask(() => call.listener.ended(endFromError(error)));
      return { send: () => undefined, rotate: () => undefined, finish: () => undefined, cut: () => undefined };
    }
  };
}

const openPlain = (address: SocketAddress): WebSocket =>
  new WebSocket(address.url, [address.subprotocol, `bearer.${address.token}`]);

/** By an empty message a client says that it has no more to say: a WebSocket cannot be closed by halves. */
const lastMessage = new Uint8Array(0);

class SocketStream implements OpenCarriage {
  readonly #socket: WebSocket;
  readonly #listener: CarriageCall["listener"];
  /** What is to go as soon as the socket is open. */
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #end: CarriageEnd | undefined;
  #isOver = false;

  constructor(socket: WebSocket, { join, listener }: CarriageCall) {
    this.#socket = socket;
    this.#listener = listener;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      for (const bytes of this.#waiting) socket.send(bytes);
      this.#waiting = [];
    });
    socket.addEventListener("message", ({ data }: { readonly data: unknown }) => this.#received(data));
    // An error is followed by a close, and says nothing.
    socket.addEventListener("close", ({ code, reason }) => this.#ended(this.#end ?? endFromClose(code, reason)));
    this.send(join);
  }

  send(message: SessionMessage): void {
    this.#send(encodeEnvelope(0, toBinary(SessionMessageSchema, message)));
  }

  rotate(token: string): void {
    this.send(tokenRotation(token));
  }

  finish(): void {
    this.#send(lastMessage);
  }

  cut(): void {
    this.#isOver = true;
    this.#socket.close();
  }

  #send(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#isOver) return;
    if (this.#socket.readyState === WebSocket.CONNECTING) this.#waiting.push(bytes);
    else this.#socket.send(bytes);
  }

  #received(data: unknown): void {
    try {
      if (!(data instanceof ArrayBuffer)) throw new TypeError("the relay sent text where bytes were agreed on");
      for (const { flags, bytes } of splitFrames(new Uint8Array(data))) {
        if (this.#isOver) return;
        if (flags === endStreamFlag) this.#end = endFromError(endStreamFromJson(bytes).error);
        else this.#listener.received(fromBinary(SessionMessageSchema, bytes));
      }
    } catch (error) {
      this.#socket.close();
      this.#ended(endFromError(error));
    }
  }

  #ended(end: CarriageEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#listener.ended(end);
  }
}
