import { create } from "@bufbuild/protobuf";
import {
  type SessionMessage,
  SessionMessageSchema,
  TokenStatus_State as TokenState,
  type TokenStatus,
} from "../gen/codereview/v1/codereview_pb.ts";
import type { SessionClient } from "../session/client/client.ts";
import type { ClientEffect, ClientEvent, NextStep } from "../session/client/effects.ts";
import { assertNever } from "../session/reasons.ts";
import { backoffMs } from "./backoff.ts";
import type { Carriage, CarriageListener, OpenCarriage } from "./carriage.ts";

export interface ConnectionOptions {
  readonly machine: SessionClient;
  readonly carriage: Carriage;
  /** A token that is good now: asked for at each stream's start and before the one in force ends. */
  readonly token: () => Promise<string>;
  /** The records after a seq, for a client that was superseded and has to know what of its work arrived. */
  readonly readTail: (fromSeq: number, token: string) => Promise<readonly SessionMessage[]>;
  readonly newClientId: () => string;
  readonly onEvent: (event: ClientEvent) => void;
  /** Told before each attempt that has to wait. */
  readonly onWaiting?: (attempt: number, waitMs: number) => void;
}

/** Without a heartbeat of the relay for this long, its stream is taken to be dead: one and a half of its intervals. */
const silenceFactor = 1.5;
const assumedHeartbeatMs = 15_000;

/** Keeps a client machine on a relay: opens streams, resumes them, renews tokens, until it is closed or told to stop. */
export class SessionConnection {
  readonly #options: ConnectionOptions;
  readonly #machine: SessionClient;
  #stream: OpenCarriage | undefined;
  /** Of the present stream: what comes from an older one is dropped. */
  #generation = 0;
  #attempt = 0;
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #silence: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  readonly #stopped = Promise.withResolvers<NextStep | undefined>();

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#machine = options.machine;
  }

  /** Resolves when nothing goes on: with the step that says why, or undefined when it was closed. */
  get stopped(): Promise<NextStep | undefined> {
    return this.#stopped.promise;
  }

  open(): void {
    void this.#connect();
  }

  /** Something that the application does: `connection.act((machine) => machine.edit(...))`. */
  act(action: (machine: SessionClient) => readonly ClientEffect[]): void {
    this.#run(action(this.#machine));
  }

  /** Cuts the stream as a network does; it is resumed. */
  interrupt(): void {
    if (this.#stream === undefined) return;
    this.#drop();
    this.#run(this.#machine.ended({ code: "unavailable" }));
  }

  /** Renews the token under the running stream. */
  async rotateToken(): Promise<void> {
    const generation = this.#generation;
    const token = await this.#options.token();
    if (generation !== this.#generation || this.#closed) return;
    const payload = { case: "tokenRotation", value: { token } } as const;
    this.#stream?.send(create(SessionMessageSchema, { payload }));
  }

  /** Ends the stream once what was sent is answered. */
  close(): void {
    this.#closed = true;
    const stream = this.#stream;
    if (stream === undefined) this.#stop(undefined);
    else stream.finish();
  }

  async #connect(): Promise<void> {
    const generation = ++this.#generation;
    let token: string;
    try {
      token = await this.#options.token();
    } catch {
      if (generation === this.#generation) this.#reconnectLater(0);
      return;
    }
    if (this.#closed || generation !== this.#generation) return;
    this.#stream = this.#options.carriage({
      join: this.#machine.join(),
      token,
      listener: this.#listener(generation),
    });
    this.#expectSound(generation);
  }

  #listener(generation: number): CarriageListener {
    const current = () => generation === this.#generation;
    return {
      received: (message) => {
        if (!current()) return;
        this.#expectSound(generation);
        this.#run(this.#machine.receive(message, Date.now()));
      },
      replied: (message) => {
        if (current()) this.#run(this.#machine.receiveReply(message, Date.now()));
      },
      publishEnded: (clientSeqs) => {
        if (current()) this.#run(this.#machine.publishEnded(clientSeqs));
      },
      ended: (end) => {
        if (!current()) return;
        this.#stream = undefined;
        clearTimeout(this.#silence);
        if (this.#closed) this.#stop(undefined);
        else this.#run(this.#machine.ended(end));
      },
    };
  }

  #run(effects: readonly ClientEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.#stream?.send(effect.message);
          break;
        case "retry-after":
          this.#after(effect.afterMs, () => this.#run(this.#machine.retry()));
          break;
        case "next":
          this.#next(effect.step);
          break;
        case "tell":
          this.#tell(effect.event);
          break;
        default:
          assertNever(effect);
      }
    }
  }

  #tell(event: ClientEvent): void {
    if (event.kind === "live") this.#attempt = 0;
    if (event.kind === "token-status") this.#heardOfToken(event.status);
    this.#options.onEvent(event);
  }

  #heardOfToken({ state }: TokenStatus): void {
    if (state !== TokenState.EXPIRING) return;
    // Where there is no new token now, the stream ends when the old one does, and the next one asks again.
    this.rotateToken().catch(() => undefined);
  }

  #next(step: NextStep): void {
    this.#drop();
    if (this.#closed) {
      this.#stop(step);
      return;
    }
    switch (step.kind) {
      case "reconnect":
        this.#reconnectLater(step.afterMs);
        return;
      case "renew-client":
        void this.#renew(step.fromSeq);
        return;
      case "stop":
        this.#stop(step);
        return;
      default:
        assertNever(step);
    }
  }

  async #renew(fromSeq: number): Promise<void> {
    const { token, readTail, newClientId } = this.#options;
    let tail: readonly SessionMessage[] | undefined;
    try {
      tail = await readTail(fromSeq, await token());
    } catch {
      tail = undefined;
    }
    this.#run(this.#machine.renew(newClientId(), tail));
    this.#reconnectLater(0);
  }

  /** The first attempt after a stream that lived goes at once, or when the relay said. */
  #reconnectLater(askedMs: number): void {
    this.#attempt += 1;
    const waitMs = Math.max(askedMs, this.#attempt === 1 ? 0 : backoffMs(this.#attempt - 1, Math.random()));
    if (waitMs > 0) this.#options.onWaiting?.(this.#attempt, waitMs);
    this.#after(waitMs, () => {
      if (!this.#closed) void this.#connect();
    });
  }

  #expectSound(generation: number): void {
    clearTimeout(this.#silence);
    const beatMs = this.#machine.limits?.heartbeatIntervalMs || assumedHeartbeatMs;
    this.#silence = setTimeout(() => {
      if (generation === this.#generation) this.interrupt();
    }, beatMs * silenceFactor);
  }

  #drop(): void {
    this.#generation += 1;
    this.#stream?.cut();
    this.#stream = undefined;
    clearTimeout(this.#silence);
  }

  #after(waitMs: number, run: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      run();
    }, waitMs);
    this.#timers.add(timer);
  }

  #stop(step: NextStep | undefined): void {
    this.#drop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#stopped.resolve(step);
  }
}
