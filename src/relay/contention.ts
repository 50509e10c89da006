import type { ClientKey } from "../durable/session-log.ts";

/** An instance of which no record came for so many of one's own round trips has nothing to say. */
const rivalMemory = 16;
/** How near a turn is that is next, in round trips. */
const nearRoundTrips = 1.5;
/** The longest pause between two appends, for whatever reason. */
const longestPauseMs = 250;
/** Losses in a row after which the others are asked to hold back, again and again, and for how many round trips. */
const lossesBorne = 2;
const heldRoundTrips = 3;

/** What a writer that loses again and again asks of the others. */
export interface Plea {
  /** Of one whose message waits there: once it is in the log, the plea is answered. */
  readonly client: ClientKey;
  /** For how long they should hold back. */
  readonly holdMs: number;
  /** For how long it has been losing: whoever has lost for longer need not listen. */
  readonly waitedMs: number;
}

/** Who wrote a record of another instance. */
export interface Rival extends ClientKey {
  /** At which instance it is; empty: not known. */
  readonly instance: string;
}

/**
 * When an instance may append next, where others write to the same session. Of appends that race for one place the
 * first wins, and costs the others a round trip and the work of admitting their batches anew. So they go in turn: whoever
 * has been in least lately goes at once, and each other waits a round trip for each that goes before it, while its next batch
 * gathers. All of them read the turns from the log, and nobody keeps them. Who is before one and has nothing to say costs a wait.
 * And whoever loses again and again, as one that is farther from the store than the others would for ever, asks them to
 * wait.
 */
export class Contention {
  /** Of an append: rather a short one than a mean one. */
  #roundTripMs = 0;
  /** The log has moved so often, as far as it was seen, and last then. */
  #moves = 0;
  #movedAtMs = Number.NEGATIVE_INFINITY;
  /** The move by which this instance was in last; 0 = never. */
  #ownMove = 0;
  /** The last move of each instance that others write at. */
  readonly #rivals = new Map<string, { readonly move: number; readonly atMs: number }>();
  #held: { readonly client: ClientKey; readonly untilMs: number; readonly waitedSinceMs: number } | undefined;
  /** Appends in a row that others were faster than, and since when. */
  #losses = 0;
  #lostSinceMs = 0;

  /** Records of others came. */
  met(nowMs: number, writers: Iterable<Rival>): void {
    for (const { userId, clientId, instance } of writers) {
      this.#moves += 1;
      this.#rivals.set(instance, { move: this.#moves, atMs: nowMs });
      const client = this.#held?.client;
      if (client?.userId === userId && client.clientId === clientId) this.#held = undefined;
    }
    this.#movedAtMs = nowMs;
  }

  /** An append took so long, and its batch is in. */
  won(nowMs: number, tookMs: number): void {
    this.#measure(tookMs);
    this.#losses = 0;
    this.#moves += 1;
    this.#ownMove = this.#moves;
    this.#movedAtMs = nowMs;
  }

  /** An append took so long, and others were first. What the others are to be asked, if anything. */
  lost(nowMs: number, tookMs: number, client: ClientKey): Plea | undefined {
    this.#measure(tookMs);
    if (this.#losses === 0) this.#lostSinceMs = nowMs - tookMs;
    this.#losses += 1;
    if (this.#losses % lossesBorne !== 0) return undefined;
    const holdMs = Math.min(heldRoundTrips * this.#roundTripMs, longestPauseMs);
    return { client, holdMs, waitedMs: nowMs - this.#lostSinceMs };
  }

  /** Another writer asks to be let go first. */
  asked(nowMs: number, { client, holdMs, waitedMs }: Plea): void {
    const waitedSinceMs = nowMs - waitedMs;
    if (this.#losses > 0 && this.#lostSinceMs <= waitedSinceMs) return;
    if (this.#held !== undefined && this.#held.untilMs > nowMs && this.#held.waitedSinceMs < waitedSinceMs) return;
    this.#held = { client, waitedSinceMs, untilMs: nowMs + Math.min(holdMs, longestPauseMs) };
  }

  /** For how long it should not append. */
  waitMs(nowMs: number): number {
    const turnsMs = this.#countBefore(nowMs) * this.#roundTripMs;
    const dueMs = this.#movedAtMs + Math.min(turnsMs, longestPauseMs);
    return Math.max(0, dueMs - nowMs, (this.#held?.untilMs ?? 0) - nowMs);
  }

  /** At so much of a wait, one at the most goes before this one. */
  get nearMs(): number {
    return nearRoundTrips * this.#roundTripMs;
  }

  /** How many go before this one. */
  #countBefore(nowMs: number): number {
    let count = 0;
    for (const [instance, { move, atMs }] of this.#rivals) {
      if (nowMs - atMs > rivalMemory * this.#roundTripMs) this.#rivals.delete(instance);
      else if (move < this.#ownMove) count += 1;
    }
    return count;
  }

  #measure(tookMs: number): void {
    const known = this.#roundTripMs;
    // What a busy process adds to a round trip is no distance, and who pauses for it adds more.
    const weight = tookMs < known ? 0.5 : 0.05;
    this.#roundTripMs = known === 0 ? tookMs : known + weight * (tookMs - known);
  }
}
