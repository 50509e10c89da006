import type { Participant } from "./participant.ts";

/** Those whose streams are in a room: each stream, and of each client the newest. */
export class Participants {
  readonly #byStream = new Map<string, Participant>();
  /** An older one of the same client has been superseded, and may still be on its way out. */
  readonly #byClient = new Map<string, Participant>();
  /** Before that no token of anybody here ends. */
  #earliestEndMs = Number.POSITIVE_INFINITY;

  get size(): number {
    return this.#byStream.size;
  }

  values(): IterableIterator<Participant> {
    return this.#byStream.values();
  }

  has(streamId: string): boolean {
    return this.#byStream.has(streamId);
  }

  ofClient(key: string): Participant | undefined {
    return this.#byClient.get(key);
  }

  /** Of how many this holds. */
  count(holds: (participant: Participant) => boolean): number {
    let count = 0;
    for (const participant of this.#byStream.values()) if (holds(participant)) count += 1;
    return count;
  }

  add(participant: Participant): void {
    this.#byStream.set(participant.streamId, participant);
    this.#byClient.set(participant.key, participant);
    this.expectEnd(participant);
  }

  /** `older`: a newer stream of its client is here, or was. */
  remove(participant: Participant): "newest" | "older" | "absent" {
    if (!this.#byStream.delete(participant.streamId)) return "absent";
    if (this.#byClient.get(participant.key) !== participant) return "older";
    this.#byClient.delete(participant.key);
    return "newest";
  }

  /** The token in force for a participant ends when it says now. */
  expectEnd({ tokenTimes }: Participant): void {
    this.#earliestEndMs = Math.min(this.#earliestEndMs, tokenTimes.endsAtMs);
  }

  /** Those whose tokens are over, to the millisecond. Costs nothing while none can be. */
  over(nowMs: number): readonly Participant[] {
    if (nowMs < this.#earliestEndMs) return [];
    this.#earliestEndMs = Number.POSITIVE_INFINITY;
    const over: Participant[] = [];
    for (const participant of this.#byStream.values()) {
      if (nowMs >= participant.tokenTimes.endsAtMs) over.push(participant);
      else this.expectEnd(participant);
    }
    return over;
  }
}
