import { getLogger } from "@logtape/logtape";
import type { AppendBatch, LogRecord } from "../durable/session-log.ts";
import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { Submission } from "../session/admit.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import { refuse } from "../session/refusal.ts";
import { type Answer, type Batch, Sequencer } from "../session/sequencer.ts";
import { clientKey, type SessionState } from "../session/state.ts";
import { encodeBatch, measureAppend } from "./append-batch.ts";
import { appendPatiently } from "./append-patiently.ts";
import { Contention, type Plea } from "./contention.ts";
import type { RelayContext } from "./context.ts";
import { foldRecord } from "./load.ts";
import { LogLag } from "./log-lag.ts";
import type { Origin } from "./participant.ts";
import { pause } from "./pause.ts";
import { type ReadOn, readOn } from "./read-on.ts";
import { TurnRest } from "./turn-rest.ts";

const logger = getLogger(["baton", "pipeline"]);

/** A record that the log has, and its frame. */
export interface PublishedRecord {
  readonly message: SessionMessage;
  readonly frame: Uint8Array;
}

/** Whom a pipeline tells: its room. */
export interface PipelineListener {
  /** Records that are in the log, in its order, before anybody is answered for them; `isOwn`: by a batch of this instance. */
  published(records: readonly PublishedRecord[], isOwn: boolean): void;
  /** The log knows a newer claim of this client. */
  superseded(key: string, generation: number): void;
  /** At which other instance this client is, as far as it is known; empty: it is not. */
  instanceOf(key: string): string;
  /** Others are first again and again: they are asked to let this one go first. */
  contended(plea: Plea): void;
  /** The log has lost records that this state has: another epoch is to begin. */
  tailLost(): Promise<void>;
  /** Nothing goes on here: the log cannot be written, or holds another history. */
  failed(error: BatonError): void;
}

/** When a sender may try again that was told the storage is full. */
const storageRetryMs = 5_000;
/** Between two reads of a copy that is behind. */
const staleRetryMs = 50;

/**
 * Runs a session's messages into its log, a batch at a time, and tells what the log took, from here and from others. One
 * call to the log is in flight at most: an append, or a read of what others wrote. What comes meanwhile gathers for the
 * next. What is known to be missing is read before the next append; what is not known, the append finds out.
 */
export class Pipeline {
  /** Whether the store has, or had, the session under the state's epoch. */
  isKept: boolean;
  readonly #context: RelayContext;
  readonly #sequencer: Sequencer<Origin>;
  readonly #listener: PipelineListener;
  readonly #contention = new Contention();
  readonly #lag: LogLag;
  /** Of the record at the head; undefined: it was folded from a snapshot. */
  #headFrame: Uint8Array | undefined;
  /** When the log was last seen to go on from where the state is, ms since the Unix epoch. */
  #lookedAtMs: number;
  /** Aborts at the end: nothing is waited for any more. */
  readonly #over = new AbortController();
  readonly #rest = new TurnRest(this.#over.signal);
  #driving = false;
  #deferred = false;
  #ended: BatonError | undefined;
  #idleWaiters: (() => void)[] = [];
  /** The operator was told, once, that nothing more can be kept. */
  #toldFull = false;

  constructor(context: RelayContext, state: SessionState, isKept: boolean, listener: PipelineListener) {
    this.#context = context;
    this.isKept = isKept;
    this.#sequencer = new Sequencer(state, context.limits);
    this.#lag = new LogLag(state);
    this.#listener = listener;
    this.#lookedAtMs = context.now();
  }

  /** As the log has it. */
  get state(): SessionState {
    return this.#sequencer.state;
  }

  /** Nothing that was submitted is unanswered. */
  get idle(): boolean {
    return this.#sequencer.idle;
  }

  /** When the log was last seen to go on from where the state is, ms since the Unix epoch. */
  get lookedAtMs(): number {
    return this.#lookedAtMs;
  }

  /** Hands a message in. Its origin is told what became of it, exactly once. */
  submit(origin: Origin, submission: Submission, bytes: number): void {
    if (this.#ended !== undefined) {
      origin.answered(submission.clientSeq, refuse(this.#ended.reason));
      return;
    }
    this.#sequencer.submit({ origin, submission, bytes });
    this.#wake();
  }

  /** Messages under older claims of this client are refused from now on. */
  supersede(key: string, generation: number): void {
    this.#sequencer.supersede(key, generation);
  }

  /** The newest claim of a client that is known here; 0 = none. */
  claimOf(key: string): number {
    return this.#sequencer.claimOf(key);
  }

  /** Forgets the claims that were not heard of for long. */
  forgetClaims(nowMs: number): void {
    this.#sequencer.forgetClaims(nowMs);
  }

  /** Another writer asks to be let go first. */
  asked(plea: Plea): void {
    this.#contention.asked(performance.now(), plea);
  }

  /** Resolves when nothing that was submitted is unanswered. */
  async settled(): Promise<void> {
    if (this.idle) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Somebody may have written to the log; `head`: at least up to there, if it is true. */
  rang(head?: number): void {
    if (this.#ended !== undefined || !this.#lag.rang(head)) return;
    this.#rest.stir();
    this.#wake();
  }

  /**
   * Resolves when the state has come to `head`, which the log is known to have reached. What is missing is either in the
   * batch that is in flight, or others put it there, and it is read. It does not wait for a busy session to be quiet.
   */
  async catchUp(head: number): Promise<void> {
    if (this.#ended !== undefined || this.state.head >= head) return;
    const reached = this.#lag.reach(head);
    this.#rest.stir();
    this.#wake();
    await reached;
  }

  /** Takes nothing more; what is unanswered is refused. What was on its way may be in the log all the same. */
  end(error: BatonError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#over.abort();
    this.#answer(this.#sequencer.abandon(refuse(error.reason, error.message)));
    this.#lag.end();
    this.#release();
  }

  /** The next step is made when this turn of the event loop is over: what was read in it goes together. */
  #wake(): void {
    if (this.#driving || this.#deferred) return;
    this.#deferred = true;
    this.#context.defer(() => {
      this.#deferred = false;
      if (!this.#driving) void this.#drive();
    });
  }

  /** Steps, one after the other, until there is nothing to do. Never rejects. */
  async #drive(): Promise<void> {
    this.#driving = true;
    try {
      while (this.#ended === undefined && (await this.#step())) this.#release();
    } catch (error) {
      const known = error instanceof BatonError ? error : this.#foreign(error);
      logger.error("a session stopped", { session: this.state.sessionId, reason: known.reason });
      this.#listener.failed(known);
    } finally {
      this.#driving = false;
      this.#release();
    }
  }

  /** One call to the log, or one wait; false when there is nothing to do. */
  async #step(): Promise<boolean> {
    const hasGathered = !this.#sequencer.idle;
    // An append is judged by the log itself, and told what a copy that is behind does not have.
    if (this.#lag.isBehind && !(this.#lag.isStale && hasGathered)) return await this.#readOn();
    const waitMs = hasGathered ? this.#contention.waitMs(performance.now()) : 0;
    if (waitMs > 0) {
      await this.#rest.wait(waitMs, this.#contention.nearMs);
      return true;
    }
    const { batch, answers } = this.#sequencer.next(this.#context.now());
    this.#answer(answers);
    if (batch !== undefined) {
      await this.#append(batch);
      return true;
    }
    if (this.#lag.wasRung) return await this.#readOn();
    return !this.#sequencer.idle;
  }

  async #append(batch: Batch<Origin>): Promise<void> {
    const { sessionId } = this.state;
    const encoded = encodeBatch(batch);
    const startMs = performance.now();
    try {
      const outcome = await appendPatiently(
        encoded,
        (attempt) => measureAppend(this.#context, sessionId, attempt, batch),
        () => logger.warn("the log does not take a batch; it is tried again", { session: sessionId }),
        this.#over.signal,
      );
      if (this.#ended !== undefined) return;
      const nowMs = performance.now();
      switch (outcome.kind) {
        case "appended":
          this.#contention.won(nowMs, nowMs - startMs);
          return this.#commit(encoded.records);
        case "found":
          this.#commit(encoded.records);
          return this.#follow(outcome.after);
        case "conflict":
          this.#lost(nowMs, nowMs - startMs, encoded);
          this.#answer(this.#sequencer.conflicted());
          if (outcome.records.length > 0) return this.#follow(outcome.records);
          // What stands there was trimmed, or nothing does: the log has gone back.
          return this.#lag.missed();
        case "superseded":
          for (const { userId, clientId } of outcome.clients) {
            const key = clientKey(userId, clientId);
            const generation = (batch.writers.get(key)?.generation ?? 0) + 1;
            this.#sequencer.supersede(key, generation);
            this.#listener.superseded(key, generation);
          }
          return this.#sequencer.superseded();
        case "epoch":
          return this.#listener.failed(new BatonError("EPOCH_CHANGED"));
        default:
          return assertNever(outcome);
      }
    } catch (error) {
      if (this.#ended !== undefined) return;
      if (!(error instanceof BatonError) || error.reason !== "LOG_FULL") throw error;
      if (!this.#toldFull) logger.error("the storage is full", { session: sessionId, reason: error.reason });
      this.#toldFull = true;
      this.#answer(this.#sequencer.refused(refuse("LOG_FULL", error.message, storageRetryMs)));
    }
  }

  /** Reads what others wrote, if there is anything; true: there may be more to do. */
  async #readOn(): Promise<boolean> {
    this.#lag.reading();
    const found = await this.#look();
    if (this.#ended !== undefined) return false;
    const nowMs = performance.now();
    this.#lookedAtMs = this.#context.now();
    switch (found.kind) {
      case "records":
        this.#follow(found.records);
        if (found.isAll) this.#lag.readAll(nowMs);
        else this.#lag.missed();
        break;
      case "stale":
        this.#lag.stale(nowMs);
        break;
      case "unavailable":
        this.#lag.failed(found.error);
        break;
      case "trimmed":
        throw new BatonError("LOG_UNAVAILABLE", "the log was trimmed beyond where this instance had come");
      case "epoch":
        this.#listener.failed(new BatonError("EPOCH_CHANGED"));
        return false;
      case "tail-lost":
        await this.#listener.tailLost();
        return false;
      default:
        assertNever(found);
    }
    if (this.#lag.isStale && this.#sequencer.idle) await pause(staleRetryMs, this.#over.signal);
    return true;
  }

  async #look(): Promise<ReadOn | { readonly kind: "unavailable"; readonly error: BatonError }> {
    const { log } = this.#context;
    const { sessionId, epoch, head } = this.state;
    try {
      if (!this.isKept) {
        const kept = await log.describe(sessionId);
        if (kept === undefined) return { kind: "records", records: [], isAll: true };
        if (kept.epoch !== epoch) return { kind: "epoch" };
        this.isKept = true;
      }
      return await readOn(log, { sessionId, epoch, head, headFrame: this.#headFrame });
    } catch (error) {
      if (error instanceof BatonError && error.reason === "LOG_UNAVAILABLE") return { kind: "unavailable", error };
      throw error;
    }
  }

  /** The log took the batch: everybody reads on, then come the answers that stand on it. */
  #commit(frames: readonly LogRecord[]): void {
    if (this.#toldFull) logger.info("the storage takes records again", { session: this.state.sessionId });
    this.#toldFull = false;
    const { records, answers } = this.#sequencer.appended();
    const published = records.map(({ message }, index) => {
      const frame = frames[index]?.frame;
      if (frame === undefined) throw new Error("a batch and its frames differ");
      return { message, frame };
    });
    for (const { origin, logged } of records) origin.logged(logged);
    this.#publish(published, true);
    this.#answer(answers);
  }

  /** Records that others put into the log. */
  #follow(records: readonly LogRecord[]): void {
    if (records.length === 0) return;
    const published = records.map((record) => {
      const message = foldRecord(this.state, record, this.#context.limits.fileHistory);
      return { message, frame: record.frame };
    });
    this.#contention.met(
      performance.now(),
      published.map(({ message: { userId, clientId } }) => ({
        userId,
        clientId,
        instance: this.#listener.instanceOf(clientKey(userId, clientId)),
      })),
    );
    this.#publish(published, false);
  }

  #lost(nowMs: number, tookMs: number, { writers: [client] }: AppendBatch): void {
    const plea = client && this.#contention.lost(nowMs, tookMs, client);
    if (plea !== undefined) this.#listener.contended(plea);
  }

  #publish(records: readonly PublishedRecord[], isOwn: boolean): void {
    this.#headFrame = records.at(-1)?.frame;
    this.#lag.moved();
    this.#listener.published(records, isOwn);
  }

  #answer(answers: readonly Answer<Origin>[]): void {
    for (const { origin, clientSeq, result } of answers) origin.answered(clientSeq, result);
  }

  #release(): void {
    if (!this.idle) return;
    const waiters = this.#idleWaiters;
    this.#idleWaiters = [];
    for (const resolve of waiters) resolve();
  }

  #foreign(cause: unknown): BatonError {
    const { sessionId } = this.state;
    logger.error("a room failed", { session: sessionId, error: cause instanceof Error ? cause.name : "unknown" });
    return new BatonError("INTERNAL", undefined, { cause });
  }
}
