import { clientKey } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { type Ephemeral, Ephemerals } from "./ephemerals.ts";
import type { SharedPayload } from "./metrics/labels.ts";
import type { PublishedRecord } from "./pipeline.ts";
import { Ring } from "./ring.ts";

/** What all participants of a room read: the recent frames, and the newest of those that no log has. */
export class RoomFrames {
  readonly ring: Ring;
  readonly #ephemerals: Ephemerals;
  readonly #noteOwn: (sender: string, index: number) => void;

  /** `noteOwn` is told where a client's own frame stands. */
  constructor({ limits, meters }: RelayContext, noteOwn: (sender: string, index: number) => void) {
    this.ring = new Ring(limits.ringBytes, (...sent) => meters.send(...sent));
    this.#ephemerals = new Ephemerals(limits.ringBytes);
    this.#noteOwn = noteOwn;
  }

  append(records: readonly PublishedRecord[]): void {
    for (const { message, frame } of records) {
      const { userId, clientId, seq, clientSeq, timestamp, payload } = message;
      const sender = clientKey(userId, clientId);
      const version = payload.case === "edit" ? payload.value.version : 0;
      const place = { seq: Number(seq), head: Number(seq), timestampMs: Number(timestamp) };
      const shared = { frame, payload: sharedPayload(payload.case), sender, clientSeq: Number(clientSeq), version };
      this.#noteOwn(sender, this.ring.append({ ...shared, ...place }));
    }
  }

  /** What is not logged stands behind record `head`, and in place of what its sender said before in this slot. */
  putEphemeral(sender: string, slot: string, frame: Uint8Array, head: number): void {
    const place = { seq: 0, head, timestampMs: 0 };
    const index = this.ring.append({ frame, payload: sharedPayload(slot), ...place, sender, clientSeq: 0, version: 0 });
    this.#ephemerals.put(slot, { frame, sender, index });
    this.#noteOwn(sender, index);
  }

  /** The newest that went into the ring in [from, to) and no log has, without what `exceptSender` sent. */
  conflated(from: number, to: number, exceptSender: string): readonly Ephemeral[] {
    return this.#ephemerals.between(from, to, exceptSender);
  }

  /** Everybody has been told of what stands before `index`. */
  forgetBefore(index: number): void {
    this.#ephemerals.forgetBefore(index);
  }
}

/** What a record's payload, or the slot of what is not logged, is counted as. */
function sharedPayload(name: string | undefined): SharedPayload {
  return name === "edit" || name === "comment" || name === "cursor" || name === "presence" ? name : "custom";
}
