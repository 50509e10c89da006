import type { InstanceMessage, SessionBus } from "../durable/session-bus.ts";

/** How often an instance says that it is there, and for how long it is believed. */
const sayMs = 10_000;
const believeMs = 25_000;
/** How long the answers of the others are waited for. */
const answerMs = 1_000;

interface Question {
  readonly unanswered: Set<string>;
  count: number;
  readonly answered: () => void;
}

/** The other instances on this bus, as far as they were heard of lately. */
export class Instances {
  readonly #bus: SessionBus;
  readonly #now: () => number;
  readonly #self: string;
  readonly #newId: () => string;
  /** Until when each is believed to be there. */
  readonly #others = new Map<string, number>();
  readonly #questions = new Map<string, Question>();
  #saidAtMs: number;

  constructor({
    bus,
    now,
    newId,
  }: { readonly bus: SessionBus; readonly now: () => number; readonly newId: () => string }) {
    this.#bus = bus;
    this.#now = now;
    this.#newId = newId;
    this.#self = newId();
    this.#saidAtMs = now();
  }

  /** Without this one. */
  get count(): number {
    return this.#others.size;
  }

  begin(): void {
    this.#say("new");
  }

  end(): void {
    this.#say("gone");
    for (const { answered } of this.#questions.values()) answered();
  }

  hear(message: Extract<InstanceMessage, { kind: "instance" | "disconnected" }>): void {
    if (message.kind === "disconnected") {
      this.#answer(message.ask, message.instance, message.streams);
      return;
    }
    const { instance, state } = message;
    if (state === "gone") {
      this.#others.delete(instance);
      for (const ask of this.#questions.keys()) this.#answer(ask, instance, 0);
      return;
    }
    this.#others.set(instance, this.#now() + believeMs);
    if (state === "new") this.#say("there");
  }

  tick(nowMs: number): void {
    for (const [instance, untilMs] of this.#others) {
      if (nowMs >= untilMs || untilMs > nowMs + believeMs) this.#others.delete(instance);
    }
    if (Math.abs(nowMs - this.#saidAtMs) >= sayMs) this.#say("there");
  }

  /** Has the others end streams, and resolves with how many they say they have ended, within a second. */
  async disconnect(meant: {
    readonly sessionId: string;
    readonly userId: string;
    readonly clientId: string;
  }): Promise<number> {
    const ask = this.#newId();
    const { promise, resolve } = Promise.withResolvers<void>();
    const question = { unanswered: new Set(this.#others.keys()), count: 0, answered: resolve };
    this.#questions.set(ask, question);
    this.#bus.announce({ kind: "disconnect", ...meant, ask });
    if (question.unanswered.size > 0) {
      const timer = setTimeout(resolve, answerMs);
      await promise;
      clearTimeout(timer);
    }
    this.#questions.delete(ask);
    return question.count;
  }

  /** So many streams were ended here for the question of another. */
  answer(ask: string, streams: number): void {
    this.#bus.announce({ kind: "disconnected", ask, instance: this.#self, streams });
  }

  #answer(ask: string, instance: string, streams: number): void {
    const question = this.#questions.get(ask);
    // Each counts once, also where the bus says it twice.
    if (question?.unanswered.delete(instance) !== true) return;
    question.count += streams;
    if (question.unanswered.size === 0) question.answered();
  }

  #say(state: "new" | "there" | "gone"): void {
    this.#saidAtMs = this.#now();
    this.#bus.announce({ kind: "instance", instance: this.#self, state });
  }
}
