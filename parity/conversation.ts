import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Carriage, CarriageEnd, OpenCarriage } from "../src/client/carriage.ts";
import { type JoinSchema, type SessionMessage, SessionMessageSchema } from "../src/gen/codereview/v1/codereview_pb.ts";

export type Payload = NonNullable<MessageInitShape<typeof SessionMessageSchema>["payload"]>;

type Values = {
  [P in Exclude<SessionMessage["payload"], { case: undefined }> as P["case"]]: P["value"];
};
type Kind = keyof Values;

export interface Opening {
  readonly session: string;
  readonly token: string;
  readonly join?: MessageInitShape<typeof JoinSchema>;
  /** False: it never tells that it lives. */
  readonly answersHeartbeats?: boolean;
}

/** Longer than anything here takes on a busy machine. */
const patienceMs = 20_000;

const sayOf = (payload: Payload, clientSeq: number, sessionId: string) =>
  create(SessionMessageSchema, { sessionId, clientSeq: BigInt(clientSeq), payload });

/** One stream by whichever way, message by message: what is said is what the test says, and nothing comes back by itself. */
export class Conversation {
  /** All that came on the stream, in order. */
  readonly heard: SessionMessage[] = [];
  /** What a `Publish` was answered with; empty but in split carriage. */
  readonly replies: SessionMessage[] = [];
  readonly ended: Promise<CarriageEnd>;
  #end: CarriageEnd | undefined;
  #published = 0;
  readonly #taken = new Set<SessionMessage>();
  readonly #stream: OpenCarriage;
  readonly #waiting = new Set<() => void>();

  constructor(carriage: Carriage, { session, token, join = {}, answersHeartbeats = true }: Opening) {
    const { promise, resolve } = Promise.withResolvers<CarriageEnd>();
    this.ended = promise;
    this.#stream = carriage({
      join: sayOf({ case: "join", value: { protocol: 1, ...join } }, 0, session),
      token,
      listener: {
        received: (message) => {
          this.heard.push(message);
          if (answersHeartbeats) this.#answer(message);
          this.#wake();
        },
        replied: (message) => {
          this.replies.push(message);
          this.#wake();
        },
        publishEnded: (clientSeqs) => {
          this.#published = Math.max(this.#published, ...clientSeqs);
          this.#wake();
        },
        ended: (end) => {
          this.#end = end;
          resolve(end);
          this.#wake();
        },
      },
    });
  }

  /** `clientSeq` 0: it is not to be logged. */
  say(payload: Payload, clientSeq = 0): void {
    this.#stream.send(sayOf(payload, clientSeq, ""));
  }

  rotate(token: string): void {
    this.#stream.rotate(token);
  }

  /** The last number that a `Publish` carried which is over. */
  get published(): number {
    return this.#published;
  }

  /** Closes the client's half. */
  finish(): void {
    this.#stream.finish();
  }

  /** Cuts the stream off; its end is then not told. */
  cut(): void {
    this.#stream.cut();
  }

  /** The next message of this kind that was not taken yet, on the stream or in a reply. */
  async take<K extends Kind>(kind: K, accept: (value: Values[K], message: SessionMessage) => boolean = () => true) {
    return await this.#until(`a ${kind}`, () => {
      for (const message of this.#all) {
        const { payload } = message;
        if (this.#taken.has(message) || !isKind(payload, kind) || !accept(payload.value, message)) continue;
        this.#taken.add(message);
        return payload.value;
      }
      return undefined;
    });
  }

  /** What became of a logged message: "ack", or the reason of its refusal. */
  async answer(clientSeq: number): Promise<string> {
    return await this.#until(`an answer to ${clientSeq}`, () => {
      for (const message of this.#all) {
        const { payload } = message;
        if (this.#taken.has(message) || (payload.case !== "ack" && payload.case !== "fault")) continue;
        if (payload.value.clientSeq !== BigInt(clientSeq)) continue;
        this.#taken.add(message);
        return payload.case === "ack" ? "ack" : payload.value.reason;
      }
      return undefined;
    });
  }

  /** What was refused so far, on the stream or in a reply. */
  get refused(): number {
    return this.#all.filter(({ payload }) => payload.case === "fault").length;
  }

  /** Whether it was told what became of a logged message. */
  hasAnswer(clientSeq: number): boolean {
    return this.#all.some(
      ({ payload }) =>
        (payload.case === "ack" || payload.case === "fault") && payload.value.clientSeq === BigInt(clientSeq),
    );
  }

  /** All of this kind that came on the stream. */
  all<K extends Kind>(kind: K): Values[K][] {
    return this.heard.flatMap(({ payload }) => (isKind(payload, kind) ? [payload.value] : []));
  }

  /** The seqs of what was logged, in the order in which they were told: whole, or as Acks of what is its own. */
  seqs(): number[] {
    return this.heard.flatMap(({ seq, payload }) => {
      if (payload.case === "ack") return [Number(payload.value.seq)];
      return seq > 0n ? [Number(seq)] : [];
    });
  }

  /** Resolves when this holds of what came. */
  async reach(what: string, holds: () => boolean): Promise<void> {
    await this.#until(what, () => (holds() ? true : undefined));
  }

  /** How it ended; rejects where it does not. */
  async end(): Promise<CarriageEnd> {
    return await this.#until("its end", () => this.#end, true);
  }

  #answer({ payload }: SessionMessage): void {
    if (payload.case !== "heartbeat" || payload.value.echo !== 0n || payload.value.sentAt === 0n) return;
    this.say({ case: "heartbeat", value: { echo: payload.value.sentAt } });
  }

  async #until<T>(what: string, find: () => T | undefined, afterEnd = false): Promise<T> {
    const deadlineMs = Date.now() + patienceMs;
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      if (this.#end !== undefined && !afterEnd)
        throw new Error(`it ended before ${what} came: ${wordsOf(this.#end)}; ${this.#told}`);
      if (Date.now() > deadlineMs) throw new Error(`${what} did not come; ${this.#told}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.#waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, deadlineMs - Date.now() + 1);
        this.#waiting.add(wake);
      });
    }
  }

  get #all(): SessionMessage[] {
    return [...this.heard, ...this.replies];
  }

  get #told(): string {
    const kinds = this.#all.map(({ payload }) => payload.case ?? "nothing");
    return kinds.length === 0 ? "nothing came" : `there came ${kinds.slice(-12).join(", ")}`;
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}

export const wordsOf = ({ code, fault, message }: CarriageEnd): string =>
  code === undefined ? "OK" : `${code} ${fault?.reason ?? "without a Fault"}${message ? ` (${message})` : ""}`;

function isKind<K extends Kind>(
  payload: { case?: string | undefined; value?: unknown },
  kind: K,
): payload is { case: K; value: Values[K] } {
  return payload.case === kind;
}

/** An edit in the range form. */
export function edit(filePath: string, version: number, from: number, to: number, insert: string): Payload {
  return { case: "edit", value: { filePath, version, changes: [{ from, to, insert }] } };
}

/** A logged message of the application's own. */
export function custom(type: string, bytes = 0): Payload {
  return { case: "custom", value: { type, data: new Uint8Array(bytes) } };
}
