// A TCP proxy that does to connections what networks do: late, slow, in small pieces, cut anywhere, or silent.
import { connect, createServer, type Socket } from "node:net";

/** Up: from the client to the server. */
export type Direction = "up" | "down";
/** How a connection ends on both sides: as one that was closed, or as one that was reset. */
export type Cut = "fin" | "rst";

/** What one direction is like. What is left out does nothing. */
export interface Weather {
  /** How long after it came a piece goes on; asked for each. Pieces keep their order. */
  readonly latencyMs?: () => number;
  readonly bytesPerSecond?: number;
  /** No write is larger. */
  readonly sliceBytes?: number;
}

export interface ProxyWeather {
  readonly up?: Weather;
  readonly down?: Weather;
}

/** How much one direction of one connection holds back; beyond it, the sender is not read. */
const maxHeldBytes = 256 * 1024;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** One direction of one connection. */
class Pipe {
  passedBytes = 0;
  readonly #from: Socket;
  readonly #to: Socket;
  readonly #weather: () => Weather;
  readonly #cut: (how: Cut) => void;
  readonly #waiting: { readonly dueMs: number; readonly bytes: Buffer }[] = [];
  #heldBytes = 0;
  #cutAt: { readonly bytes: number; readonly how: Cut } | undefined;
  #held: { readonly over: Promise<void>; readonly end: () => void } | undefined;
  #isOver = false;
  #ring: () => void = () => undefined;

  constructor(from: Socket, to: Socket, weather: () => Weather, cut: (how: Cut) => void) {
    this.#from = from;
    this.#to = to;
    this.#weather = weather;
    this.#cut = cut;
    from.on("data", (bytes: Buffer) => this.#take(bytes));
    from.on("end", () => {
      this.#isOver = true;
      this.#ring();
    });
    void this.#run();
  }

  cutAfter(bytes: number, how: Cut): void {
    this.#cutAt = { bytes: this.passedBytes + bytes, how };
  }

  hold(): void {
    const { promise: over, resolve: end } = Promise.withResolvers<void>();
    this.#held ??= { over, end };
    this.#from.pause();
  }

  release(): void {
    this.#held?.end();
    this.#held = undefined;
    this.#from.resume();
  }

  #take(bytes: Buffer): void {
    const { latencyMs, sliceBytes = bytes.length } = this.#weather();
    const lastDueMs = this.#waiting.at(-1)?.dueMs ?? 0;
    const dueMs = Math.max(lastDueMs, Date.now() + (latencyMs?.() ?? 0));
    for (let at = 0; at < bytes.length; at += sliceBytes) {
      this.#waiting.push({ dueMs, bytes: bytes.subarray(at, at + sliceBytes) });
    }
    this.#heldBytes += bytes.length;
    if (this.#heldBytes > maxHeldBytes) this.#from.pause();
    this.#ring();
  }

  async #run(): Promise<void> {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) {
        if (this.#isOver) break;
        await new Promise<void>((resolve) => {
          this.#ring = resolve;
        });
        continue;
      }
      const waitMs = next.dueMs - Date.now();
      if (waitMs > 0) await pause(waitMs);
      await this.#held?.over;
      this.#waiting.shift();
      await this.#pass(next.bytes);
      this.#heldBytes -= next.bytes.length;
      if (this.#heldBytes <= maxHeldBytes && this.#held === undefined) this.#from.resume();
    }
    this.#to.end();
  }

  async #pass(bytes: Buffer): Promise<void> {
    const cutAt = this.#cutAt;
    const left = cutAt === undefined ? bytes.length : Math.min(bytes.length, cutAt.bytes - this.passedBytes);
    const { bytesPerSecond } = this.#weather();
    if (bytesPerSecond !== undefined) await pause((left * 1000) / bytesPerSecond);
    this.passedBytes += left;
    if (left > 0) await this.#write(bytes.subarray(0, left));
    if (cutAt !== undefined && this.passedBytes === cutAt.bytes) this.#cut(cutAt.how);
  }

  /** Resolves when the system has it, and more may come. */
  #write(bytes: Buffer): Promise<void> {
    return new Promise((resolve) => {
      if (this.#to.destroyed) resolve();
      else this.#to.write(bytes, () => resolve());
    });
  }
}

/** One connection through the proxy. */
export class Link {
  readonly up: Pipe;
  readonly down: Pipe;
  readonly closed: Promise<void>;
  readonly #client: Socket;
  readonly #server: Socket;

  constructor(client: Socket, server: Socket, weather: () => ProxyWeather) {
    this.#client = client;
    this.#server = server;
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      // The other side is told what became of this one by its close.
      socket.on("error", () => undefined);
    }
    client.on("close", (failed) => (failed ? server.resetAndDestroy() : server.end()));
    server.on("close", (failed) => (failed ? client.resetAndDestroy() : client.end()));
    this.closed = new Promise((resolve) => client.once("close", () => resolve()));
    const cut = (how: Cut) => this.cut(how);
    this.up = new Pipe(client, server, () => weather().up ?? {}, cut);
    this.down = new Pipe(server, client, () => weather().down ?? {}, cut);
  }

  cut(how: Cut): void {
    for (const socket of [this.#client, this.#server]) {
      if (how === "rst") socket.resetAndDestroy();
      else socket.end();
    }
  }

  /** From here on nothing passes, and nothing tells: a peer that is gone without a word. */
  hold(): void {
    this.up.hold();
    this.down.hold();
  }

  release(): void {
    this.up.release();
    this.down.release();
  }
}

export interface TcpProxy {
  /** Of the server, by way of this proxy. */
  readonly url: string;
  /** All connections so far, in the order in which they came. */
  readonly links: readonly Link[];
  /** Of all connections from now on, those that are open too. */
  setWeather(weather: ProxyWeather): void;
  /** Told of each connection before anything passes on it. */
  onLink(listener: (link: Link) => void): void;
  stop(): Promise<void>;
}

/** A proxy on a free port of this machine, before the server at this URL. */
export async function startTcpProxy(serverUrl: string, first: ProxyWeather = {}): Promise<TcpProxy> {
  const { protocol, hostname, port } = new URL(serverUrl);
  const links: Link[] = [];
  const listeners: ((link: Link) => void)[] = [];
  const sockets = new Set<Socket>();
  let weather = first;
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once("close", () => sockets.delete(socket));
    }
    const link = new Link(client, upstream, () => weather);
    links.push(link);
    for (const listener of listeners) listener(link);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    url: `${protocol}//127.0.0.1:${address.port}`,
    links,
    setWeather(next) {
      weather = next;
    },
    onLink: (listener) => void listeners.push(listener),
    async stop() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
