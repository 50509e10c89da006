import type { Limits } from "../session/limits.ts";
import { BatonError } from "../session/reasons.ts";
import { Rate } from "./rate.ts";

/** How many of its streams at full speed one user may have the worth of. */
const userRateFactor = 4;

/** When a user who found no place may try again. */
const userRetryMs = 10_000;

/** What a user has of one session: streams in it, and a room that stays for a while behind the last of them. */
interface Stay {
  streams: number;
  untilMs: number;
}

/** What one user takes up on this instance, whatever clients, sessions and calls they use. */
class User {
  readonly #limits: Limits;
  /** Over all that they send. */
  readonly #rate: Rate;
  /** Over their calls that belong to no stream. */
  readonly unseenRate: Rate;
  readonly #stays = new Map<string, Stay>();
  #streams = 0;

  constructor(limits: Limits, nowMs: number) {
    const { messagesPerSecond, messagesBurst } = limits;
    this.#limits = limits;
    this.#rate = new Rate(messagesPerSecond * userRateFactor, messagesBurst * userRateFactor, nowMs);
    this.unseenRate = this.streamRate(nowMs);
  }

  /** For one more stream: its own, under that of its user. */
  streamRate(nowMs: number): Rate {
    const { messagesPerSecond, messagesBurst } = this.#limits;
    return new Rate(messagesPerSecond, messagesBurst, nowMs, this.#rate);
  }

  /** Opening a stream counts as a message: it costs more than one. Throws `RATE_LIMITED`. */
  assertRate(nowMs: number, rate: Rate = this.#rate): void {
    const retryAfterMs = rate.take(nowMs);
    if (retryAfterMs > 0) throw new BatonError("RATE_LIMITED", undefined, { retryAfterMs });
  }

  /** Throws `USER_LIMIT` where there may be no further stream. */
  assertStream(): void {
    const { userStreams } = this.#limits;
    if (this.#streams >= userStreams) throw userLimit(`a user may hold ${userStreams} streams`);
  }

  /** From now on the session counts, for as long as its room may stay for them. Throws `USER_LIMIT`. */
  visit(sessionId: string, nowMs: number): void {
    const { userSessions, roomIdleMs } = this.#limits;
    const untilMs = nowMs + roomIdleMs;
    const stay = this.#stays.get(sessionId);
    if (stay !== undefined) {
      stay.untilMs = untilMs;
      return;
    }
    if (this.#stays.size >= userSessions) throw userLimit(`a user may be in ${userSessions} sessions`);
    this.#stays.set(sessionId, { streams: 0, untilMs });
  }

  /** A stream began; one that reads the log alone is in no session. */
  began(sessionId?: string): void {
    this.#streams += 1;
    const stay = sessionId === undefined ? undefined : this.#stays.get(sessionId);
    if (stay !== undefined) stay.streams += 1;
  }

  ended(nowMs: number, sessionId?: string): void {
    this.#streams -= 1;
    const stay = sessionId === undefined ? undefined : this.#stays.get(sessionId);
    if (stay === undefined) return;
    stay.streams -= 1;
    stay.untilMs = nowMs + this.#limits.roomIdleMs;
  }

  /** Forgets the sessions that are over for them. Whether nothing is left to know. */
  sweep(nowMs: number): boolean {
    for (const [sessionId, { streams, untilMs }] of this.#stays) {
      if (streams === 0 && nowMs >= untilMs) this.#stays.delete(sessionId);
    }
    return this.#streams === 0 && this.#stays.size === 0 && this.#rate.isFull(nowMs) && this.unseenRate.isFull(nowMs);
  }
}

export type { User };

/** The users that this instance knows something of. */
export class Users {
  readonly #limits: Limits;
  readonly #users = new Map<string, User>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#users.size;
  }

  of(userId: string, nowMs: number): User {
    const user = this.#users.get(userId) ?? new User(this.#limits, nowMs);
    this.#users.set(userId, user);
    return user;
  }

  /** Forgets those of whom there is nothing to know. */
  sweep(nowMs: number): void {
    for (const [userId, user] of this.#users) if (user.sweep(nowMs)) this.#users.delete(userId);
  }
}

const userLimit = (says: string) => new BatonError("USER_LIMIT", says, { retryAfterMs: userRetryMs });
