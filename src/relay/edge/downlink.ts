import { BatonError } from "../../session/reasons.ts";
import { concat } from "../concat.ts";
import type { Meters } from "../metrics/meters.ts";
import { countTold, encodeControl, type Identity, type RelayPayload } from "../payload.ts";
import type { Outlet } from "../stream.ts";
import { mostHeldBytes } from "./hop-credits.ts";

/** Bytes of the gateway's own messages that may wait for a client that is behind. */
const maxControlBytes = 128 * 1024;

interface Waiting {
  readonly frames: Uint8Array;
  /** Of it, what came over the link. */
  readonly linkBytes: number;
}

/**
 * The way down at a gateway: what the object says, as it comes, and between it what the gateway says itself. What waits for
 * a client that is behind is bounded by the link's credits.
 */
export class Downlink {
  readonly #outlet: Outlet;
  readonly #context: { readonly now: () => number; readonly meters: Meters };
  /** So many bytes that came over the link are off. */
  readonly #took: (bytes: number) => void;
  readonly #fail: (error: BatonError) => void;
  /** Once it is known, the gateway may speak. */
  #identity: Identity | undefined;
  /** What it has to say until then. Its client is read no faster than it may send, so that this is little. */
  #early: RelayPayload[] = [];
  #waiting: Waiting[] = [];
  #controlBytes = 0;
  #heldBytes = 0;
  #blockedSinceMs: number | undefined;
  #blockedMs = 0;
  #isEnded = false;
  #flushWaiters: (() => void)[] = [];

  constructor(
    outlet: Outlet,
    context: { readonly now: () => number; readonly meters: Meters },
    took: (bytes: number) => void,
    fail: (error: BatonError) => void,
  ) {
    this.#outlet = outlet;
    this.#context = context;
    this.#took = took;
    this.#fail = fail;
  }

  /** The client is in its session. */
  joined(identity: Identity): void {
    this.#identity = identity;
    for (const payload of this.#early.splice(0)) this.tell(payload);
  }

  /** Since when the client takes nothing; undefined = it keeps up. */
  get blockedSinceMs(): number | undefined {
    if (this.#blockedSinceMs === undefined) return undefined;
    return Math.max(this.#blockedSinceMs, this.#outlet.tookPieceAtMs ?? 0);
  }

  /** For how long it took nothing, all in all. */
  get blockedMs(): number {
    const { blockedSinceMs } = this;
    return this.#blockedMs + (blockedSinceMs === undefined ? 0 : this.#context.now() - blockedSinceMs);
  }

  /** What the object says: whole frames. */
  frames(frames: Uint8Array): void {
    this.#put({ frames, linkBytes: frames.length });
  }

  /** What the gateway says itself, behind the client's Welcome. */
  tell(payload: RelayPayload): void {
    if (this.#isEnded) return;
    if (this.#identity === undefined) {
      this.#early.push(payload);
      return;
    }
    const frames = encodeControl(this.#identity, payload, this.#context.now(), this.#outlet.form);
    countTold(this.#context.meters, payload, frames.length);
    if (this.#blockedSinceMs !== undefined) this.#controlBytes += frames.length;
    if (this.#controlBytes > maxControlBytes) this.#fail(new BatonError("SLOW_CONSUMER"));
    else this.#put({ frames, linkBytes: 0 });
  }

  /** Resolves when the outlet has taken everything, or has ended. */
  async flushed(): Promise<void> {
    if (this.#isEnded || this.#blockedSinceMs === undefined) return;
    await new Promise<void>((resolve) => void this.#flushWaiters.push(resolve));
  }

  end(error: BatonError | undefined): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#waiting = [];
    this.#early = [];
    this.#outlet.end(error);
    this.#release();
  }

  #put(waiting: Waiting): void {
    if (this.#isEnded) return;
    this.#waiting.push(waiting);
    this.#heldBytes += waiting.frames.length;
    this.#pump();
    if (this.#heldBytes > mostHeldBytes) this.#fail(new BatonError("SLOW_CONSUMER"));
  }

  #pump(): void {
    if (this.#blockedSinceMs !== undefined || this.#isEnded) return;
    const taken = this.#waiting;
    this.#waiting = [];
    this.#controlBytes = 0;
    this.#heldBytes = 0;
    if (taken.length === 0) {
      this.#release();
      return;
    }
    const linkBytes = taken.reduce((sum, waiting) => sum + waiting.linkBytes, 0);
    this.#context.meters.writes += 1;
    const behind = this.#outlet.write(concat(taken.map(({ frames }) => frames)));
    if (behind === undefined) {
      this.#took(linkBytes);
      return;
    }
    this.#blockedSinceMs = this.#context.now();
    void behind.then(() => {
      this.#blockedMs = this.blockedMs;
      this.#blockedSinceMs = undefined;
      this.#took(linkBytes);
      this.#pump();
    });
  }

  #release(): void {
    for (const resolve of this.#flushWaiters.splice(0)) resolve();
  }
}
