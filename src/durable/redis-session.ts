import { BatonError } from "../session/reasons.ts";
import type { RedisConnection, RedisReply, RedisScript } from "./redis-connection.ts";
import type { RedisKeys } from "./redis-keys.ts";
import type { LogState } from "./session-log.ts";

/** A session as a script left it. */
export interface RedisSession extends LogState {
  /** Of the record at the head. */
  readonly checksum: number;
  /** Of the record before the first that is kept. */
  readonly startChecksum: number;
  /** Bytes of all frames before the first that is kept. */
  readonly bytesBefore: number;
}

export interface SessionReply {
  /** Undefined: there is no such session. */
  readonly session: RedisSession | undefined;
  readonly kind: string;
  readonly rest: readonly RedisReply[];
}

/** A place in a log, and what stood there. */
export interface SeenHead {
  readonly epoch: string;
  readonly seq: number;
  readonly checksum: number;
}

interface Remembered extends SeenHead {
  /** The epoch that begins where the server has lost this head, whichever call finds it, and however often it is sent. */
  readonly nextEpoch: string;
}

/** Sessions of which that is remembered. In others a loss is found by the clients who come back to them. */
const remembered = 20_000;

/**
 * Runs the scripts of sessions. Of each it remembers how far its log was read or written here: what a script finds may not
 * be behind that, nor other than that.
 */
export class RedisSessions {
  readonly keys: RedisKeys;
  readonly connection: RedisConnection;
  /** Epochs that began because the server had lost what was seen here of a log, and by a call from here. */
  epochsBegun = 0;
  /** In the order in which they were asked for. */
  readonly #seen = new Map<string, Remembered>();
  /** Epochs of sessions of which something is missing, or is not what was written: they are set aside. */
  readonly #damaged = new Set<string>();

  constructor(connection: RedisConnection, keys: RedisKeys) {
    this.connection = connection;
    this.keys = keys;
  }

  seen(sessionId: string): SeenHead | undefined {
    return this.#seen.get(sessionId);
  }

  /** The epoch to begin where what was seen of a session is lost. */
  nextEpoch(sessionId: string): string {
    return this.#seen.get(sessionId)?.nextEpoch ?? crypto.randomUUID();
  }

  async run(
    script: RedisScript,
    sessionId: string,
    args: readonly string[],
    moreKeys: readonly string[] = [],
  ): Promise<SessionReply> {
    const { keys } = this;
    const seen = this.#seen.get(sessionId);
    const evidence = [seen?.epoch ?? "", String(seen?.seq ?? 0), String(seen?.checksum ?? 0), seen?.nextEpoch ?? ""];
    const reply = await this.connection.run(
      script,
      [keys.session(sessionId), keys.records(sessionId), keys.snapshots(sessionId), ...moreKeys],
      [...evidence, keys.doorbell(sessionId), ...args],
    );
    const [state, kind, ...rest] = listOf(reply);
    const session = sessionOf(listOf(state));
    const known = this.#seen.get(sessionId);
    if (session !== undefined && known?.epoch !== session.epoch) {
      if (session.epoch === known?.nextEpoch) this.epochsBegun += 1;
      this.#remember(sessionId, { epoch: session.epoch, seq: session.head, checksum: session.checksum });
    }
    return { session, kind: textOf(kind), rest };
  }

  /** The log was read or written up to there, from where it was seen before. */
  advance(sessionId: string, head: SeenHead): void {
    const known = this.#seen.get(sessionId);
    // Answers may come in another order than they were made.
    const isOlder = known?.epoch === head.epoch && known.seq > head.seq;
    this.#remember(sessionId, isOlder ? known : head);
  }

  /** Of a session that is gone. */
  forget(sessionId: string): void {
    this.#seen.delete(sessionId);
  }

  /** @throws BatonError `LOG_DAMAGED` for a session that is set aside */
  assertSound(epoch: string | undefined): void {
    if (epoch !== undefined && this.#damaged.has(epoch)) throw new BatonError("LOG_DAMAGED");
  }

  isDamaged(epoch: string): boolean {
    return this.#damaged.has(epoch);
  }

  /** Looks at what is stored of a session; if it is damaged, the session is set aside. */
  examine<T>({ epoch }: RedisSession, look: () => T): T {
    this.assertSound(epoch);
    try {
      return look();
    } catch (error) {
      if (error instanceof BatonError && error.reason === "LOG_DAMAGED") this.#damaged.add(epoch);
      throw error;
    }
  }

  #remember(sessionId: string, head: SeenHead): void {
    const known = this.#seen.get(sessionId);
    const nextEpoch = known?.epoch === head.epoch ? known.nextEpoch : crypto.randomUUID();
    this.#seen.delete(sessionId);
    this.#seen.set(sessionId, { ...head, nextEpoch });
    if (this.#seen.size <= remembered) return;
    const [oldest] = this.#seen.keys();
    if (oldest !== undefined) this.#seen.delete(oldest);
  }
}

function sessionOf(state: readonly RedisReply[]): RedisSession | undefined {
  if (state.length === 0) return undefined;
  const [epoch, head, checksum, first, start, before, through, active] = state;
  const bytesBefore = numberOf(before);
  return {
    epoch: textOf(epoch),
    head: numberOf(head),
    checksum: numberOf(checksum),
    first: numberOf(first),
    startChecksum: numberOf(start),
    bytesBefore,
    bytes: numberOf(through) - bytesBefore,
    lastActivityMs: numberOf(active),
  };
}

/** @throws BatonError `LOG_DAMAGED`: what is stored under these names is not what was */
export function listOf(reply: RedisReply | undefined): readonly RedisReply[] {
  if (typeof reply === "object" && reply !== null) return reply;
  throw new BatonError("LOG_DAMAGED");
}

/** @throws BatonError `LOG_DAMAGED` */
export function textOf(reply: RedisReply | undefined): string {
  if (typeof reply === "string") return reply;
  throw new BatonError("LOG_DAMAGED");
}

/** Of a whole number, as text or as it is. @throws BatonError `LOG_DAMAGED` */
export function numberOf(reply: RedisReply | undefined): number {
  const number = typeof reply === "number" ? reply : Number(textOf(reply));
  if (Number.isSafeInteger(number)) return number;
  throw new BatonError("LOG_DAMAGED");
}
