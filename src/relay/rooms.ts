import { getLogger } from "@logtape/logtape";
import type { LogState } from "../durable/session-log.ts";
import { BatonError } from "../session/reasons.ts";
import { emptyState, type SessionState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { loadState } from "./load.ts";
import { Presence } from "./presence.ts";
import { type HearClient, Room } from "./room.ts";
import type { Users } from "./users.ts";

const logger = getLogger(["baton", "rooms"]);

/** A session's state, and which record the newest snapshot is of; 0 = there is none. */
interface Folded {
  readonly state: SessionState;
  readonly snapshotSeq: number;
}

/** The rooms that are open on this instance. */
export class Rooms {
  readonly #context: RelayContext;
  readonly #rooms = new Map<string, Room>();
  readonly #opening = new Map<string, Promise<Room>>();
  readonly #users: Users;
  readonly #hearClient: HearClient;
  #closing: BatonError | undefined;

  /** `hearClient` is told what other instances say of clients. */
  constructor(context: RelayContext, users: Users, hearClient: HearClient) {
    this.#context = context;
    this.#users = users;
    this.#hearClient = hearClient;
  }

  get all(): IterableIterator<Room> {
    return this.#rooms.values();
  }

  /** Why nobody may come in any more; undefined while they may. */
  get closing(): BatonError | undefined {
    return this.#closing;
  }

  /** From now on nobody comes in. */
  close(reason: BatonError): void {
    this.#closing = reason;
  }

  present(sessionId: string): Room | undefined {
    const room = this.#rooms.get(sessionId);
    return room?.ended === undefined ? room : undefined;
  }

  /** The session's room: the one that is open, or one folded from the log. */
  async open(sessionId: string): Promise<Room> {
    if (this.#closing !== undefined) throw this.#closing;
    const present = this.present(sessionId);
    if (present !== undefined) return present;
    const opening = this.#opening.get(sessionId) ?? this.#load(sessionId);
    this.#opening.set(sessionId, opening);
    return await opening;
  }

  /** A session's history is over, here and elsewhere; what serves it ends, and whoever comes back finds what holds now. */
  endEpoch(sessionId: string, epoch: string): void {
    this.#context.bus.publish(sessionId, { kind: "epoch-ended", epoch });
    const room = this.present(sessionId);
    if (room?.state.epoch === epoch) room.fail(new BatonError("EPOCH_CHANGED"));
  }

  /** Closes rooms that have been empty for long, and forgets those that ended. */
  sweep(nowMs: number): void {
    for (const [sessionId, room] of this.#rooms) {
      if (room.unusedMs(nowMs) >= this.#context.limits.roomIdleMs) room.fail(new BatonError("DRAIN"));
      if (room.ended !== undefined) this.#rooms.delete(sessionId);
    }
  }

  async #load(sessionId: string): Promise<Room> {
    const { bus, log } = this.#context;
    const presence = new Presence(this.#context, sessionId);
    let room: Room | undefined;
    let isRung = false;
    // It hears before it reads: what is written meanwhile is either read, or rung for.
    const unwatch = log.watch(sessionId, (head) => {
      isRung = true;
      room?.pipeline.rang(head);
    });
    const unsubscribe = bus.subscribe(sessionId, (message) => {
      if (room !== undefined) room.hear(message);
      else if (message.kind === "roster") presence.hear(message);
    });
    const leave = () => {
      unwatch();
      unsubscribe();
    };
    // The answers come while the session is folded.
    presence.ask();
    try {
      const { state, snapshotSeq, kept } = await this.#read(sessionId);
      const place = { first: kept?.first ?? 1, isKept: kept !== undefined, snapshotSeq };
      room = new Room(this.#context, this.#users, { state, ...place, presence, leave }, this.#hearClient);
      this.#rooms.set(sessionId, room);
      if (isRung) room.pipeline.rang();
      return room;
    } catch (error) {
      leave();
      const reason = error instanceof BatonError ? error.reason : "INTERNAL";
      logger.error("a session cannot be opened", { session: sessionId, reason });
      throw error;
    } finally {
      this.#opening.delete(sessionId);
    }
  }

  async #read(sessionId: string): Promise<Folded & { readonly kept: LogState | undefined }> {
    for (let before = await this.#context.log.describe(sessionId); ; ) {
      const [outcome] = await Promise.allSettled([this.#fold(sessionId, before)]);
      const kept = await this.#context.log.describe(sessionId);
      // What was deleted while it was read would stand for the history that came after it.
      const isSameHistory = kept?.epoch === before?.epoch;
      if (outcome.status === "fulfilled" && isSameHistory) return { ...outcome.value, kept };
      // What others took away while it was read is no damage: it is read again, from what they left.
      if (outcome.status === "rejected" && isSameHistory && kept?.first === before?.first) throw outcome.reason;
      before = kept;
    }
  }

  async #fold(sessionId: string, kept: LogState | undefined): Promise<Folded> {
    const { log, limits, newId } = this.#context;
    if (kept === undefined) return { state: emptyState(sessionId, newId()), snapshotSeq: 0 };
    // From the snapshot before the newest: so there is history to map the edits over that were on their way.
    const newest = await log.latestSnapshot(sessionId, kept.head);
    const startAtMost = newest === undefined ? kept.head : Math.max(newest.seq - 1, 0);
    const state = await loadState(log, sessionId, kept, kept.head, limits, startAtMost);
    return { state, snapshotSeq: newest?.seq ?? 0 };
  }
}
