import type { LoggedPayload } from "../admit.ts";
import { assertNever } from "../reasons.ts";
import type { PendingComment } from "./pending-comment.ts";

/** What an entry of the queue is about. */
export type Work =
  | { readonly kind: "edit"; readonly path: string }
  | { readonly kind: "comment"; readonly comment: PendingComment }
  | { readonly kind: "custom" };

/** A logged message that the log is not known to have. */
export interface Entry {
  readonly work: Work;
  /** As it is sent, each time the same; made anew only by a resync. */
  payload: LoggedPayload;
  /** The number under which it was sent last; 0 = none. */
  clientSeq: number;
  /**
   * "sent": its answer has to come on this stream; until then it is not sent again, so that a number never stands for
   * two contents on one stream. "durable": the log has it, its place is told later.
   */
  standing: "unsent" | "sent" | "durable";
  /** How often in a row the relay called it out of order although it was the next. */
  strikes: number;
}

/**
 * A client's logged messages, in order, until they are acked. Numbers are given when a message is sent: the first
 * entry's is always the one after the last acked, the others' follow.
 */
export class Outbox {
  readonly #entries: Entry[] = [];
  #acked = 0;
  /** Entries before it have been sent under the number that is theirs. */
  #next = 0;
  #unackedBytes = 0;
  #waiting = false;

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  /** The last number that the log is known to have. */
  get acked(): number {
    return this.#acked;
  }

  /** The first number that a message here was sent under; 0 = none was. */
  get pendingFrom(): number {
    return this.#entries.some(({ clientSeq }) => clientSeq > 0) ? this.#acked + 1 : 0;
  }

  /** The number that the next message gets, if all that was sent is logged. */
  get nextClientSeq(): number {
    return this.#acked + 1 + this.#entries.filter(({ clientSeq }) => clientSeq > 0).length;
  }

  push(work: Work, payload: LoggedPayload): void {
    this.#entries.push({ work, payload, clientSeq: 0, standing: "unsent", strikes: 0 });
  }

  /** The messages to send now, numbered; at least one where none is unacked, however large. */
  release(maxUnackedBytes: number): readonly Entry[] {
    const released: Entry[] = [];
    while (!this.#waiting) {
      const entry = this.#entries[this.#next];
      if (entry === undefined) break;
      const due = this.#acked + 1 + this.#next;
      if (entry.standing === "unsent") {
        const bytes = estimateBytes(entry.payload);
        if (this.#next > 0 && this.#unackedBytes + bytes > maxUnackedBytes) break;
        this.#unackedBytes += bytes;
        entry.clientSeq = due;
        entry.standing = "sent";
        released.push(entry);
      } else if (entry.clientSeq !== due) {
        // Sent under a number that is no longer its own: it is refused as out of order, and goes then.
        break;
      }
      this.#next += 1;
    }
    return released;
  }

  /** The entry that has come into the log under this number: only ever the first. */
  acknowledge(clientSeq: number): Entry | undefined {
    const [first] = this.#entries;
    if (first === undefined || first.clientSeq !== clientSeq || clientSeq !== this.#acked + 1) return undefined;
    this.#entries.shift();
    this.#acked = clientSeq;
    this.#next = Math.max(0, this.#next - 1);
    if (first.standing !== "unsent") this.#unackedBytes -= estimateBytes(first.payload);
    return first;
  }

  /** A record of this client's that it holds no message for. */
  skipTo(clientSeq: number): void {
    this.#acked = Math.max(this.#acked, clientSeq);
  }

  /** The entry that an answer under this number is about. */
  sent(clientSeq: number): Entry | undefined {
    return this.#entries.find((entry) => entry.standing !== "unsent" && entry.clientSeq === clientSeq);
  }

  /** Whether something is on its way that a log up to this number does not have. */
  hasSentAfter(lastClientSeq: number): boolean {
    return this.#entries.some(({ standing, clientSeq }) => standing !== "unsent" && clientSeq > lastClientSeq);
  }

  /** The log has it; its place is told later. */
  markDurable(clientSeq: number): void {
    const entry = this.sent(clientSeq);
    if (entry !== undefined) entry.standing = "durable";
  }

  /** It was sent, and no answer can come any more. */
  holdUnanswered(clientSeq: number): void {
    const entry = this.sent(clientSeq);
    if (entry?.standing === "sent") this.hold(entry);
  }

  /** It will never be logged: its number is free, and what stands behind it moves up. */
  remove(entry: Entry): void {
    const index = this.#entries.indexOf(entry);
    if (index < 0) return;
    if (entry.standing !== "unsent") this.#unackedBytes -= estimateBytes(entry.payload);
    this.#entries.splice(index, 1);
    this.#next = Math.min(this.#next, index);
  }

  /** It was not taken this time, and is to be sent again. */
  hold(entry: Entry): void {
    const index = this.#entries.indexOf(entry);
    if (index < 0 || entry.standing === "unsent") return;
    entry.standing = "unsent";
    this.#unackedBytes -= estimateBytes(entry.payload);
    this.#next = Math.min(this.#next, index);
  }

  /** Whether the relay should have been expecting this entry, under this number. */
  isDue(entry: Entry): boolean {
    return this.#entries[0] === entry && entry.clientSeq === this.#acked + 1;
  }

  get waiting(): boolean {
    return this.#waiting;
  }

  /** Sends nothing until `proceed`. */
  wait(): void {
    this.#waiting = true;
  }

  proceed(): void {
    this.#waiting = false;
  }

  /** A new stream that goes on: what the log has will be acked by what follows, the rest is sent again. */
  resume(lastClientSeq: number): void {
    this.#waiting = false;
    this.#next = 0;
    this.#unackedBytes = 0;
    for (const entry of this.#entries) {
      const logged = entry.clientSeq > 0 && entry.clientSeq <= lastClientSeq;
      entry.standing = logged ? "durable" : "unsent";
      entry.strikes = 0;
      if (logged) this.#unackedBytes += estimateBytes(entry.payload);
    }
  }

  /** What it holds belongs to no client id any more: numbers begin anew. */
  forget(): void {
    for (const entry of this.#entries) entry.clientSeq = 0;
    this.restart(0);
  }

  /** Starts over from a snapshot: takes out and returns what is in it; the rest has no number any more. */
  restart(lastClientSeq: number): readonly Entry[] {
    const isLogged = ({ clientSeq }: Entry) => clientSeq > 0 && clientSeq <= lastClientSeq;
    const logged = this.#entries.filter(isLogged);
    const rest = this.#entries.filter((entry) => !isLogged(entry));
    this.#entries.splice(0, this.#entries.length, ...rest);
    for (const entry of rest) {
      entry.clientSeq = 0;
      entry.standing = "unsent";
      entry.strikes = 0;
    }
    this.#acked = lastClientSeq;
    this.#next = 0;
    this.#unackedBytes = 0;
    this.#waiting = false;
    return logged;
  }
}

/** What it takes on the wire at most; it need not be exact, only never too little. */
function estimateBytes(payload: LoggedPayload): number {
  const overheadBytes = 256;
  const bytesPerUnit = 3;
  switch (payload.case) {
    case "edit": {
      const { filePath, content, changes } = payload.value;
      const units = changes.reduce((sum, { insert }) => sum + insert.length, filePath.length + content.length);
      return overheadBytes + bytesPerUnit * units + 24 * changes.length;
    }
    case "comment": {
      const { commentId, text, filePath, parentId } = payload.value;
      return overheadBytes + bytesPerUnit * (commentId.length + text.length + filePath.length + parentId.length);
    }
    case "custom":
      return overheadBytes + bytesPerUnit * payload.value.type.length + payload.value.data.length;
    default:
      return assertNever(payload);
  }
}
