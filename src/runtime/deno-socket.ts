import type { AcceptSocket, OpenSocket, ServerSocket, SocketMessageKind } from "../relay/wire/socket.ts";

/** What is used of Deno. */
declare const Deno: {
  upgradeWebSocket(
    request: Request,
    options: { readonly protocol: string; readonly idleTimeout: number },
  ): { readonly socket: WebSocket; readonly response: Response };
};

/** A peer that answers no ping for so long is cut: nothing else can cut it, since a socket of Deno has no `terminate`. */
const idleSeconds = 30;

/**
 * A request as Deno makes a WebSocket of it. `answer` is then what has to go back, and no copy of it: what stands before
 * the relay's routes may make one, of a status that no Response can be made with.
 */
export interface Handshake {
  readonly accept: AcceptSocket;
  readonly answer: Response | undefined;
}

export function offerSocket(): Handshake {
  let answer: Response | undefined;
  return {
    accept(request, subprotocol, open) {
      try {
        const { socket, response } = Deno.upgradeWebSocket(request, {
          protocol: subprotocol,
          idleTimeout: idleSeconds,
        });
        serve(socket, open);
        answer = response;
      } catch (error) {
        // What Deno says of a handshake that is none; over HTTP/2 it has none at all.
        if (!(error instanceof TypeError)) throw error;
        answer = new Response(null, { status: 400 });
      }
      return new Response(null);
    },
    get answer() {
      return answer;
    },
  };
}

function serve(socket: WebSocket, open: OpenSocket): void {
  socket.binaryType = "arraybuffer";
  socket.addEventListener("open", () => {
    const listener = open(new DenoSocket(socket));
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      listener.message(typeof data === "string" ? data : new Uint8Array(data));
    });
    // What happened shows in the close that follows.
    socket.addEventListener("error", (event) => event.preventDefault());
    socket.addEventListener("close", () => listener.closed(), { once: true });
  });
}

/** More than this that is not off yet, and its peer is behind. */
const behindBytes = 64 * 1024;
/** Deno tells how much waits and never when it has gone. */
const lookMs = 20;
const decoder = new TextDecoder();

class DenoSocket implements ServerSocket {
  readonly #socket: WebSocket;
  #behind: Promise<void> | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  send(messages: readonly Uint8Array[], kind: SocketMessageKind): Promise<void> | undefined {
    if (this.#socket.readyState !== WebSocket.OPEN) return undefined;
    for (const message of messages) {
      this.#socket.send(kind === "text" ? decoder.decode(message) : new Uint8Array(message));
    }
    if (!this.#isBehind) return undefined;
    this.#behind ??= new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.#isBehind) return;
        clearInterval(timer);
        this.#behind = undefined;
        resolve();
      }, lookMs);
    });
    return this.#behind;
  }

  close(code: number, reason: string): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.close(code, reason);
  }

  /** Behind its close frame nothing is sent; its peer is cut once it answers no ping. */
  terminate(): void {
    this.close(1000, "");
  }

  get #isBehind(): boolean {
    return this.#socket.readyState === WebSocket.OPEN && this.#socket.bufferedAmount > behindBytes;
  }
}
