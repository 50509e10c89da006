import { getLogger } from "@logtape/logtape";
import { BatonError } from "../session/reasons.ts";
import { encodeSnapshot, forgetClients } from "../session/snapshot.ts";
import type { SessionState } from "../session/state.ts";
import type { RelayContext } from "./context.ts";

const logger = getLogger(["baton", "snapshot"]);

const leastBytesBetween = 1024 * 1024;
const nameOf = (error: unknown): string =>
  error instanceof BatonError ? error.reason : error instanceof Error ? error.name : "unknown";

/** Snapshots of a log of full length, besides the newest two. */
const snapshotsKept = 10;

/**
 * Writes a session's snapshots, and trims its log behind them. A snapshot comes after so many records, or after as many
 * bytes as it has itself, so that keeping the log never costs more than twice what is said.
 */
export class SnapshotKeeper {
  readonly #context: RelayContext;
  readonly #state: SessionState;
  #first: number;
  /** Since the newest snapshot. */
  #records: number;
  #bytes = 0;
  #lastSnapshotBytes = 0;
  #writing = false;
  /** Of the newest one that is written or being written, on whichever instance. */
  #newestSeq = 0;

  /**
   * `first`: the first record that the log keeps; `snapshotSeq`: that of the newest snapshot, 0 = there is none. What came
   * behind that one counts, however often the room was opened since.
   */
  constructor(context: RelayContext, state: SessionState, first: number, snapshotSeq: number) {
    this.#records = state.head - snapshotSeq;
    this.#context = context;
    this.#state = state;
    this.#first = first;
  }

  get first(): number {
    return this.#first;
  }

  /** The log begins here now. */
  learnFirst(first: number): void {
    this.#first = Math.max(this.#first, first);
  }

  /** Another instance writes a snapshot at this seq, or has written it. */
  heard(seq: number, first: number): void {
    this.learnFirst(first);
    if (seq <= this.#newestSeq) return;
    this.#newestSeq = seq;
    this.#records = Math.max(0, this.#state.head - seq);
    this.#bytes = 0;
  }

  /**
   * These records are in the log, and in the state. An instance writes a snapshot behind a batch of its own: so of several
   * that follow one log, not each does.
   */
  appended(records: readonly { readonly frame: Uint8Array }[], isOwn: boolean): void {
    this.#records += records.length;
    for (const { frame } of records) this.#bytes += frame.length;
    const { snapshotRecords } = this.#context.limits;
    const due = this.#records >= snapshotRecords || this.#bytes >= Math.max(leastBytesBetween, this.#lastSnapshotBytes);
    if (due && isOwn && !this.#writing) void this.#write();
  }

  /** Never rejects: a snapshot that could not be written is written after the next records. */
  async #write(): Promise<void> {
    const { log, limits, now } = this.#context;
    const { sessionId, epoch, head: seq } = this.#state;
    this.#writing = true;
    this.#records = 0;
    this.#bytes = 0;
    this.#newestSeq = seq;
    this.#tell(seq);
    try {
      const nowMs = now();
      forgetClients(this.#state, nowMs, limits);
      const bytes = encodeSnapshot(this.#state, nowMs, limits);
      this.#lastSnapshotBytes = bytes.length;
      await log.putSnapshot(sessionId, epoch, { seq, bytes });
      await this.#thin(seq);
      await this.#trim(seq);
      this.#tell(seq);
    } catch (error) {
      logger.warn("a snapshot was not written", { session: sessionId, seq, error: nameOf(error) });
    } finally {
      this.#writing = false;
    }
  }

  #tell(seq: number): void {
    const { sessionId, epoch } = this.#state;
    this.#context.bus.publish(sessionId, { kind: "snapshot", epoch, seq, first: this.#first });
  }

  /**
   * The newest two are kept, and of older ones one for each tenth of what the log keeps: enough to fold any state from,
   * and to trim at.
   */
  async #thin(newestSnapshot: number): Promise<void> {
    const { log, limits } = this.#context;
    const { sessionId, epoch } = this.#state;
    const before = await log.latestSnapshot(sessionId, newestSnapshot - 1);
    if (before === undefined) return;
    const older = await log.latestSnapshot(sessionId, before.seq - 1);
    const spacing = Math.max(limits.snapshotRecords, Math.floor(limits.logRecords / snapshotsKept));
    if (older === undefined || Math.floor(older.seq / spacing) !== Math.floor(before.seq / spacing)) return;
    await log.dropSnapshot(sessionId, epoch, older.seq);
  }

  /** Up to the newest snapshot that leaves as many records as are to be kept, and one more snapshot after it. */
  async #trim(newestSnapshot: number): Promise<void> {
    const { log, limits } = this.#context;
    const { sessionId, epoch, head } = this.#state;
    const before = await log.latestSnapshot(sessionId, newestSnapshot - 1);
    if (before === undefined) return;
    const kept = await log.describe(sessionId);
    if (kept?.epoch !== epoch) return;
    const records = kept.head - kept.first + 1;
    const tooMany = records > limits.logRecords;
    const tooLarge = kept.bytes > limits.logBytes;
    if (!tooMany && !tooLarge) return;
    const keep = tooLarge ? Math.floor(records * (limits.logBytes / kept.bytes) * 0.9) : limits.logRecords;
    const through = await log.latestSnapshot(sessionId, Math.min(before.seq, head - keep));
    if (through === undefined || through.seq < this.#first) return;
    await log.trim(sessionId, epoch, through.seq);
    // Where another instance had dropped that snapshot meanwhile, nothing was trimmed.
    const left = await log.describe(sessionId);
    if (left?.epoch === epoch) this.learnFirst(left.first);
  }
}
