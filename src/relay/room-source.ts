import type { LogRecord } from "../durable/session-log.ts";
import type { RelayContext } from "./context.ts";
import type { Ephemeral } from "./ephemerals.ts";
import type { Meters } from "./metrics/meters.ts";
import { encodeControl, type Identity, type RelayPayload } from "./payload.ts";
import type { ReaderSource } from "./reader-source.ts";
import type { Ring } from "./ring.ts";
import type { RoomFrames } from "./room-frames.ts";
import type { FrameForm } from "./stream.ts";

/** What is read of a room. */
interface ReadRoom {
  readonly sessionId: string;
  readonly state: { readonly epoch: string; readonly head: number };
}

/** A room, as one of its participants reads it. */
export class RoomSource implements ReaderSource {
  readonly ring: Ring;
  readonly meters: Meters;
  readonly #context: RelayContext;
  readonly #room: ReadRoom;
  readonly #frames: RoomFrames;
  readonly #identity: Identity;

  constructor(context: RelayContext, room: ReadRoom, frames: RoomFrames, identity: Identity) {
    this.ring = frames.ring;
    this.meters = context.meters;
    this.#context = context;
    this.#room = room;
    this.#frames = frames;
    this.#identity = identity;
  }

  get head(): number {
    return this.#room.state.head;
  }

  readLog(from: number, maxBytes: number): Promise<readonly LogRecord[]> {
    const { sessionId, state } = this.#room;
    return this.#context.log.read(sessionId, from, state.head, maxBytes, state.epoch);
  }

  conflated(from: number, to: number): readonly Ephemeral[] {
    return this.#frames.conflated(from, to, this.#identity.key);
  }

  encode(payload: RelayPayload, form: FrameForm, timestampMs = this.#context.now()): Uint8Array {
    return encodeControl(this.#identity, payload, timestampMs, form);
  }
}
