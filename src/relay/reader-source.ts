import type { LogRecord } from "../durable/session-log.ts";
import type { Snapshot } from "../gen/codereview/v1/codereview_pb.ts";
import type { Ephemeral } from "./ephemerals.ts";
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
  /** The newest of each client and kind that is not logged, of ring entries [from, to), in their order; its own left out. */
  conflated(from: number, to: number): readonly Ephemeral[];
  /** A message of the relay's own as a frame; `timestampMs` defaults to now. */
  encode(payload: RelayPayload, form: FrameForm, timestampMs?: number): Uint8Array;
}

/** The session's state, for a reader that has fallen far behind, on the stream that it has. */
export interface Resync {
  readonly welcome: RelayPayload;
  readonly parts: Iterator<Snapshot>;
  /** The first record behind it. */
  readonly nextSeq: number;
}

/** What takes the place of the records from `fromSeq` on, where that is due; undefined: they are read. */
export type FetchResync = (fromSeq: number) => Promise<Resync | undefined> | undefined;
