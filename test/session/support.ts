import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { SessionMessage } from "../../src/gen/codereview/v1/codereview_pb.ts";
import {
  CodeEditSchema,
  CommentSchema,
  CustomSchema,
  SessionMessageSchema,
} from "../../src/gen/codereview/v1/codereview_pb.ts";
import { type Admission, admit, hashPayload, type LoggedPayload, type Submission } from "../../src/session/admit.ts";
import { applyRecord } from "../../src/session/apply.ts";
import { defaultLimits, type Limits } from "../../src/session/limits.ts";
import { clientKey, emptyState, lastClientSeq, type SessionState } from "../../src/session/state.ts";
import { textContent } from "../../src/session/text.ts";
import { walkTrail } from "../../src/session/trail.ts";
import { createRandom } from "../support/random.ts";

export const withLimits = (changed: Partial<Limits> = {}): Limits => ({ ...defaultLimits, ...changed });

export const edit = (init: MessageInitShape<typeof CodeEditSchema>): LoggedPayload => ({
  case: "edit",
  value: create(CodeEditSchema, init),
});
export const comment = (init: MessageInitShape<typeof CommentSchema>): LoggedPayload => ({
  case: "comment",
  value: create(CommentSchema, init),
});
export const custom = (type: string, data = new Uint8Array()): LoggedPayload => ({
  case: "custom",
  value: create(CustomSchema, { type, data }),
});

/** What `clientId` sends; users are named after their clients, "c1" is of "user-c1". */
export function submission(
  clientId: string,
  clientSeq: number,
  payload: LoggedPayload,
  changed: Partial<Submission> = {},
): Submission {
  return {
    userId: `user-${clientId}`,
    clientId,
    generation: 1,
    clientSeq,
    payload,
    payloadHash: hashPayload(payload),
    isAdmin: false,
    ...changed,
  };
}

export const keyOf = (clientId: string): string => clientKey(`user-${clientId}`, clientId);

/** A message as whoever reads the log gets it. */
export function overWire(message: SessionMessage): SessionMessage {
  return fromBinary(SessionMessageSchema, toBinary(SessionMessageSchema, message));
}

export interface LogEntry {
  readonly message: SessionMessage;
  readonly payloadHash: number;
}

/** A state that admits what it is given under the next number of its client, and the log that it makes. */
export class Session {
  readonly limits: Limits;
  readonly state: SessionState;
  readonly log: LogEntry[] = [];
  nowMs = 1_700_000_000_000;

  constructor(limits: Partial<Limits> = {}, state: SessionState = emptyState("demo", "epoch-1")) {
    this.limits = withLimits(limits);
    this.state = state;
  }

  send(clientId: string, payload: LoggedPayload, changed: Partial<Submission> = {}): Admission {
    const clientSeq = lastClientSeq(this.state, keyOf(clientId)) + 1;
    const sent = submission(clientId, clientSeq, payload, changed);
    const result = admit(this.state, sent, this.nowMs++, this.limits);
    if (result.kind === "admitted") {
      this.log.push({ message: overWire(result.message), payloadHash: result.logged.payloadHash });
    }
    return result;
  }

  /** "admitted", or the reason why not. */
  outcome(clientId: string, payload: LoggedPayload, changed: Partial<Submission> = {}): string {
    const result = this.send(clientId, payload, changed);
    return result.kind === "refused" ? result.reason : result.kind;
  }

  content(path: string): string {
    const file = this.state.files.get(path);
    if (file === undefined) throw new Error(`no file ${path}`);
    return textContent(file.text);
  }

  version(path: string): number {
    return this.state.files.get(path)?.version ?? 0;
  }

  line(commentId: string): number | undefined {
    return this.state.comments.get(commentId)?.line;
  }
}

/** The state that a log makes of an empty one. */
export function fold(log: readonly LogEntry[], limits: Limits, state = emptyState("demo", "epoch-1")): SessionState {
  for (const { message, payloadHash } of log) applyRecord(state, message, payloadHash, limits.fileHistory);
  return state;
}

const byName = <T>(entries: readonly (readonly [string, T])[]) =>
  [...entries].sort(([a], [b]) => (a < b ? -1 : Number(a > b)));

/** All that a state says, as plain values, without what a stored snapshot forgets on purpose. */
export function told(state: SessionState) {
  return {
    head: state.head,
    epoch: state.epoch,
    fileCount: state.fileCount,
    units: state.units,
    hasDocument: state.hasDocument,
    lastCustomSeq: state.lastCustomSeq,
    files: byName(
      [...state.files.values()].map(({ path, version, text, deleted, born, commentIds }) => [
        path,
        { version, deleted, born: deleted ? 0 : born, content: textContent(text), commentIds: [...commentIds].sort() },
      ]),
    ),
    comments: byName([...state.comments.values()].map((one) => [one.id, { ...one }])),
    clients: byName(
      [...state.clients.values()].map(({ userId, clientId, lastClientSeq, lastUsedMs }) => [
        clientId,
        { userId, lastClientSeq, lastUsedMs },
      ]),
    ),
  };
}

/** Likewise, and what of its past a state may still be asked for: places of messages, versions of files. */
export function toldWhole(state: SessionState) {
  return {
    ...told(state),
    recent: byName([...state.clients.values()].map(({ clientId, recent }) => [clientId, [...walkTrail(recent)]])),
    history: byName(
      [...state.files.values()].map(({ path, history }) => [
        path,
        [...walkTrail(history)].map(({ version, author, changes }) => ({ version, author, changes: changes.toJSON() })),
      ]),
    ),
  };
}

/** Random numbers that a seed repeats (mulberry32). */
export class Random {
  readonly #random: () => number;
  constructor(seed: number) {
    this.#random = createRandom(seed);
  }
  next(): number {
    return this.#random();
  }
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }
  chance(probability: number): boolean {
    return this.next() < probability;
  }
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }
}

/** The name of an enum's value. */
export function nameOf(values: Readonly<Record<string, number>>, value: number): string {
  return Object.entries(values).find(([, one]) => one === value)?.[0] ?? String(value);
}
