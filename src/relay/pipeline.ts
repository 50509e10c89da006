import { getLogger } from "@logtape/logtape";
import type { AppendBatch, AppendOutcome, LogRecord } from "../durable/session-log.ts";
import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import type { Submission } from "../session/admit.ts";
import { assertNever, BatonError } from "../session/reasons.ts";
import { refuse } from "../session/refusal.ts";
import { type Answer, type Batch, Sequencer } from "../session/sequencer.ts";
import { clientKey, type SessionState } from "../session/state.ts";
import { appendPatiently } from "./append-patiently.ts";
import type { RelayContext } from "./context.ts";
import { foldRecord } from "./load.ts";
import { reasonOf } from "./metrics/meters.ts";
import type { Origin } from "./participant.ts";
import { encodeRecord } from "./record-frames.ts";
import { failSpan } from "./traces/traces.ts";

const logger = getLogger(["baton", "pipeline"]);

/** A record that the log has, and its frame. */
export interface PublishedRecord {
  readonly message: SessionMessage;
  readonly frame: Uint8Array;
}

/** Whom a pipeline tells: its room. */
export interface PipelineListener {
  /** Records that are in the log, in its order, before anybody is answered for them. */
  published(records: readonly PublishedRecord[]): void;
  /** The log knows a newer claim of this client. */
  superseded(key: string, generation: number): void;
  /** Nothing goes on here: the log cannot be written, or holds another history. */
  failed(error: BatonError): void;
}

/** When a sender may try again that was told the storage is full. */
const storageRetryMs = 5_000;
const catchUpBytes = 1024 * 1024;

/**
 * Runs a session's messages into its log, a batch at a time, and tells what the log took. One append is in flight at
 * most; what comes meanwhile gathers for the next.
 */
export class Pipeline {
  readonly #context: RelayContext;
  readonly #sequencer: Sequencer<Origin>;
  readonly #listener: PipelineListener;
  #driving = false;
  #deferred = false;
  #ended: BatonError | undefined;
  /** Aborts at the end: nothing is waited for any more. */
  readonly #over = new AbortController();
  #idleWaiters: (() => void)[] = [];
  /** Of those who wait for the batch in flight. */
  #batchWaiters: (() => void)[] = [];
  #inFlight = false;
  /** The operator was told, once, that nothing more can be kept. */
  #toldFull = false;

  constructor(context: RelayContext, state: SessionState, listener: PipelineListener) {
    this.#context = context;
    this.#sequencer = new Sequencer(state, context.limits);
    this.#listener = listener;
  }

  /** As the log has it. */
  get state(): SessionState {
    return this.#sequencer.state;
  }

  /** Nothing that was submitted is unanswered. */
  get idle(): boolean {
    return this.#sequencer.idle && !this.#driving;
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

  /** Resolves when nothing that was submitted is unanswered. */
  async settled(): Promise<void> {
    if (this.idle) return;
    await new Promise<void>((resolve) => this.#idleWaiters.push(resolve));
  }

  /**
   * Resolves when the state has come to `head`, which the log is known to have reached. What is missing is either in the
   * batch that is in flight, or others put it there, and it is read. It does not wait for a busy session to be quiet.
   */
  async catchUp(head: number): Promise<void> {
    while (this.#ended === undefined && this.state.head < head) {
      if (this.#inFlight) {
        await new Promise<void>((resolve) => this.#batchWaiters.push(resolve));
        continue;
      }
      const records = await this.#context.log.read(this.state.sessionId, this.state.head + 1, head, catchUpBytes);
      // A batch of this instance may have gone meanwhile: then it is looked at anew.
      if (this.#inFlight || (records[0] !== undefined && records[0].seq !== this.state.head + 1)) continue;
      if (records.length === 0) throw new BatonError("LOG_UNAVAILABLE");
      this.#follow(records);
    }
  }

  /** Takes nothing more; what is unanswered is refused. What was on its way may be in the log all the same. */
  end(error: BatonError): void {
    if (this.#ended !== undefined) return;
    this.#ended = error;
    this.#over.abort();
    this.#answer(this.#sequencer.abandon(refuse(error.reason, error.message)));
    this.#release();
  }

  /** The next batch goes when this turn of the event loop is over: what was read in it goes together. */
  #wake(): void {
    if (this.#driving || this.#deferred) return;
    this.#deferred = true;
    this.#context.defer(() => {
      this.#deferred = false;
      if (!this.#driving) void this.#drive();
    });
  }

  /** Batches into the log, one after the other, until nothing has gathered. Never rejects. */
  async #drive(): Promise<void> {
    this.#driving = true;
    try {
      while (this.#ended === undefined) {
        const { batch, answers } = this.#sequencer.next(this.#context.now());
        this.#answer(answers);
        if (batch === undefined) break;
        this.#inFlight = true;
        await this.#append(batch);
        this.#inFlight = false;
        this.#batchWaiters = release(this.#batchWaiters);
      }
    } catch (error) {
      const known = error instanceof BatonError ? error : this.#foreign(error);
      logger.error("a session stopped", { session: this.state.sessionId, reason: known.reason });
      this.#listener.failed(known);
    } finally {
      this.#driving = false;
      this.#inFlight = false;
      this.#batchWaiters = release(this.#batchWaiters);
      this.#release();
    }
  }

  async #append(batch: Batch<Origin>): Promise<void> {
    const encoded = encodeBatch(batch);
    const { sessionId } = this.state;
    try {
      const outcome = await appendPatiently(
        encoded,
        (attempt) => this.#measure(attempt, batch),
        () => logger.warn("the log does not take a batch; it is tried again", { session: sessionId }),
        this.#over.signal,
      );
      if (this.#ended !== undefined) return;
      switch (outcome.kind) {
        case "appended":
          return this.#commit(encoded.records);
        case "found":
          this.#commit(encoded.records);
          return this.#follow(outcome.after);
        case "conflict":
          this.#answer(this.#sequencer.conflicted());
          return this.#follow(outcome.records);
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

  /** Appends, and counts what became of it. */
  async #measure(encoded: AppendBatch, { records }: Batch<Origin>): Promise<AppendOutcome> {
    const { log, meters, traces } = this.#context;
    const { sessionId } = this.state;
    const bytes = encoded.records.reduce((sum, { frame }) => sum + frame.length, 0);
    const span = traces?.startAppend({ sessionId, records: records.length, bytes }, records);
    const startMs = performance.now();
    try {
      const outcome = await log.append(sessionId, encoded);
      meters.appends.add(outcome.kind);
      span?.setAttribute("baton.outcome", outcome.kind);
      if (outcome.kind === "appended") {
        meters.batchRecords.observe(records.length);
        meters.batchBytes.observe(bytes);
      }
      return outcome;
    } catch (error) {
      meters.appends.add(reasonOf(error) === "LOG_FULL" ? "full" : "failed");
      failSpan(span, error);
      throw error;
    } finally {
      meters.appendSeconds.observe((performance.now() - startMs) / 1000);
      span?.end();
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
    this.#listener.published(published);
    this.#answer(answers);
  }

  /** Records that others put into the log. */
  #follow(records: readonly LogRecord[]): void {
    const published = records.map((record) => {
      const message = foldRecord(this.state, record, this.#context.limits.fileHistory);
      return { message, frame: record.frame };
    });
    this.#listener.published(published);
  }

  #answer(answers: readonly Answer<Origin>[]): void {
    for (const { origin, clientSeq, result } of answers) origin.answered(clientSeq, result);
  }

  #release(): void {
    if (this.idle) this.#idleWaiters = release(this.#idleWaiters);
  }

  #foreign(cause: unknown): BatonError {
    const { sessionId } = this.state;
    logger.error("a room failed", { session: sessionId, error: cause instanceof Error ? cause.name : "unknown" });
    return new BatonError("INTERNAL", undefined, { cause });
  }
}

/** Lets all go who wait, and returns the empty list of those who wait now. */
function release(waiters: readonly (() => void)[]): (() => void)[] {
  for (const resolve of waiters) resolve();
  return [];
}

function encodeBatch({ epoch, expectedHead, records, writers }: Batch<Origin>): AppendBatch {
  const lastOf = new Map(
    records.map(({ message, logged }) => [clientKey(message.userId, message.clientId), logged.clientSeq]),
  );
  return {
    epoch,
    expectedHead,
    records: records.map(({ message, logged }) => ({
      seq: logged.seq,
      frame: encodeRecord(message),
      payloadHash: logged.payloadHash,
    })),
    writers: [...writers].map(([key, { userId, clientId, generation }]) => ({
      userId,
      clientId,
      generation,
      lastClientSeq: lastOf.get(key) ?? 0,
    })),
  };
}
