import { BatonError } from "../../session/reasons.ts";
import { largestSocketMessageBytes, type ServerSocket } from "./socket.ts";

/** From so many bytes on a socket is held back until all is taken: as much as a TCP connection brings at once. */
const pauseBytes = 64 * 1024;

/**
 * What may wait at least on a socket that cannot be held back. A client that sends too much at once is refused message by
 * message, and its stream lives: so what is on its way before it can know has to have room, whatever it may have unacked.
 */
export const leastWaitingBytes = 2 * 1024 * 1024;

/** What a message costs beside its bytes. */
const messageOverheadBytes = 64;

export interface SocketQueueOptions {
  readonly maxMessageBytes: number;
  /** How much may wait on a socket that cannot be held back, in bytes. */
  readonly maxWaitingBytes: number;
}

/** What came on a socket and was not taken yet. Where its consumer is slow, its peer is held back, or sent away. */
export class SocketQueue {
  readonly #socket: Pick<ServerSocket, "pause" | "resume">;
  readonly #options: SocketQueueOptions;
  /** An error is the last: what its peer is sent away with, in its turn. */
  #waiting: (string | Uint8Array | BatonError)[] = [];
  #taken = 0;
  #bytes = 0;
  #takesMore = true;
  #isClosed = false;
  #isPaused = false;
  #wake: (() => void) | undefined;

  constructor(socket: Pick<ServerSocket, "pause" | "resume">, options: SocketQueueOptions) {
    this.#socket = socket;
    this.#options = options;
  }

  push(message: string | Uint8Array): void {
    if (!this.#takesMore) return;
    // Of text these are its UTF-16 code units; the bytes of a message that is let in are counted where it is read.
    const { length } = message;
    const { maxMessageBytes, maxWaitingBytes } = this.#options;
    const bytes = this.#bytes + length + messageOverheadBytes;
    if (length > largestSocketMessageBytes(maxMessageBytes)) {
      this.#refuse(
        new BatonError("MESSAGE_TOO_LARGE", `a message of ${length} bytes is larger than ${maxMessageBytes}`),
      );
    } else if (bytes > maxWaitingBytes && this.#socket.pause === undefined) {
      this.#refuse(new BatonError("RATE_LIMITED", "more was sent ahead of its answers than a stream may"));
    } else {
      this.#waiting.push(message);
      this.#bytes = bytes;
      if (bytes > pauseBytes) this.#pause();
    }
    this.#changed();
  }

  /** The next one; undefined: none is there yet. Throws what its peer is sent away with. */
  take(): string | Uint8Array | undefined {
    const next = this.#waiting[this.#taken];
    if (next === undefined) return undefined;
    if (next instanceof BatonError) throw next;
    this.#taken += 1;
    if (this.#taken === this.#waiting.length) this.#empty();
    return next;
  }

  /** Nothing more is read: what waits and what comes is thrown away. */
  finish(): void {
    this.#takesMore = false;
    this.#empty();
    this.#changed();
  }

  /** The socket has closed: nothing more comes. What waits can still be taken. */
  close(): void {
    this.#takesMore = false;
    this.#isClosed = true;
    this.#changed();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Resolves when there is something new to see. For one who waits. */
  async changed(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #refuse(error: BatonError): void {
    this.#takesMore = false;
    this.#waiting.push(error);
  }

  #pause(): void {
    if (this.#isPaused) return;
    this.#isPaused = true;
    this.#socket.pause?.();
  }

  #empty(): void {
    this.#waiting = [];
    this.#taken = 0;
    this.#bytes = 0;
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#socket.resume?.();
  }
}
