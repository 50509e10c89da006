import type { LogRecord, Ring, SessionLog } from "../../../durable/session-log.ts";
import { BatonError } from "../../../session/reasons.ts";

/**
 * A session's log as a replica of its object has it: the end of it in memory, as it is delivered, and all before it by asking
 * the session's object. Nothing is written through it: whoever may write has their stream at the session's object.
 */
export class ReplicaLog implements SessionLog {
  readonly #log: SessionLog;
  readonly #maxBytes: number;
  readonly #rings = new Set<Ring>();
  #epoch = "";
  /** The newest, without a gap. */
  #records: LogRecord[] = [];
  #bytes = 0;
  /** The log has come so far. */
  #head = 0;

  /** `log`: the session's, at its object; `maxBytes`: of frames that are held. */
  constructor(log: SessionLog, maxBytes: number) {
    this.#log = log;
    this.#maxBytes = maxBytes;
  }

  /** The log has come to `head`, in this epoch; `records`: the last of it, as far as they are told. */
  learn(epoch: string, head: number, records: readonly LogRecord[]): void {
    this.#begin(epoch);
    this.#head = Math.max(this.#head, head);
    this.#hold(records);
    for (const ring of [...this.#rings]) ring(head);
  }

  async describe(sessionId: string) {
    const kept = await this.#log.describe(sessionId);
    this.#begin(kept?.epoch ?? "");
    this.#head = Math.max(this.#head, kept?.head ?? 0);
    return kept;
  }

  async read(sessionId: string, from: number, to: number, maxBytes: number, epoch?: string) {
    const held = epoch === undefined || epoch === this.#epoch ? this.#find(from, to, maxBytes) : undefined;
    if (held !== undefined) return held;
    const readIn = this.#epoch;
    const records = await this.#log.read(sessionId, from, to, maxBytes, epoch);
    if (readIn === this.#epoch) this.#hold(records);
    return records;
  }

  latestSnapshot(sessionId: string, atMost?: number) {
    return this.#log.latestSnapshot(sessionId, atMost);
  }

  watch(_sessionId: string, ring: Ring): () => void {
    this.#rings.add(ring);
    return () => void this.#rings.delete(ring);
  }

  /** A client that may write from now on has to come to the session's object. */
  async claim(): Promise<never> {
    throw new BatonError("DRAIN", "whoever may write goes on at the session itself");
  }

  append(): Promise<never> {
    return this.claim();
  }

  /** Those that the session's object writes are enough, and what it keeps is its affair. */
  async putSnapshot(): Promise<void> {}
  async dropSnapshot(): Promise<void> {}
  async trim(): Promise<void> {}

  async delete(): Promise<string> {
    return "";
  }

  renewEpoch(sessionId: string, expectedEpoch: string, newEpoch: string) {
    return this.#log.renewEpoch(sessionId, expectedEpoch, newEpoch);
  }

  list(prefix: string, after: string, limit: number) {
    return this.#log.list(prefix, after, limit);
  }

  secret(name: string, proposed: Uint8Array) {
    return this.#log.secret(name, proposed);
  }

  revoke(...[revocation]: Parameters<SessionLog["revoke"]>) {
    return this.#log.revoke(revocation);
  }

  revocations(after: number, limit: number) {
    return this.#log.revocations(after, limit);
  }

  async close(): Promise<void> {
    this.#rings.clear();
  }

  #begin(epoch: string): void {
    if (epoch === this.#epoch) return;
    this.#epoch = epoch;
    this.#head = 0;
    this.#records = [];
    this.#bytes = 0;
  }

  /** Undefined: it is not all here. */
  #find(from: number, to: number, maxBytes: number): readonly LogRecord[] | undefined {
    const first = this.#records[0]?.seq;
    const last = this.#records.at(-1)?.seq;
    if (first === undefined || last === undefined || from < first || from > last) return undefined;
    if (last < Math.min(to, this.#head)) return undefined;
    const found: LogRecord[] = [];
    let bytes = 0;
    for (const record of this.#records.slice(from - first, to - first + 1)) {
      bytes += record.frame.length;
      if (found.length > 0 && bytes > maxBytes) break;
      found.push(record);
    }
    return found;
  }

  /** Takes on what goes on from what is held, or is all newer. */
  #hold(records: readonly LogRecord[]): void {
    const last = this.#records.at(-1)?.seq ?? 0;
    const newer = records.filter(({ seq }) => seq > last);
    const [next] = newer;
    if (next === undefined) return;
    if (next.seq > last + 1) {
      this.#records = [];
      this.#bytes = 0;
    }
    this.#records.push(...newer);
    for (const { seq, frame } of newer) {
      this.#head = Math.max(this.#head, seq);
      this.#bytes += frame.length;
    }
    let dropped = 0;
    for (const { frame } of this.#records) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#bytes -= frame.length;
      dropped += 1;
    }
    if (dropped > 0) this.#records = this.#records.slice(dropped);
  }
}
