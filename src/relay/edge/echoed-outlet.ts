import type { BatonError } from "../../session/reasons.ts";
import { encodeControl } from "../payload.ts";
import type { FrameForm, Outlet } from "../stream.ts";
import { SendCredits, windowBytes } from "./hop-credits.ts";

/** After so many more bytes the client is asked whether it has got them. */
const askEveryBytes = windowBytes / 4;
/** A question is dated up to so far back, so that nobody answers it who has not read it. */
const datedBackMs = 1_000;
/** Heartbeats that the client was sent before this outlet was there, and one more that was late. */
const otherHeartbeats = 2;

interface Question {
  readonly sentAt: bigint;
  /** Written since the question before. */
  readonly bytes: number;
}

const nobody = { sessionId: "", userId: "", clientId: "", key: "" };

/**
 * An outlet over a transport that does not tell whether its peer keeps up: the client's own answers tell, since it answers
 * each heartbeat behind all that was written before. Who guesses has few tries: one for each heartbeat that it was sent.
 */
export class EchoedOutlet implements Outlet {
  readonly form: FrameForm;
  tookPieceAtMs = 0;
  readonly #inner: Outlet;
  readonly #now: () => number;
  readonly #heartbeatMs: number;
  readonly #openedAtMs: number;
  readonly #credits = new SendCredits();
  #questions: Question[] = [];
  #asked = 0;
  #answers = 0;
  #unasked = 0;

  /** `heartbeatMs`: how often its client is sent heartbeats besides. */
  constructor(inner: Outlet, now: () => number, heartbeatMs: number) {
    this.#inner = inner;
    this.form = inner.form;
    this.#now = now;
    this.#heartbeatMs = heartbeatMs;
    this.#openedAtMs = now();
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    const behind = this.#inner.write(frames);
    this.#unasked += frames.length;
    if (this.#unasked >= askEveryBytes) this.#ask();
    return this.#credits.sent(frames.length) ?? behind;
  }

  /** The client has answered the heartbeat that was sent then; 0 = that is no answer. */
  echoed(sentAt: bigint): void {
    if (sentAt === 0n) return;
    this.#answers += 1;
    const at = this.#questions.findIndex((question) => question.sentAt === sentAt);
    if (at === -1 || this.#answers > this.#mostAnswers) return;
    const answered = this.#questions.splice(0, at + 1);
    this.tookPieceAtMs = this.#now();
    this.#credits.took(answered.reduce((sum, { bytes }) => sum + bytes, 0));
  }

  end(error?: BatonError): void {
    this.#inner.end(error);
    this.#credits.release();
  }

  /** Each heartbeat is answered once. */
  get #mostAnswers(): number {
    const openMs = this.#now() - this.#openedAtMs;
    return this.#asked + otherHeartbeats + Math.max(0, Math.floor(openMs / this.#heartbeatMs));
  }

  #ask(): void {
    const nowMs = this.#now();
    const [random = 0] = crypto.getRandomValues(new Uint32Array(1));
    let sentAt = BigInt(nowMs - (random % datedBackMs));
    while (this.#questions.some((question) => question.sentAt === sentAt)) sentAt -= 1n;
    this.#questions.push({ sentAt, bytes: this.#unasked });
    this.#asked += 1;
    this.#unasked = 0;
    void this.#inner.write(encodeControl(nobody, { case: "heartbeat", value: { sentAt } }, nowMs, this.form));
  }
}
