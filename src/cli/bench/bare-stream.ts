import { envelopeBytes } from "../../relay/wire/envelope.ts";

/** What came down on some streams. */
export interface Tally {
  messages: number;
  /** Of the messages, their envelopes with them. */
  bytes: number;
  /** DATA frames: what the server wrote, one for each write that reached the wire alone. */
  writes: number;
}

export const newTally = (): Tally => ({ messages: 0, bytes: 0, writes: 0 });

export interface StreamOptions {
  readonly path: string;
  readonly token: string;
  readonly contentType?: string | undefined;
  /** Counts this stream, with others. */
  readonly tally: Tally;
  /** Called with each message, its envelope taken off. The bytes are good until it returns. */
  readonly onMessage?: ((bytes: Uint8Array) => void) | undefined;
  /** Called when the server has ended or reset the call, or the connection broke, with the text of Connect's end. */
  readonly onEnd?: ((text: string) => void) | undefined;
}

/** The flag by which Connect marks the last envelope of a stream. */
const endStreamFlag = 2;

/** One call of the bare client: it counts messages by their envelopes. */
export class BareStream {
  readonly #options: StreamOptions;
  readonly #send: (bytes: Uint8Array, ends: boolean) => void;
  readonly #head = Buffer.alloc(envelopeBytes);
  #headFilled = 0;
  #left = 0;
  #inMessage = false;
  /** It is Connect's end of the stream that is being read, or was. */
  #isLast = false;
  #endText = "";
  #parts: Buffer[] = [];
  #isEnded = false;

  constructor(options: StreamOptions, send: (bytes: Uint8Array, ends: boolean) => void) {
    this.#options = options;
    this.#send = send;
  }

  /** Sends one DATA frame. The server's window is not minded: what is unanswered at once has to stay below 64 KiB. */
  send(bytes: Uint8Array): void {
    this.#send(bytes, false);
  }

  finish(bytes: Uint8Array): void {
    this.#send(bytes, true);
  }

  wrote(): void {
    this.#options.tally.writes += 1;
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.onEnd?.(this.#endText);
  }

  take(chunk: Buffer, from: number, to: number): void {
    let at = from;
    while (at < to) {
      if (!this.#inMessage) {
        at = this.#takeHead(chunk, at, to);
      } else {
        const end = Math.min(at + this.#left, to);
        this.#left -= end - at;
        if (this.#options.onMessage !== undefined || this.#isLast) this.#parts.push(chunk.subarray(at, end));
        at = end;
      }
      if (this.#inMessage && this.#left === 0) this.#complete();
    }
    // What is kept over the chunk's end is copied: the socket may use its memory again.
    if (this.#parts.length > 0) this.#parts = [Buffer.concat(this.#parts)];
  }

  #takeHead(chunk: Buffer, from: number, to: number): number {
    if (this.#headFilled === 0 && to - from >= envelopeBytes) {
      this.#beginMessage(chunk, from);
      return from + envelopeBytes;
    }
    const end = Math.min(to, from + envelopeBytes - this.#headFilled);
    const taken = chunk.copy(this.#head, this.#headFilled, from, end);
    this.#headFilled += taken;
    if (this.#headFilled === envelopeBytes) {
      this.#headFilled = 0;
      this.#beginMessage(this.#head, 0);
    }
    return from + taken;
  }

  #beginMessage(source: Buffer, at: number): void {
    this.#isLast = ((source[at] ?? 0) & endStreamFlag) !== 0;
    this.#left = source.readUInt32BE(at + 1);
    this.#options.tally.bytes += envelopeBytes + this.#left;
    this.#inMessage = true;
  }

  #complete(): void {
    this.#inMessage = false;
    if (!this.#isLast) this.#options.tally.messages += 1;
    if (this.#options.onMessage === undefined && !this.#isLast) return;
    const [only] = this.#parts;
    const whole = only !== undefined && this.#parts.length === 1 ? only : Buffer.concat(this.#parts);
    this.#parts = [];
    if (this.#isLast) this.#endText = whole.toString();
    else this.#options.onMessage?.(whole);
  }
}
