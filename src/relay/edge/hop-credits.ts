/** Bytes that may be on their way to one side of a link: what a stream that is not read costs in a gateway's memory. */
export const windowBytes = 512 * 1024;

/** What a gateway holds for a client that is behind, whatever the account says. */
export const mostHeldBytes = 4 * windowBytes;

/** After so many more bytes the other side is told that they were taken. */
const tellEveryBytes = 256 * 1024;

/**
 * One side's account of what it sends over a link. The links between gateways and objects show no backpressure, so the
 * receiver tells what it has taken. An object that was out of memory begins its account anew, and more may be under way
 * then; so a gateway holds no more for a client than `mostHeldBytes`.
 */
export class SendCredits {
  #onTheirWay = 0;
  #waiting: (() => void)[] = [];

  /** Undefined: more may follow. A promise: these were the last for now. */
  sent(bytes: number): Promise<void> | undefined {
    this.#onTheirWay += bytes;
    if (this.#onTheirWay < windowBytes) return undefined;
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  took(bytes: number): void {
    this.#onTheirWay = Math.max(0, this.#onTheirWay - bytes);
    if (this.#onTheirWay < windowBytes) this.release();
  }

  /** Lets everybody go who waits. */
  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The other side's account: what it took, and has not told yet. */
export class ReceiveCredits {
  readonly #tell: (bytes: number) => void;
  #untoldBytes = 0;

  constructor(tell: (bytes: number) => void) {
    this.#tell = tell;
  }

  /** Whoever leaves memory leaves them to the next life: the other side waits for each byte that it has sent. */
  get untoldBytes(): number {
    return this.#untoldBytes;
  }

  took(bytes: number): void {
    this.#untoldBytes += bytes;
    if (this.#untoldBytes < tellEveryBytes) return;
    this.#tell(this.#untoldBytes);
    this.#untoldBytes = 0;
  }
}
