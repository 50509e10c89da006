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
  let state: "open" | "ended" | "released" = "open";
  const { promise: finished, resolve: finish } = Promise.withResolvers<BodyEnd>();
  /** Those who wait for the peer to catch up. */
  const waiting = new Set<() => void>();
  /** The newest write, while the peer is behind with it. */
  let unsettled: Promise<void> | undefined;

  /** Never rejects; ends when the bytes are off, or the peer is gone. */
  function send(bytes: Uint8Array): Promise<void> | undefined {
    try {
      const pending = sink.write(bytes);
      if (pending === undefined) return undefined;
      const behind = new Promise<void>((resolve) => {
        const settle = () => {
          waiting.delete(settle);
          if (unsettled === behind) unsettled = undefined;
          resolve();
        };
        waiting.add(settle);
        pending.then(settle, () => {
          options.gone();
          settle();
        });
      });
      unsettled = behind;
      return behind;
    } catch {
      options.gone();
      return undefined;
    }
  }

  return {
    form: options.form,
    finished,
    write(frames) {
      return state === "open" ? send(frames) : undefined;
    },
    end(error?: BatonError) {
      if (state !== "open") return;
      state = "ended";
      const { bytes, trailers } = options.protocol.encodeEnd(error);
      if (trailers !== undefined) options.sendTrailers?.(trailers);
      const behind = bytes === undefined ? unsettled : send(bytes);
      if (behind === undefined) {
        finish("complete");
      } else {
        const timer = setTimeout(() => finish("reset"), options.endGraceMs);
        behind.then(() => {
          clearTimeout(timer);
          finish("complete");
        });
      }
      options.ended();
    },
    release() {
      state = "released";
      for (const settle of waiting) settle();
      finish("complete");
    },
  };
}
