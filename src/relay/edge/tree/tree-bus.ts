import type { BusMessage, RosterMessage, SessionBus } from "../../../durable/session-bus.ts";

/** Whose word it is: of all that stands above an object in its tree, or of all below. */
type Side = "above" | "below";

type Receive = (message: BusMessage) => void;

/**
 * The bus of an object that has others above or below it. What comes from above comes in its order and is never lost for
 * good, so the word of the one above holds until it says something else: there is no lease that runs out while all sleep.
 */
export class TreeBus implements SessionBus {
  readonly leaseMs = Number.POSITIVE_INFINITY;
  readonly #said: (message: BusMessage) => void;
  readonly #receivers = new Set<Receive>();
  readonly #readers = { above: 0, below: 0 };
  /** Who writes, as it was told last before anybody listened. */
  #roster: Pick<RosterMessage, "members"> | undefined;
  #number = 0;

  /** `said`: what this object has to say to those below. */
  constructor(said: (message: BusMessage) => void) {
    this.#said = said;
  }

  readersOf(side: Side): number {
    return this.#readers[side];
  }

  publish(_sessionId: string, message: BusMessage): void {
    switch (message.kind) {
      // Who is here is told with the whole, and nobody else writes.
      case "roster-wanted":
      case "contended":
        return;
      default:
        this.#said(message);
    }
  }

  /** Whoever begins to listen hears at once what holds. */
  subscribe(_sessionId: string, receive: Receive): () => void {
    this.#receivers.add(receive);
    if (this.#roster !== undefined) receive(this.#rosterOf("above", { isAll: true, left: [], ...this.#roster }));
    for (const side of ["above", "below"] as const) receive(this.#countOf(side));
    return () => void this.#receivers.delete(receive);
  }

  announce(): void {}

  listen(): () => void {
    return () => undefined;
  }

  /** So many streams only read there. */
  count(side: Side, readers: number): void {
    if (this.#readers[side] === readers) return;
    this.#readers[side] = readers;
    this.#tell(this.#countOf(side));
  }

  /** The one above says it. */
  hear(message: BusMessage): void {
    if (message.kind !== "roster") {
      this.#tell(message);
      return;
    }
    // Kept for who listens later, while nobody does; a room that hears it keeps it itself.
    this.#roster = message.isAll && this.#receivers.size === 0 ? message : undefined;
    this.#tell(this.#rosterOf("above", message));
  }

  #tell(message: BusMessage): void {
    for (const receive of [...this.#receivers]) receive(message);
  }

  #countOf(side: Side): RosterMessage {
    return this.#rosterOf(side, { isAll: false, members: [], left: [] });
  }

  /** Whoever stands above may have been out of memory since, and counts anew: what came last holds. */
  #rosterOf(side: Side, said: Pick<RosterMessage, "isAll" | "members" | "left">): RosterMessage {
    this.#number += 1;
    const { isAll, members, left } = said;
    return { kind: "roster", holder: side, number: this.#number, readers: this.#readers[side], isAll, members, left };
  }
}
