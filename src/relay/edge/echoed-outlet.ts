import type { BatonError } from "../../session/reasons.ts";
import { encodeControl } from "../payload.ts";
import type { FrameForm, Outlet } from "../stream.ts";
import { SendCredits, windowBytes } from "./hop-credits.ts";

/** After so many more bytes the client is asked whether it has got them. */
const askEveryBytes = windowBytes / 4;

interface Question {
  readonly sentAt: bigint;
  /** Written since the question before. */
  readonly bytes: number;
}

const nobody = { sessionId: "", userId: "", clientId: "", key: "" };

/**
 * An outlet over a transport that does not tell whether its peer keeps up: the client's own answers tell, since it answers
 * each heartbeat behind all that was written before.
 */
export class EchoedOutlet implements Outlet {
  readonly form: FrameForm;
  tookPieceAtMs = 0;
  readonly #inner: Outlet;
  readonly #now: () => number;
  readonly #credits = new SendCredits();
  #questions: Question[] = [];
  #unasked = 0;
  #lastSentAt = 0n;

  constructor(inner: Outlet, now: () => number) {
    this.#inner = inner;
    this.form = inner.form;
    this.#now = now;
  }

  write(frames: Uint8Array): Promise<void> | undefined {
    const behind = this.#inner.write(frames);
    this.#unasked += frames.length;
    if (this.#unasked >= askEveryBytes) this.#ask();
    return this.#credits.sent(frames.length) ?? behind;
  }

  /** The client has answered the heartbeat that was sent then. */
  echoed(sentAt: bigint): void {
    const answered = this.#questions.filter((question) => question.sentAt <= sentAt);
    if (answered.length === 0) return;
    this.#questions = this.#questions.filter((question) => question.sentAt > sentAt);
    this.tookPieceAtMs = this.#now();
    this.#credits.took(answered.reduce((sum, { bytes }) => sum + bytes, 0));
  }

  end(error?: BatonError): void {
    this.#inner.end(error);
    this.#credits.release();
  }

  #ask(): void {
    const nowMs = this.#now();
    const sentAt = BigInt(nowMs) > this.#lastSentAt ? BigInt(nowMs) : this.#lastSentAt + 1n;
    this.#lastSentAt = sentAt;
    this.#questions.push({ sentAt, bytes: this.#unasked });
    this.#unasked = 0;
    void this.#inner.write(encodeControl(nobody, { case: "heartbeat", value: { sentAt } }, nowMs, this.form));
  }
}
