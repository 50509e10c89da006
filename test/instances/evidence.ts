import type { LogRecord, SessionLog } from "../../src/durable/session-log.ts";

interface Seen {
  readonly epoch: string;
  readonly record: LogRecord;
}

/**
 * What one instance has seen of the logs. An engine whose store may lose its tail holds it against the store before each
 * call, and begins a new epoch where it is not there any more: so nothing is built on another history.
 */
export class Evidence {
  readonly #seen = new Map<string, Seen>();

  /** Records that were read or written here, of the session as it is kept now. */
  async saw(log: SessionLog, sessionId: string, records: readonly LogRecord[]): Promise<void> {
    const record = records.at(-1);
    const kept = await log.describe(sessionId);
    if (record === undefined || kept === undefined) return;
    const known = this.#seen.get(sessionId);
    if (known?.epoch === kept.epoch && known.record.seq > record.seq) return;
    this.#seen.set(sessionId, { epoch: kept.epoch, record });
  }

  async holdAgainst(log: SessionLog, sessionId: string): Promise<void> {
    const seen = this.#seen.get(sessionId);
    const kept = await log.describe(sessionId);
    if (seen === undefined || kept?.epoch !== seen.epoch || seen.record.seq < kept.first) return;
    const { seq, frame } = seen.record;
    const [stored] = await log.read(sessionId, seq, seq, 1);
    if (stored === undefined || Buffer.compare(stored.frame, frame) !== 0) {
      await log.renewEpoch(sessionId, seen.epoch, crypto.randomUUID());
    }
  }
}
