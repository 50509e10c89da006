import { type SessionMessage, TokenStatus_State as TokenState } from "../gen/codereview/v1/codereview_pb.ts";
import type { NextStep } from "../session/client/effects.ts";
import { assertNever } from "../session/reasons.ts";
import { backoffMs } from "./backoff.ts";
import type { Carriage, CarriageEnd, CarriageListener, OpenCarriage } from "./carriage.ts";
import type { Machine, MachineEffect } from "./machine.ts";

/**
 * What a token is wanted for: a new stream; one that lives, before its token ends; a new stream after the relay refused
 * the last token.
 */
export type TokenNeed = "join" | "renew" | "refused";

/**
 * A token that is good now. Undefined: there is none but the one that is known already; a stream then lives until that
 * one ends, and a connection whose token was refused stops. A rejection is tried again later.
 */
export type TokenSource = (need: TokenNeed) => Promise<string | undefined>;

/** What lies behind an attempt that has to wait, or behind a stop. */
export interface Interruption {
  /** How the last stream ended; empty: it was cut here, or no token could be had. */
  readonly end: CarriageEnd;
  /** Whether any stream of this connection has ever said Welcome. */
  readonly everJoined: boolean;
}

export interface ConnectionOptions<M extends Machine<Event>, Event> {
  readonly machine: M;
  readonly carriage: Carriage;
  readonly token: TokenSource;
  /** The records from a seq on, for a client that was superseded and has to know what of its work arrived. */
  readonly readTail: (fromSeq: number, token: string) => Promise<readonly SessionMessage[]>;
  readonly newClientId: () => string;
  /** `cause`: the message that came and made it so; undefined: something done here did. */
  readonly onEvent: (event: Event, cause: SessionMessage | undefined) => void;
  /** Told before each attempt. False: it is not made, and the connection stops. */
  readonly onReconnect?: (attempt: number, waitMs: number, interruption: Interruption) => boolean;
}

/** Why nothing goes on. */
export type Stop = { readonly kind: "closed" } | ({ readonly kind: "refused" } & Interruption);

/** Without anything from the relay for this long, its stream is taken to be dead: one and a half of its heartbeats. */
const silenceFactor = 1.5;
const assumedHeartbeatMs = 15_000;
/** A stream that lived this long was no failed attempt: the next one is made at once, the count begins anew. */
const steadyMs = 5_000;
/** A token that was refused twice in a row is not a matter of time. */
const maxRefusals = 2;

/** Keeps a machine on a relay: opens streams, resumes them, renews tokens, until it is closed or told to stop. */
export class SessionConnection<M extends Machine<Event>, Event> {
  readonly #options: ConnectionOptions<M, Event>;
  readonly #machine: M;
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  readonly #stopped = Promise.withResolvers<Stop>();
  #stream: OpenCarriage | undefined;
  /** Of the present stream: what comes from an older one is dropped. */
  #generation = 0;
  #attempt = 0;
  #refusals = 0;
  #everJoined = false;
  #welcomedAtMs: number | undefined;
  #lastEnd: CarriageEnd = {};
  #silence: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: ConnectionOptions<M, Event>) {
    this.#options = options;
    this.#machine = options.machine;
  }

  /** Resolves when nothing goes on. */
  get stopped(): Promise<Stop> {
    return this.#stopped.promise;
  }

  open(): void {
    void this.#connect("join");
  }

  /** Something that the application does: `connection.act((machine) => machine.edit(...))`. */
  act(action: (machine: M) => readonly MachineEffect<Event>[]): void {
    this.#run(action(this.#machine), undefined);
  }

  /**
   * Leaves the stream and goes on, at once, on a new one: for an application that knows that the network changed under it
   * (a phone in another cell, a laptop that woke up).
   */
  interrupt(): void {
    this.#attempt = 0;
    this.#cut();
  }

  #cut(): void {
    if (this.#stream === undefined) return;
    this.#drop();
    this.#ended({ code: "unavailable" });
  }

  /** Renews the token under the running stream. False: there is no other one, or no stream. */
  async rotateToken(): Promise<boolean> {
    const generation = this.#generation;
    const token = await this.#options.token("renew");
    if (token === undefined || generation !== this.#generation || this.#stream === undefined) return false;
    this.#stream.rotate(token);
    return true;
  }

  /** Ends the stream once what was sent is answered, or after `withinMs`. */
  close(withinMs: number): void {
    this.#isClosed = true;
    if (this.#stream === undefined) {
      this.#stop({ kind: "closed" });
      return;
    }
    this.#after(withinMs, () => this.#stop({ kind: "closed" }));
    this.#stream.finish();
  }

  async #connect(need: TokenNeed): Promise<void> {
    const generation = ++this.#generation;
    let token: string | undefined;
    try {
      token = await this.#options.token(need);
    } catch {
      if (generation === this.#generation) this.#reconnectLater(0, need);
      return;
    }
    if (this.#isClosed || generation !== this.#generation) return;
    if (token === undefined) {
      this.#stopRefused();
      return;
    }
    this.#lastEnd = {};
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
        this.#note(message);
        this.#run(this.#machine.receive(message, Date.now()), message);
        if (current()) this.#expectSound(generation);
      },
      replied: (message) => {
        if (current()) this.#run(this.#machine.receiveReply(message, Date.now()), message);
      },
      publishEnded: (clientSeqs) => {
        if (current()) this.#run(this.#machine.publishEnded(clientSeqs), undefined);
      },
      ended: (end) => {
        if (!current()) return;
        this.#stream = undefined;
        clearTimeout(this.#silence);
        this.#ended(end);
      },
    };
  }

  #note({ payload }: SessionMessage): void {
    if (payload.case === "welcome") {
      this.#everJoined = true;
      this.#welcomedAtMs ??= Date.now();
      this.#refusals = 0;
    }
    if (payload.case === "tokenStatus" && payload.value.state === TokenState.EXPIRING) {
      // Where there is no new token now, the stream ends when the old one does, and the next one asks again.
      this.rotateToken().catch(() => undefined);
    }
  }

  #ended(end: CarriageEnd): void {
    this.#lastEnd = end;
    if (this.#isClosed) this.#stop({ kind: "closed" });
    else this.#run(this.#machine.ended(end), undefined);
  }

  #run(effects: readonly MachineEffect<Event>[], cause: SessionMessage | undefined): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "send":
          this.#stream?.send(effect.message);
          break;
        case "retry-after":
          this.#after(effect.afterMs, () => this.#run(this.#machine.retry(), undefined));
          break;
        case "next":
          this.#next(effect.step, cause);
          break;
        case "tell":
          this.#options.onEvent(effect.event, cause);
          break;
        default:
          assertNever(effect);
      }
    }
  }

  #next(step: NextStep, cause: SessionMessage | undefined): void {
    this.#drop();
    if (cause?.payload.case === "fault") this.#lastEnd = { fault: cause.payload.value };
    if (this.#isClosed) {
      this.#stop({ kind: "closed" });
      return;
    }
    switch (step.kind) {
      case "reconnect":
        this.#refusals += step.reauthenticate ? 1 : 0;
        if (this.#refusals >= maxRefusals) this.#stopRefused();
        else this.#reconnectLater(step.afterMs, step.reauthenticate ? "refused" : "join");
        return;
      case "renew-client":
        void this.#renew(step.fromSeq);
        return;
      case "stop":
        this.#stopRefused();
        return;
      default:
        assertNever(step);
    }
  }

  async #renew(fromSeq: number): Promise<void> {
    const { token, readTail, newClientId } = this.#options;
    let tail: readonly SessionMessage[] | undefined;
    try {
      const jwt = await token("join");
      if (jwt !== undefined) tail = await readTail(fromSeq, jwt);
    } catch {
      // What cannot be known is told to the application by the machine.
    }
    if (this.#isClosed) return;
    this.#run(this.#machine.renew(newClientId(), tail), undefined);
    this.#reconnectLater(0, "join");
  }

  /** The first attempt after a stream that lived goes at once, or when the relay said. */
  #reconnectLater(askedMs: number, need: TokenNeed): void {
    if (this.#welcomedAtMs !== undefined && Date.now() - this.#welcomedAtMs >= steadyMs) this.#attempt = 0;
    this.#welcomedAtMs = undefined;
    this.#attempt += 1;
    const waitMs = Math.max(askedMs, this.#attempt === 1 ? 0 : backoffMs(this.#attempt - 1, Math.random()));
    if (this.#options.onReconnect?.(this.#attempt, waitMs, this.#interruption) === false) {
      this.#stopRefused();
      return;
    }
    this.#after(waitMs, () => {
      if (!this.#isClosed) void this.#connect(need);
    });
  }

  #expectSound(generation: number): void {
    clearTimeout(this.#silence);
    const beatMs = this.#machine.limits?.heartbeatIntervalMs || assumedHeartbeatMs;
    this.#silence = setTimeout(() => {
      if (generation === this.#generation) this.#cut();
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

  get #interruption(): Interruption {
    return { end: this.#lastEnd, everJoined: this.#everJoined };
  }

  #stopRefused(): void {
    this.#stop({ kind: "refused", ...this.#interruption });
  }

  #stop(stop: Stop): void {
    this.#isClosed = true;
    this.#drop();
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#stopped.resolve(stop);
  }
}
