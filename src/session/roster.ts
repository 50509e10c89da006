import type { CursorPosition } from "../gen/codereview/v1/codereview_pb.ts";
import { PresenceUpdate_Status as Status } from "../gen/codereview/v1/codereview_pb.ts";
import type { Limits } from "./limits.ts";
import { clientKey } from "./state.ts";

/** Somebody who may write, as the others see them. */
export interface RosterEntry {
  readonly userId: string;
  readonly clientId: string;
  readonly displayName: string;
  readonly status: Status;
  readonly cursor: CursorPosition | undefined;
  /** Of the last sign of its user, ms since the Unix epoch. */
  readonly lastInputMs: number;
  /** While its stream is gone and it is still shown: when it is told to have left. */
  readonly leavesAtMs: number | undefined;
}

/** What the others are to be told. */
export interface PresenceChange {
  readonly userId: string;
  readonly clientId: string;
  readonly displayName: string;
  readonly status: Status;
}

/**
 * Who is there. A stream that ends is not told at once: whoever is back within the grace was never away. Each method
 * returns what the others are to be told, and time comes in with the call.
 */
export class Roster {
  readonly #limits: Pick<Limits, "idleMs" | "leaveGraceMs">;
  readonly #entries = new Map<string, RosterEntry>();

  constructor(limits: Pick<Limits, "idleMs" | "leaveGraceMs">) {
    this.#limits = limits;
  }

  get entries(): IterableIterator<RosterEntry> {
    return this.#entries.values();
  }

  get(key: string): RosterEntry | undefined {
    return this.#entries.get(key);
  }

  /** Shows it again as it was, and tells nobody. */
  restore(entry: RosterEntry): void {
    this.#entries.set(clientKey(entry.userId, entry.clientId), entry);
  }

  /** When the next of them is idle, or has left, unless something happens before; infinite: never. */
  get nextChangeMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { leavesAtMs, status, lastInputMs } of this.#entries.values()) {
      const idleAtMs = status === Status.IDLE ? Number.POSITIVE_INFINITY : lastInputMs + this.#limits.idleMs;
      nextMs = Math.min(nextMs, leavesAtMs ?? idleAtMs);
    }
    return nextMs;
  }

  joined(userId: string, clientId: string, nowMs: number): readonly PresenceChange[] {
    const key = clientKey(userId, clientId);
    const present = this.#entries.get(key);
    const entry: RosterEntry = {
      userId,
      clientId,
      displayName: present?.displayName ?? userId,
      status: Status.ACTIVE,
      cursor: present?.cursor,
      lastInputMs: nowMs,
      leavesAtMs: undefined,
    };
    if (present === undefined) {
      this.#entries.set(key, entry);
      return [tell(entry, Status.JOINED)];
    }
    return this.#put(key, entry);
  }

  /** The stream ended. Told only when nobody came back in time. */
  away(key: string, nowMs: number, graceMs: number = this.#limits.leaveGraceMs): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, { ...entry, leavesAtMs: nowMs + graceMs });
  }

  /** It said itself that it leaves, or may no longer write. */
  left(key: string): readonly PresenceChange[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    this.#entries.delete(key);
    return [tell(entry, Status.LEFT)];
  }

  /** A sign of its user: a message, a cursor. */
  active(key: string, nowMs: number): readonly PresenceChange[] {
    const entry = this.#entries.get(key);
    return entry === undefined ? [] : this.#put(key, { ...entry, status: Status.ACTIVE, lastInputMs: nowMs });
  }

  /** What it says of itself. */
  says(key: string, status: Status, displayName: string, nowMs: number): readonly PresenceChange[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    const said = status === Status.IDLE ? Status.IDLE : Status.ACTIVE;
    const name = displayName === "" ? entry.displayName : displayName;
    return this.#put(key, { ...entry, status: said, displayName: name, lastInputMs: nowMs });
  }

  moved(key: string, cursor: CursorPosition): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, { ...entry, cursor });
  }

  /** Time has passed, or the clock was set back: then what was under way begins anew, and nobody waits out the step. */
  tick(nowMs: number): readonly PresenceChange[] {
    const changes: PresenceChange[] = [];
    for (const [key, present] of this.#entries) {
      const entry = this.#reset(key, present, nowMs);
      if (entry.leavesAtMs !== undefined) {
        if (nowMs >= entry.leavesAtMs) changes.push(...this.left(key));
      } else if (entry.status !== Status.IDLE && nowMs - entry.lastInputMs >= this.#limits.idleMs) {
        changes.push(...this.#put(key, { ...entry, status: Status.IDLE }));
      }
    }
    return changes;
  }

  #reset(key: string, entry: RosterEntry, nowMs: number): RosterEntry {
    const latestMs = nowMs + this.#limits.leaveGraceMs;
    const isReset = entry.lastInputMs > nowMs || (entry.leavesAtMs ?? 0) > latestMs;
    if (!isReset) return entry;
    const leavesAtMs = entry.leavesAtMs === undefined ? undefined : Math.min(entry.leavesAtMs, latestMs);
    const reset = { ...entry, lastInputMs: Math.min(entry.lastInputMs, nowMs), leavesAtMs };
    this.#entries.set(key, reset);
    return reset;
  }

  #put(key: string, entry: RosterEntry): readonly PresenceChange[] {
    const present = this.#entries.get(key);
    this.#entries.set(key, entry);
    const same = present?.status === entry.status && present.displayName === entry.displayName;
    return same ? [] : [tell(entry, entry.status)];
  }
}

function tell({ userId, clientId, displayName }: RosterEntry, status: Status): PresenceChange {
  return { userId, clientId, displayName, status };
}
