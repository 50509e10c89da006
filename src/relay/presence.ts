import { create } from "@bufbuild/protobuf";
import type { BusCursor, RosterMember, RosterMessage } from "../durable/session-bus.ts";
import {
  type CursorPosition,
  CursorPositionSchema,
  PresenceUpdate_Status as Status,
} from "../gen/codereview/v1/codereview_pb.ts";
import { leaseMs, type PresenceChange, Roster, type RosterEntry } from "../session/roster.ts";
import { clientKey } from "../session/state.ts";
import type { RelayContext } from "./context.ts";

/** How often an instance says whom it holds: two words may be lost before they count as gone. */
const announceMs = 10_000;
/** How soon others learn that readers came or went: they are told as a count, which need not be exact. */
const readersMs = 1_000;

interface Holder {
  readonly number: number;
  readonly readers: number;
  readonly untilMs: number;
}

/**
 * Who is in a session, on whichever instance. Each instance speaks for those whose streams it holds, when something
 * changes and again and again; what the others say is believed until they have been silent for too long. So an instance
 * that dies takes nobody along who comes back elsewhere in time.
 */
export class Presence {
  readonly roster: Roster;
  readonly #context: RelayContext;
  readonly #sessionId: string;
  readonly #holder: string;
  readonly #others = new Map<string, Holder>();
  #number = 0;
  #readers = 0;
  #toldReaders = 0;
  #announcedAtMs: number;
  /** What was said last is that nobody is here. */
  #isSilent = true;

  constructor(context: RelayContext, sessionId: string) {
    this.#context = context;
    this.#sessionId = sessionId;
    this.#holder = context.newId();
    this.roster = new Roster(context.limits, context.bus.leaseMs);
    this.#announcedAtMs = context.now();
  }

  /** Streams that only read, on other instances. */
  get readersElsewhere(): number {
    let readers = 0;
    for (const other of this.#others.values()) readers += other.readers;
    return readers;
  }

  /** Clients that may write and whose streams other instances hold; `exceptKey` is not counted. */
  writersElsewhere(exceptKey: string): number {
    let writers = 0;
    for (const { userId, clientId, stay } of this.roster.entries) {
      if (stay.kind === "elsewhere" && clientKey(userId, clientId) !== exceptKey) writers += 1;
    }
    return writers;
  }

  /** Names the other instance that holds this client's stream; empty: none is known. */
  instanceOf(key: string): string {
    const stay = this.roster.get(key)?.stay;
    return stay?.kind === "elsewhere" ? stay.holder : "";
  }

  /** Asks the others whom they hold. */
  ask(): void {
    this.#context.bus.publish(this.#sessionId, { kind: "roster-wanted" });
  }

  /** Tells the other instances what changed here. */
  tell(changes: readonly PresenceChange[]): void {
    const own = changes.filter(({ isOwn }) => isOwn);
    if (own.length === 0) return;
    const keys = new Set(own.map(({ userId, clientId }) => clientKey(userId, clientId)));
    const left = own
      .filter(({ status }) => status === Status.LEFT)
      .map(({ userId, clientId, generation }) => ({ client: { userId, clientId }, generation }));
    this.#publish({ isAll: false, members: this.#members((key) => keys.has(key)), left });
  }

  /** So many streams here only read. */
  count(readers: number): void {
    this.#readers = readers;
  }

  /** Says whom this instance holds. */
  announce(): void {
    const members = this.#members(() => true);
    const isSilent = members.length === 0 && this.#readers === 0;
    if (isSilent && this.#isSilent) return;
    this.#isSilent = isSilent;
    this.#announcedAtMs = this.#context.now();
    this.#publish({ isAll: true, members, left: [] });
  }

  /** What another instance says; `claimOf`: the newest claim of a client that is known here, before which nothing counts. */
  hear(
    { holder, number, isAll, members, left, readers }: RosterMessage,
    claimOf: (key: string) => number = () => 0,
  ): readonly PresenceChange[] {
    const known = this.#others.get(holder);
    if (known !== undefined && number <= known.number) return [];
    const nowMs = this.#context.now();
    this.#others.set(holder, { number, readers, untilMs: nowMs + leaseMs });
    const changes = members
      .filter(({ client: { userId, clientId }, generation }) => generation >= claimOf(clientKey(userId, clientId)))
      .flatMap((member) => this.roster.heard(holder, leaseOf(member), nowMs));
    for (const { client, generation } of left) {
      changes.push(...this.roster.heardLeft(clientKey(client.userId, client.clientId), generation));
    }
    if (!isAll) return changes;
    const keys = new Set(members.map(({ client }) => clientKey(client.userId, client.clientId)));
    return [...changes, ...this.roster.heardAll(holder, keys)];
  }

  /** Time in which nobody could be heard is held against nobody. */
  forgive(ms: number): void {
    this.roster.forgive(ms);
    for (const [holder, other] of this.#others) this.#others.set(holder, { ...other, untilMs: other.untilMs + ms });
  }

  /** What is due. Returns what the others of this instance are to be told. */
  tick(nowMs: number): readonly PresenceChange[] {
    for (const [holder, { untilMs }] of this.#others) {
      if (nowMs >= untilMs || untilMs > nowMs + leaseMs) this.#others.delete(holder);
    }
    const sinceMs = nowMs - this.#announcedAtMs;
    const dueMs = this.#readers === this.#toldReaders ? announceMs : readersMs;
    // A clock that was set back does not put it off.
    if (sinceMs >= dueMs || sinceMs < 0) this.announce();
    return this.roster.tick(nowMs);
  }

  #members(isMeant: (key: string) => boolean): readonly RosterMember[] {
    const members: RosterMember[] = [];
    for (const entry of this.roster.entries) {
      if (entry.stay.kind === "elsewhere" || !isMeant(clientKey(entry.userId, entry.clientId))) continue;
      members.push(memberOf(entry));
    }
    return members;
  }

  #publish(said: Pick<RosterMessage, "isAll" | "members" | "left">): void {
    this.#number += 1;
    this.#toldReaders = this.#readers;
    if (said.members.length > 0) this.#isSilent = false;
    const place = { kind: "roster", holder: this.#holder, number: this.#number, readers: this.#readers } as const;
    this.#context.bus.publish(this.#sessionId, { ...place, ...said });
  }
}

/** Somebody who is shown, as the bus tells of them. */
export function memberOf({ userId, clientId, generation, displayName, status, cursor }: RosterEntry): RosterMember {
  return { client: { userId, clientId }, generation, displayName, status, cursor: cursor && busCursor(cursor) };
}

function leaseOf({ client, generation, displayName, status, cursor }: RosterMember) {
  return {
    ...client,
    generation,
    displayName,
    // Another version may say what this one does not know.
    status: status === Status.IDLE ? Status.IDLE : Status.ACTIVE,
    cursor: cursor && create(CursorPositionSchema, cursor),
  };
}

function busCursor({ filePath, line, column, version, anchorLine, anchorColumn }: CursorPosition): BusCursor {
  return { filePath, line, column, version, anchorLine, anchorColumn };
}
