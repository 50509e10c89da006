import type { LogRecord } from "../durable/session-log.ts";
import type { Meters } from "./metrics/meters.ts";
import type { RelayPayload } from "./payload.ts";
import type { Ring } from "./ring.ts";
import type { FrameForm } from "./stream.ts";

/** Where a reader reads from: its room. */
export interface ReaderSource {
  readonly ring: Ring;
  readonly meters: Meters;
  /** The last record that is in the ring's order. */
  readonly head: number;
  readLog(from: number, maxBytes: number): Promise<readonly LogRecord[]>;
  /** The newest frame of each client and kind that is not logged, of ring entries [from, to); `key`'s own left out. */
  conflated(from: number, to: number, key: string): readonly Uint8Array[];
  /** A message of the relay's own as a frame; `timestampMs` defaults to now. */
  encode(payload: RelayPayload, form: FrameForm, timestampMs?: number): Uint8Array;
}

/** After how many bytes of gathered frames a write takes no more of them, and what one read of the log may bring. */
export const gatheredBytes = 256 * 1024;
