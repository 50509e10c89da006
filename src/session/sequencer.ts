import type { SessionMessage } from "../gen/codereview/v1/codereview_pb.ts";
import { admit, findRepeat, type Submission, type Unplaced } from "./admit.ts";
import type { Limits } from "./limits.ts";
import { type Refusal, refuse } from "./refusal.ts";
import { clientKey, forkState, type LoggedMessage, mergeState, type SessionState } from "./state.ts";

/** A submission and whom to tell what became of it; `origin` is the shell's own. */
export interface Pending<O> {
  readonly origin: O;
  readonly submission: Submission;
  /** Of the message on the wire: bounds a batch. */
  readonly bytes: number;
}

export interface AdmittedRecord<O> {
  readonly origin: O;
  readonly message: SessionMessage;
  readonly logged: LoggedMessage;
}

/** What a sender is told of a message that made no record. */
export interface Answer<O> {
  readonly origin: O;
  readonly clientSeq: number;
  readonly result: Unplaced;
}

/** The batch that is on its way into the log. */
export interface Batch<O> {
  readonly expectedHead: number;
  readonly epoch: string;
  readonly records: readonly AdmittedRecord<O>[];
  readonly writers: ReadonlyMap<string, Submission>;
}

interface InFlight<O> extends Batch<O> {
  readonly fork: SessionState;
  readonly pending: readonly Pending<O>[];
  /** Calls of which a message was refused, should the log take the batch. */
  readonly broken: ReadonlySet<object>;
  /** Told once the records are in: an answer may stand on one of them. */
  readonly answers: readonly Answer<O>[];
}

/** How often a batch that lost its place to others is admitted anew before its senders are told to try again. */
const maxConflicts = 100;
/** Claims that are remembered before the older ones are forgotten early: a hundred times the clients that may write at once. */
const mostClaims = 20_000;
/** Records of one batch. More gain nothing: the cost of a commit is spread thin long before. */
const maxBatchRecords = 512;
/** Bytes of one batch, as its messages came; a record is hardly larger than its message. */
const maxBatchBytes = 1024 * 1024;

/**
 * Puts messages in order, a batch at a time: while one is on its way into the log, the next gathers. The state is what
 * the log has; a batch is admitted on a fork of it, which is merged when the log took the batch, and forgotten when not.
 */
export class Sequencer<O> {
  readonly state: SessionState;
  readonly #limits: Limits;
  #gathered: Pending<O>[] = [];
  #inFlight: InFlight<O> | undefined;
  #conflicts = 0;
  /** The newest claim of each client: what was submitted under an older one is forgotten. */
  #claims = new Map<string, number>();
  /** Those that were noted before `#claimsSinceMs`, and not again since. */
  #olderClaims: ReadonlyMap<string, number> = new Map();
  #claimsSinceMs: number | undefined;

  constructor(state: SessionState, limits: Limits) {
    this.state = state;
    this.#limits = limits;
  }

  /** Nothing gathered, nothing on its way. */
  get idle(): boolean {
    return this.#inFlight === undefined && this.#gathered.length === 0;
  }

  submit(pending: Pending<O>): void {
    const { userId, clientId, generation } = pending.submission;
    this.supersede(clientKey(userId, clientId), generation);
    this.#gathered.push(pending);
  }

  /**
   * Admits what has gathered. The batch, if there is one, is to be appended; its outcome is told by one of the methods
   * below. Answers of messages that stand on no record of the batch may be told at once, and are told here.
   */
  next(nowMs: number): { readonly batch: Batch<O> | undefined; readonly answers: readonly Answer<O>[] } {
    if (this.#inFlight !== undefined || this.#gathered.length === 0) return { batch: undefined, answers: [] };
    const dropped = this.#dropSuperseded();
    const pending = this.#take();
    const fork = forkState(this.state);
    const records: AdmittedRecord<O>[] = [];
    const answers: Answer<O>[] = [];
    const writers = new Map<string, Submission>();
    const broken = new Set<object>();
    for (const { origin, submission } of pending) {
      const { call } = submission;
      const isBehindRefused = call !== undefined && (call.broken || broken.has(call));
      const result = isBehindRefused ? refuse("OUT_OF_ORDER") : admit(fork, submission, nowMs, this.#limits);
      if (call !== undefined && result.kind === "refused") broken.add(call);
      if (result.kind === "admitted") {
        records.push({ origin, message: result.message, logged: result.logged });
        writers.set(clientKey(submission.userId, submission.clientId), submission);
      } else {
        answers.push({ origin, clientSeq: submission.clientSeq, result });
      }
    }
    if (records.length === 0)
      return { batch: undefined, answers: [...dropped, ...this.#told(pending, broken, answers)] };
    const { head: expectedHead, epoch } = this.state;
    this.#inFlight = { expectedHead, epoch, records, writers, fork, pending, broken, answers };
    return { batch: this.#inFlight, answers: dropped };
  }

  /** The log took the batch: the state is as after it. */
  appended(): { readonly records: readonly AdmittedRecord<O>[]; readonly answers: readonly Answer<O>[] } {
    const { fork, records, answers, expectedHead, pending, broken } = this.#settle();
    if (this.state.head !== expectedHead) throw new Error("the state moved while a batch of it was on its way");
    mergeState(this.state, fork);
    this.#conflicts = 0;
    return { records, answers: this.#told(pending, broken, answers) };
  }

  /**
   * Others came first; the shell applies what they wrote to the state, then asks for the next batch: the same messages,
   * admitted anew. Too often in a row, and their senders are told to try again.
   */
  conflicted(): readonly Answer<O>[] {
    this.#conflicts += 1;
    const { pending } = this.#settle();
    if (this.#conflicts > maxConflicts) {
      this.#conflicts = 0;
      return this.#refuseAll(pending, refuse("CONTENTION"));
    }
    this.#gathered.unshift(...pending);
    return [];
  }

  /** The log refused the batch, and none of it was written; what it had before is answered for what it is. */
  refused(refusal: Refusal): readonly Answer<O>[] {
    this.#conflicts = 0;
    return this.#refuseAll(this.#settle().pending, refusal);
  }

  /**
   * What a client submitted under claims before `generation` is refused SUPERSEDED. Of a batch that is on its way the
   * log is the judge.
   */
  supersede(key: string, generation: number): void {
    this.#claims.set(key, Math.max(generation, this.claimOf(key)));
    if (this.#claims.size >= mostClaims) this.#forgetOlder();
  }

  /**
   * Forgets claims that were not heard of for long: at least as long as clients are remembered, at most twice that, and
   * sooner where they are many, as new client ids cost nothing. The log still knows them, so what comes under an older one
   * is refused all the same.
   */
  forgetClaims(nowMs: number): void {
    const sinceMs = Math.min(this.#claimsSinceMs ?? nowMs, nowMs);
    const isDue = nowMs - sinceMs >= this.#limits.clientTtlMs;
    this.#claimsSinceMs = isDue ? nowMs : sinceMs;
    if (isDue) this.#forgetOlder();
  }

  #forgetOlder(): void {
    this.#olderClaims = this.#claims;
    this.#claims = new Map();
  }

  /** The newest claim of a client that is known here; 0 = none. */
  claimOf(key: string): number {
    return this.#claims.get(key) ?? this.#olderClaims.get(key) ?? 0;
  }

  /** The log knows newer claims of some of the batch's clients (told by `supersede`): the others' messages gather again. */
  superseded(): void {
    this.#gathered.unshift(...this.#settle().pending);
  }

  /** The room ends: nothing that is still here will be in the log by its doing. What was on its way may be. */
  abandon(refusal: Refusal): readonly Answer<O>[] {
    const pending = [...(this.#inFlight?.pending ?? []), ...this.#gathered];
    this.#inFlight = undefined;
    this.#gathered = [];
    return this.#refuseAll(pending, refusal);
  }

  /** The answers hold now: so do the refusals that end a call. */
  #told(
    pending: readonly Pending<O>[],
    broken: ReadonlySet<object>,
    answers: readonly Answer<O>[],
  ): readonly Answer<O>[] {
    for (const { submission } of pending) {
      if (submission.call !== undefined && broken.has(submission.call)) submission.call.broken = true;
    }
    return answers;
  }

  #dropSuperseded(): readonly Answer<O>[] {
    const isOld = ({ submission: { userId, clientId, generation } }: Pending<O>) =>
      generation < this.claimOf(clientKey(userId, clientId));
    const dropped = this.#gathered.filter(isOld);
    if (dropped.length === 0) return [];
    this.#gathered = this.#gathered.filter((pending) => !isOld(pending));
    return this.#refuseAll(dropped, refuse("SUPERSEDED"));
  }

  #take(): readonly Pending<O>[] {
    let bytes = 0;
    let count = 0;
    for (const { bytes: more } of this.#gathered) {
      if (count > 0 && (count >= maxBatchRecords || bytes + more > maxBatchBytes)) break;
      bytes += more;
      count += 1;
    }
    return this.#gathered.splice(0, count);
  }

  #settle(): InFlight<O> {
    const settled = this.#inFlight;
    if (settled === undefined) throw new Error("no batch is on its way");
    this.#inFlight = undefined;
    return settled;
  }

  #refuseAll(pending: readonly Pending<O>[], refusal: Refusal): readonly Answer<O>[] {
    return pending.map(({ origin, submission }) => ({
      origin,
      clientSeq: submission.clientSeq,
      result: findRepeat(this.state, submission) ?? refusal,
    }));
  }
}
