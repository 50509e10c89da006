import type { AcceptSocket, OpenSocket, ServerSocket, SocketMessageKind } from "../relay/wire/socket.ts";

/** What is used of Deno. */
declare const Deno: {
  upgradeWebSocket(
    request: Request,
    options: { readonly protocol: string; readonly idleTimeout: number },
  ): { readonly socket: WebSocket; readonly response: Response };
};

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
        // Deno's own pings would hold a standstill of this process against its peers; the relay's heartbeats do not.
        const { socket, response } = Deno.upgradeWebSocket(request, { protocol: subprotocol, idleTimeout: 0 });
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

  /**
   * Deno 2.9.6 cannot cut a socket off (docs/decisions/0008-sockets-on-deno.md). Behind its close frame nothing is sent;
   * the connection stays until its peer goes, or the system gives up on what was sent.
   */
  terminate(): void {
    this.close(1000, "");
  }

  get #isBehind(): boolean {
    return this.#socket.readyState === WebSocket.OPEN && this.#socket.bufferedAmount > behindBytes;
  }
}
