import type { CursorPosition } from "../gen/codereview/v1/codereview_pb.ts";
import { PresenceUpdate_Status as Status } from "../gen/codereview/v1/codereview_pb.ts";
import type { Limits } from "./limits.ts";
import { assertNever } from "./reasons.ts";
import { clientKey } from "./state.ts";

/** Who holds the stream of somebody who is shown. */
export type Stay =
  /** This instance, and it alone says what is told of them. */
  | { readonly kind: "here" }
  /** Nobody: it ended here, and until then they are still shown. */
  | { readonly kind: "away"; readonly leavesAtMs: number }
  /** Another instance, as long as it says so again before this; `holder` names it, empty where it has not spoken yet. */
  | { readonly kind: "elsewhere"; readonly holder: string; readonly untilMs: number };

/** Somebody who may write, as the others see them. */
export interface RosterEntry {
  readonly userId: string;
  readonly clientId: string;
  readonly displayName: string;
  readonly status: Status;
  readonly cursor: CursorPosition | undefined;
  /** Of the last sign of its user, ms since the Unix epoch; of those who are elsewhere, of the last that was said of them. */
  readonly lastInputMs: number;
  /** The claim of its stream in the log: of two that speak of one client, the one with the newer claim is right. */
  readonly generation: number;
  readonly stay: Stay;
}

/** What the others are to be told. */
export interface PresenceChange {
  readonly userId: string;
  readonly clientId: string;
  readonly displayName: string;
  readonly status: Status;
  readonly generation: number;
  /** Whether this instance speaks for them: then it tells the other instances too. */
  readonly isOwn: boolean;
}

/** What another instance says of somebody whose stream it holds. */
export type Lease = Omit<RosterEntry, "lastInputMs" | "stay">;

/** How long somebody is shown after the last word of the instance that holds their stream: it speaks every 10 s. */
export const leaseMs = 25_000;

/**
 * Who is there. A stream that ends is not told at once: whoever is back within the grace was never away, wherever they
 * come back. Each method returns what is to be told, and time comes in with the call.
 */
export class Roster {
  readonly #limits: Pick<Limits, "idleMs" | "leaveGraceMs">;
  readonly #leaseMs: number;
  readonly #entries = new Map<string, RosterEntry>();

  /** `forMs`: how long somebody is shown after the last word of the instance that holds their stream. */
  constructor(limits: Pick<Limits, "idleMs" | "leaveGraceMs">, forMs: number = leaseMs) {
    this.#limits = limits;
    this.#leaseMs = forMs;
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

  /** When the next of them is idle, or is no longer shown, unless something happens before; infinite: never. */
  get nextChangeMs(): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) nextMs = Math.min(nextMs, this.#changesAtMs(entry));
    return nextMs;
  }

  #changesAtMs({ stay, status, lastInputMs }: RosterEntry): number {
    switch (stay.kind) {
      case "here":
        return status === Status.IDLE ? Number.POSITIVE_INFINITY : lastInputMs + this.#limits.idleMs;
      case "away":
        return stay.leavesAtMs;
      case "elsewhere":
        return stay.untilMs;
      default:
        return assertNever(stay);
    }
  }

  /** Whether this instance speaks for them. */
  isOwn(key: string): boolean {
    const kind = this.#entries.get(key)?.stay.kind;
    return kind === "here" || kind === "away";
  }

  joined(userId: string, clientId: string, generation: number, nowMs: number): readonly PresenceChange[] {
    const key = clientKey(userId, clientId);
    const present = this.#entries.get(key);
    const entry: RosterEntry = {
      userId,
      clientId,
      displayName: present?.displayName ?? userId,
      status: Status.ACTIVE,
      cursor: present?.cursor,
      lastInputMs: nowMs,
      generation,
      stay: { kind: "here" },
    };
    if (present === undefined) {
      this.#entries.set(key, entry);
      return [tell(entry, Status.JOINED)];
    }
    return this.#put(key, entry);
  }

  /** The stream ended here. Told only when nobody came back in time. */
  away(key: string, nowMs: number, graceMs: number = this.#limits.leaveGraceMs): void {
    const entry = this.#own(key);
    if (entry !== undefined) {
      this.#entries.set(key, { ...entry, stay: { kind: "away", leavesAtMs: nowMs + graceMs } });
    }
  }

  /** It said itself that it leaves, or may no longer write. */
  left(key: string): readonly PresenceChange[] {
    return this.isOwn(key) ? this.#remove(key) : [];
  }

  /** A sign of its user: a message, a cursor. */
  active(key: string, nowMs: number): readonly PresenceChange[] {
    const entry = this.#own(key);
    return entry === undefined ? [] : this.#put(key, { ...entry, status: Status.ACTIVE, lastInputMs: nowMs });
  }

  /** What it says of itself. */
  says(key: string, status: Status, displayName: string, nowMs: number): readonly PresenceChange[] {
    const entry = this.#own(key);
    if (entry === undefined) return [];
    const said = status === Status.IDLE ? Status.IDLE : Status.ACTIVE;
    const name = displayName === "" ? entry.displayName : displayName;
    return this.#put(key, { ...entry, status: said, displayName: name, lastInputMs: nowMs });
  }

  /** Where it is, whoever holds its stream. */
  moved(key: string, cursor: CursorPosition): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, { ...entry, cursor });
  }

  /** Its client was claimed anew on another instance, which is about to speak for it. */
  wentElsewhere(key: string, generation: number, nowMs: number): void {
    const entry = this.#own(key);
    if (entry === undefined || entry.generation >= generation) return;
    this.#entries.set(key, {
      ...entry,
      generation,
      stay: { kind: "elsewhere", holder: "", untilMs: nowMs + this.#leaseMs },
    });
  }

  /** Another instance holds their stream. */
  heard(holder: string, lease: Lease, nowMs: number): readonly PresenceChange[] {
    const key = clientKey(lease.userId, lease.clientId);
    const present = this.#entries.get(key);
    if (present !== undefined && isOlder(lease.generation, present)) return [];
    // A cursor that is known came by a shorter way.
    const cursor = present?.cursor ?? lease.cursor;
    const stay = { kind: "elsewhere", holder, untilMs: nowMs + this.#leaseMs } as const;
    const entry = { ...lease, cursor, lastInputMs: nowMs, stay };
    if (present !== undefined) return this.#put(key, entry);
    this.#entries.set(key, entry);
    const joined = tell(entry, Status.JOINED);
    return lease.status === Status.IDLE ? [joined, tell(entry, Status.IDLE)] : [joined];
  }

  /** Another instance held their stream under this claim, and says that they have left. */
  heardLeft(key: string, generation: number): readonly PresenceChange[] {
    const entry = this.#entries.get(key);
    return entry?.stay.kind === "elsewhere" && entry.generation <= generation ? this.#remove(key) : [];
  }

  /** A holder has named all whose streams it holds. */
  heardAll(holder: string, keys: ReadonlySet<string>): readonly PresenceChange[] {
    const gone = [...this.#entries].filter(
      ([key, { stay }]) => stay.kind === "elsewhere" && stay.holder === holder && !keys.has(key),
    );
    return gone.flatMap(([key]) => this.#remove(key));
  }

  /** Time in which nobody could be heard is held against nobody. */
  forgive(ms: number): void {
    for (const [key, entry] of this.#entries) {
      const { stay } = entry;
      if (stay.kind !== "elsewhere") continue;
      this.#entries.set(key, { ...entry, stay: { ...stay, untilMs: stay.untilMs + ms } });
    }
  }

  /** Time has passed, or the clock was set back: then what was under way begins anew, and nobody waits out the step. */
  tick(nowMs: number): readonly PresenceChange[] {
    return [...this.#entries].flatMap(([key, present]) => {
      const entry = this.#reset(key, present, nowMs);
      const { stay } = entry;
      switch (stay.kind) {
        case "here": {
          const isIdle = entry.status !== Status.IDLE && nowMs - entry.lastInputMs >= this.#limits.idleMs;
          return isIdle ? this.#put(key, { ...entry, status: Status.IDLE }) : [];
        }
        case "away":
          return nowMs >= stay.leavesAtMs ? this.#remove(key) : [];
        case "elsewhere":
          return nowMs >= stay.untilMs ? this.#remove(key) : [];
        default:
          return assertNever(stay);
      }
    });
  }

  #reset(key: string, entry: RosterEntry, nowMs: number): RosterEntry {
    const stay = resetStay(entry.stay, nowMs, this.#limits.leaveGraceMs, this.#leaseMs);
    if (entry.lastInputMs <= nowMs && stay === entry.stay) return entry;
    const reset = { ...entry, lastInputMs: Math.min(entry.lastInputMs, nowMs), stay };
    this.#entries.set(key, reset);
    return reset;
  }

  #own(key: string): RosterEntry | undefined {
    return this.isOwn(key) ? this.#entries.get(key) : undefined;
  }

  #remove(key: string): readonly PresenceChange[] {
    const entry = this.#entries.get(key);
    if (entry === undefined) return [];
    this.#entries.delete(key);
    return [tell(entry, Status.LEFT)];
  }

  #put(key: string, entry: RosterEntry): readonly PresenceChange[] {
    const present = this.#entries.get(key);
    this.#entries.set(key, entry);
    const same = present?.status === entry.status && present.displayName === entry.displayName;
    return same ? [] : [tell(entry, entry.status)];
  }
}

/** Of two instances that hold one client under the same claim, neither is right for long: the own stream is believed. */
function isOlder(generation: number, { generation: known, stay }: RosterEntry): boolean {
  return stay.kind === "elsewhere" ? generation < known : generation <= known;
}

function resetStay(stay: Stay, nowMs: number, graceMs: number, forMs: number): Stay {
  switch (stay.kind) {
    case "here":
      return stay;
    case "away":
      return stay.leavesAtMs > nowMs + graceMs ? { ...stay, leavesAtMs: nowMs + graceMs } : stay;
    case "elsewhere":
      return stay.untilMs > nowMs + forMs ? { ...stay, untilMs: nowMs + forMs } : stay;
    default:
      return assertNever(stay);
  }
}

function tell({ userId, clientId, displayName, generation, stay }: RosterEntry, status: Status): PresenceChange {
  return { userId, clientId, displayName, status, generation, isOwn: stay.kind !== "elsewhere" };
}
