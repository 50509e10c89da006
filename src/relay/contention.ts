import type { ClientKey } from "../durable/session-log.ts";

/** Without a word of others for so many of its own round trips, an instance has the session for itself. */
const rivalMemory = 16;
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

/**
 * When an instance may append next, where others write to the same session. Of appends that race for one place the
 * first wins, and costs the others a round trip and the work of admitting their batches anew. So whoever has just won
 * lets the others go first, for about a round trip, while its next batch gathers; and whoever loses again and again, as
 * one that is farther from the store than the others would for ever, asks them to wait.
 */
export class Contention {
  readonly #random: () => number;
  /** Of an append: rather a short one than a mean one. */
  #roundTripMs = 0;
  #rivalAtMs = Number.NEGATIVE_INFINITY;
  #courtesyUntilMs = 0;
  #held: { readonly client: ClientKey; readonly untilMs: number; readonly waitedSinceMs: number } | undefined;
  /** Appends in a row that others were faster than, and since when. */
  #losses = 0;
  #lostSinceMs = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /** Records of others came. */
  met(nowMs: number, writers: Iterable<ClientKey>): void {
    this.#rivalAtMs = nowMs;
    for (const { userId, clientId } of writers) {
      const client = this.#held?.client;
      if (client?.userId === userId && client.clientId === clientId) this.#held = undefined;
    }
  }

  /** An append took so long, and its batch is in. */
  won(nowMs: number, tookMs: number): void {
    this.#measure(tookMs);
    this.#losses = 0;
    const isAlone = nowMs - this.#rivalAtMs > rivalMemory * this.#roundTripMs;
    const pauseMs = isAlone ? 0 : this.#roundTripMs * (1 + this.#random());
    this.#courtesyUntilMs = nowMs + Math.min(pauseMs, longestPauseMs);
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
    this.#rivalAtMs = nowMs;
    const waitedSinceMs = nowMs - waitedMs;
    if (this.#losses > 0 && this.#lostSinceMs <= waitedSinceMs) return;
    if (this.#held !== undefined && this.#held.untilMs > nowMs && this.#held.waitedSinceMs < waitedSinceMs) return;
    this.#held = { client, waitedSinceMs, untilMs: nowMs + Math.min(holdMs, longestPauseMs) };
  }

  /** For how long it should not append. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#courtesyUntilMs - nowMs, (this.#held?.untilMs ?? 0) - nowMs);
  }

  #measure(tookMs: number): void {
    const known = this.#roundTripMs;
    // What a busy process adds to a round trip is no distance, and who pauses for it adds more.
    const weight = tookMs < known ? 0.5 : 0.05;
    this.#roundTripMs = known === 0 ? tookMs : known + weight * (tookMs - known);
  }
}
