import type { BatonError } from "../../session/reasons.ts";
import type { FrameForm, Outlet } from "../stream.ts";
import type { BodyEnd, BodySink, SendTrailers } from "./body.ts";
import type { WireProtocol } from "./protocol.ts";

export interface OutletOptions {
  readonly form: FrameForm;
  readonly protocol: Pick<WireProtocol, "encodeEnd">;
  /** Undefined where the protocol ends without. */
  readonly sendTrailers: SendTrailers | undefined;
  /** How long an ended stream waits for a peer that is behind to take the end. */
  readonly endGraceMs: number;
  /** Called once, when the outlet was ended, after its end was written. */
  readonly ended: () => void;
  /** A write failed: the peer is gone. */
  readonly gone: () => void;
}

export interface CallOutlet extends Outlet {
  /** To be told when the peer is gone: nothing is written any more, and whoever waits goes on. */
  release(): void;
  /** Resolves when the body may end. */
  readonly finished: Promise<BodyEnd>;
}

/** The outlet of a call over a response body. It adds no buffer of its own: behind is what the sink calls behind. */
export function createOutlet(sink: BodySink, options: OutletOptions): CallOutlet {
  return new BodyOutlet(sink, options);
}

/** A class, since a quiet stream weighs little else: a closure for each of these methods would be a fifth of it. */
class BodyOutlet implements CallOutlet {
  readonly finished: Promise<BodyEnd>;
  readonly #finish: (end: BodyEnd) => void;
  readonly #sink: BodySink;
  readonly #options: OutletOptions;
  #state: "open" | "ended" | "released" = "open";
  /** Those who wait for the peer to catch up; undefined: nobody. */
  #waiting: Set<() => void> | undefined;
  /** The newest write, while the peer is behind with it. */
  #unsettled: Promise<void> | undefined;

  constructor(sink: BodySink, options: OutletOptions) {
    this.#sink = sink;
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<BodyEnd>();
    this.finished = promise;
    this.#finish = resolve;
  }

  get form(): FrameForm {
    return this.#options.form;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    return this.#state === "open" ? this.#send(frames) : undefined;
  }

  end(error?: BatonError): void {
    if (this.#state !== "open") return;
    this.#state = "ended";
    const { protocol, sendTrailers, endGraceMs, ended } = this.#options;
    const { bytes, trailers } = protocol.encodeEnd(error);
    if (trailers !== undefined) sendTrailers?.(trailers);
    const behind = bytes === undefined ? this.#unsettled : this.#send(bytes);
    if (behind === undefined) {
      this.#finish("complete");
    } else {
      const timer = setTimeout(() => this.#finish("reset"), endGraceMs);
      void behind.then(() => {
        clearTimeout(timer);
        this.#finish("complete");
      });
    }
    ended();
  }

  release(): void {
    this.#state = "released";
    for (const settle of this.#waiting ?? []) settle();
    this.#finish("complete");
  }

  /** Never rejects; ends when the bytes are off, or the peer is gone. */
  #send(bytes: Uint8Array): Promise<void> | undefined {
    try {
      const pending = this.#sink.write(bytes);
      if (pending === undefined) return undefined;
      const behind = this.#settled(pending);
      this.#unsettled = behind;
      return behind;
    } catch {
      this.#options.gone();
      return undefined;
    }
  }

  #settled(pending: Promise<unknown>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const settle = () => {
      this.#waiting?.delete(settle);
      if (this.#unsettled === promise) this.#unsettled = undefined;
      resolve();
    };
    this.#waiting ??= new Set();
    this.#waiting.add(settle);
    pending.then(settle, () => {
      this.#options.gone();
      settle();
    });
    return promise;
  }
}
