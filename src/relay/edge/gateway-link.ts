import { BatonError } from "../../session/reasons.ts";
import type { Link, SessionObjects } from "./gateway.ts";
import { encodeHop, type HopUp, readHop } from "./hop.ts";

/** Objects that may send a stream on, one to the next: as many levels as a session's tree can have, and one more. */
const mostMoves = 4;

export interface GatewayLinkListener {
  readonly hear: (hop: Exclude<ReturnType<typeof readHop>, { readonly kind: "elsewhere" }>) => void;
  /** It is gone, by whoever. */
  readonly closed: () => void;
  /** The object at which the stream belongs cannot be reached. */
  readonly failed: (error: BatonError) => void;
}

/** A stream's way to the object at which it belongs: its session's, or the one to which that sends it on. */
export class GatewayLink {
  readonly #objects: SessionObjects;
  readonly #listener: GatewayLinkListener;
  #link: Link | undefined;
  /** What was said, until the object answers: one that sends it elsewhere has dropped it. */
  #unheard: HopUp[] | undefined = [];
  #moves = 0;
  #isClosed = false;

  constructor(objects: SessionObjects, listener: GatewayLinkListener) {
    this.#objects = objects;
    this.#listener = listener;
  }

  /** It has been open. */
  get wasOpen(): boolean {
    return this.#link !== undefined;
  }

  /** Rejects where the object cannot be reached. */
  async open(object: string): Promise<void> {
    const move = this.#moves;
    const isPresent = () => move === this.#moves && !this.#isClosed;
    const link = await this.#objects.open(object, {
      message: (bytes) => {
        if (isPresent()) this.#hear(bytes);
      },
      closed: () => {
        if (isPresent()) this.#listener.closed();
      },
    });
    if (this.#isClosed) {
      link.close();
      return;
    }
    this.#link = link;
    // In one turn: nothing comes before the hello.
    for (const hop of this.#unheard ?? []) link.send(encodeHop(hop));
  }

  /** Before it is open, it waits. */
  say(hop: HopUp): void {
    this.#unheard?.push(hop);
    this.#link?.send(encodeHop(hop));
  }

  /** Any number of times. */
  close(): void {
    this.#isClosed = true;
    this.#link?.close();
  }

  #hear(bytes: Uint8Array): void {
    const hop = readHop(bytes);
    if (typeof hop === "object" && hop.kind === "elsewhere") {
      void this.#moveTo(hop.object);
      return;
    }
    this.#unheard = undefined;
    this.#listener.hear(hop);
  }

  /** Never rejects. */
  async #moveTo(object: string): Promise<void> {
    this.#moves += 1;
    this.#link?.close();
    try {
      if (this.#unheard === undefined || this.#moves > mostMoves) throw new BatonError("LOG_UNAVAILABLE");
      await this.open(object);
    } catch (error) {
      this.#listener.failed(error instanceof BatonError ? error : new BatonError("LOG_UNAVAILABLE"));
    }
  }
}
