import type { SpanContext } from "@opentelemetry/api";
import type { Principal } from "../auth/principal.ts";
import type { Limits } from "../session/limits.ts";
import type { Refusal } from "../session/refusal.ts";
import type { LoggedMessage } from "../session/state.ts";
import { type TokenTimes, tokenTimes } from "../session/token-clock.ts";
import { faultPayload, type Identity } from "./payload.ts";
import type { Rate } from "./rate.ts";
import type { Reader } from "./reader.ts";
import type { StreamCall } from "./stream.ts";

/** Where an answer goes: the stream, or the `Publish` call, that a message came by. */
export interface Origin {
  /** The span that it came in. */
  readonly trace?: SpanContext | undefined;
  /** The message is in the log. */
  logged(logged: LoggedMessage): void;
  /** It made no record, now. */
  answered(clientSeq: number, answer: Refusal | { readonly kind: "repeated"; readonly logged: LoggedMessage }): void;
}

/** What a client speaks: this contract, or the original one, which has no Join, no Ack and no Heartbeat. */
export type Dialect = "contract" | "original";

/** A live stream in a room. */
export class Participant {
  readonly identity: Identity;
  readonly streamId: string;
  /** How its messages come up: on the stream itself, or by `Publish`. */
  readonly carriage: "bidi" | "split";
  readonly dialect: Dialect;
  readonly protocol: StreamCall<never>["protocol"];
  readonly reader: Reader;
  readonly rate: Rate;
  readonly joinedAtMs: number;
  /** The span of its join, or of whoever called; undefined: neither is known. */
  readonly trace: SpanContext | undefined;
  #principal: Principal;
  #tokenTimes: TokenTimes;
  readonly #skewMs: number;
  /** Whether its token let it only read when it joined: its resume token then names no claim. */
  readonly joinedAsReader: boolean;
  /** The claim under which it writes; 0 = it has none, since its token lets it only read. */
  generation: number;
  #lastHeardMs: number;
  /** `reader.blockedMs` then. */
  #blockedMsThen = 0;
  lastBeatMs: number;
  /** Bytes received on this stream. */
  receivedBytes = 0;
  /** Bytes of its messages that are not answered yet. */
  unackedBytes = 0;
  /** The coming end of its token was told. */
  toldExpiring = false;
  #unanswered = 0;
  #answerWaiters: (() => void)[] = [];
  /** Told of each token that is put in force. */
  renewed: (principal: Principal) => void = () => undefined;
  /** Told of each sign that its client lives. */
  heardOf: () => void = () => undefined;
  /** When a stream that was told to go away is ended. */
  endsAtMs: number | undefined;
  /** The last record that its client said to have applied; undefined: it may still speak of what it had before a resync. */
  #confirmedSeq: number | undefined;

  constructor(options: {
    readonly identity: Identity;
    readonly streamId: string;
    readonly carriage: "bidi" | "split";
    readonly dialect: Dialect;
    readonly protocol: StreamCall<never>["protocol"];
    readonly reader: Reader;
    readonly principal: Principal;
    readonly generation: number;
    readonly joinedAsReader?: boolean;
    /** What it may send. */
    readonly rate: Rate;
    /** It begins with a snapshot in place of what its client asked for. */
    readonly resynced: boolean;
    readonly limits: Limits;
    readonly nowMs: number;
    readonly trace: SpanContext | undefined;
  }) {
    const { limits, nowMs } = options;
    this.#confirmedSeq = options.resynced ? undefined : 0;
    this.identity = options.identity;
    this.streamId = options.streamId;
    this.carriage = options.carriage;
    this.dialect = options.dialect;
    this.protocol = options.protocol;
    this.trace = options.trace;
    this.reader = options.reader;
    this.#skewMs = limits.tokenSkewMs;
    this.#principal = options.principal;
    this.#tokenTimes = tokenTimes(options.principal, nowMs, this.#skewMs);
    this.generation = options.generation;
    this.joinedAsReader = options.joinedAsReader ?? options.generation === 0;
    this.rate = options.rate;
    this.joinedAtMs = nowMs;
    this.#lastHeardMs = nowMs;
    this.lastBeatMs = nowMs;
  }

  /** Whom the token in force names, and what it allows. */
  get principal(): Principal {
    return this.#principal;
  }

  get tokenTimes(): TokenTimes {
    return this.#tokenTimes;
  }

  renew(principal: Principal, nowMs: number): void {
    this.#principal = principal;
    this.#tokenTimes = tokenTimes(principal, nowMs, this.#skewMs);
    this.toldExpiring = false;
    this.renewed(principal);
  }

  /** Its client said something, whatever it was. */
  heard(nowMs: number): void {
    this.#lastHeardMs = nowMs;
    this.#blockedMsThen = this.reader.blockedMs;
    this.heardOf();
  }

  /** Time in which nobody could be heard, and nothing be written, is not held against it. */
  forgive(ms: number): void {
    this.#lastHeardMs += ms;
    this.reader.forgive(ms);
  }

  /**
   * For how long nothing was heard of it. What it took nothing in does not count: a heartbeat that waited behind what it
   * had not read is not held against it.
   */
  silentMs(nowMs: number): number {
    return nowMs - this.#lastHeardMs - (this.reader.blockedMs - this.#blockedMsThen);
  }

  get key(): string {
    return this.identity.key;
  }

  get mayWrite(): boolean {
    return this.generation > 0;
  }

  /**
   * Whether its client, on this stream, can have applied the records up to `seq`; 0 = it does not say. Nothing is freed or
   * skipped on its word: a client that is wrong about what it has is told so before it acts on it.
   */
  confirms(seq: number): boolean {
    if (seq === 0) return true;
    if (seq > this.reader.toldSeq) return this.#confirmedSeq === undefined;
    if (this.#confirmedSeq !== undefined && seq < this.#confirmedSeq) return false;
    this.#confirmedSeq = seq;
    return true;
  }

  /** Resolves when each of its messages has been answered. */
  async answered(): Promise<void> {
    if (this.#unanswered === 0) return;
    await new Promise<void>((resolve) => this.#answerWaiters.push(resolve));
  }

  /** An origin for one message of `bytes`. */
  origin(bytes: number): Origin {
    this.unackedBytes += bytes;
    this.#unanswered += 1;
    const settle = () => {
      this.unackedBytes -= bytes;
      this.#unanswered -= 1;
      if (this.#unanswered > 0) return;
      for (const resolve of this.#answerWaiters.splice(0)) resolve();
    };
    return {
      trace: this.trace,
      logged: settle,
      answered: (clientSeq, answer) => {
        settle();
        if (answer.kind === "repeated") this.reader.repeat(answer.logged);
        else this.reader.tell(faultPayload(answer, clientSeq));
      },
    };
  }
}
