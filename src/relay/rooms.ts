import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import { emptyState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";
import { loadState } from "./load.ts";
import { Rate } from "./rate.ts";
import { Room } from "./room.ts";

const logger = getLogger(["baton", "rooms"]);

/** The rooms that are open on this instance. */
export class Rooms {
  readonly #context: RelayContext;
  readonly #rooms = new Map<string, Room>();
  readonly #opening = new Map<string, Promise<Room>>();
  readonly #unseenRates = new Map<string, Rate>();
  #closing: BatonError | undefined;

  constructor(context: RelayContext) {
    this.#context = context;
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

  /** What a user may send by calls that belong to no stream, whatever sessions and clients they name. */
  unseenRate(userId: string): Rate {
    const { limits, now } = this.#context;
    const rate = this.#unseenRates.get(userId) ?? new Rate(limits.messagesPerSecond, limits.messagesBurst, now());
    this.#unseenRates.set(userId, rate);
    return rate;
  }

  /** Streams that a user holds open, and the sessions besides `sessionId` that they are in. */
  countUser(userId: string, sessionId: string): { readonly streams: number; readonly sessions: number } {
    let streams = 0;
    let sessions = 0;
    for (const room of this.#rooms.values()) {
      const here = room.count(({ identity }) => identity.userId === userId);
      streams += here;
      if (here > 0 && room.sessionId !== sessionId) sessions += 1;
    }
    return { streams, sessions };
  }

  /** Closes rooms that have been empty for long, and those that ended; forgets the rates of those who have been quiet. */
  sweep(nowMs: number): void {
    for (const [userId, rate] of this.#unseenRates) if (rate.isFull(nowMs)) this.#unseenRates.delete(userId);
    for (const [sessionId, room] of this.#rooms) {
      if (room.unusedMs(nowMs) >= this.#context.limits.roomIdleMs) room.fail(new BatonError("DRAIN"));
      if (room.ended !== undefined) this.#rooms.delete(sessionId);
    }
  }

  async #load(sessionId: string): Promise<Room> {
    try {
      const { log, limits, newId } = this.#context;
      const kept = await log.describe(sessionId);
      if (kept === undefined) return this.#add(new Room(this.#context, emptyState(sessionId, newId()), 1));
      // From the snapshot before the newest: so there is history to map the edits over that were on their way.
      const newest = await log.latestSnapshot(sessionId, kept.head);
      const startAtMost = newest === undefined ? kept.head : Math.max(newest.seq - 1, 0);
      const state = await loadState(log, sessionId, kept, kept.head, limits, startAtMost);
      return this.#add(new Room(this.#context, state, kept.first));
    } catch (error) {
      const reason = error instanceof BatonError ? error.reason : "INTERNAL";
      logger.error("a session cannot be opened", { session: sessionId, reason });
      throw error;
    } finally {
      this.#opening.delete(sessionId);
    }
  }

  #add(room: Room): Room {
    this.#rooms.set(room.sessionId, room);
    return room;
  }
}
