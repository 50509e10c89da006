import { z } from "zod";
import { defaultLimits, type Limits, resumeTokenTtlMs } from "../session/limits.ts";

export type LimitName = keyof Limits;

const isLimitName = (key: string): key is LimitName => Object.hasOwn(defaultLimits, key);

export const limitNames: readonly LimitName[] = Object.keys(defaultLimits).filter(isLimitName);

/** `messageBytes` is set by `BATON_LIMIT_MESSAGE_BYTES`. */
export function limitVariable(name: LimitName): string {
  return `BATON_LIMIT_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

export const wholeNumber = (error: string) =>
  z
    .string()
    .regex(/^(0|[1-9][0-9]{0,15})$/, { error, abort: true })
    .transform(Number);

const limitError = `must be a whole number from 1 to ${Number.MAX_SAFE_INTEGER}, in digits alone; leave it out for the default`;

/** One limit's value, as its variable has it. */
export const limitSchema = wholeNumber(limitError).refine((value) => value >= 1 && Number.isSafeInteger(value), {
  error: limitError,
});

/** Beyond 2^31 - 1 ms (24.8 days) a timer of any runtime fires at once. */
const maxTimerMs = 2 ** 31 - 1;

/** What a `Welcome` tells its client is a uint32 there. */
const maxUint32 = 2 ** 32 - 1;

/** 255 s, for Bun's listener; for all others it would be a timer's. */
const maxConnectionIdleMs = 255_000;

const timer = { atMost: maxTimerMs, because: "the longest that a timer can run" };
const told = { atMost: maxUint32, because: "clients are told of it in 32 bits" };

/** Upper bounds other than that of exact integers. */
const bounds: Readonly<Partial<Record<LimitName, { readonly atMost: number; readonly because: string }>>> = {
  messageBytes: told,
  messagesPerSecond: told,
  unackedBytes: told,
  heartbeatMs: timer,
  streamAgeMs: timer,
  firstMessageMs: timer,
  connectionIdleMs: { atMost: maxConnectionIdleMs, because: "the longest that Bun's listener can wait" },
  idleMs: timer,
  leaveGraceMs: timer,
  slowReaderMs: timer,
  drainMs: timer,
  roomIdleMs: timer,
};

/** What a request's other headers need beside its token. */
const otherHeaderBytes = 1024;

interface Order {
  readonly small: LimitName;
  readonly large: LimitName;
  /** What the larger one has to hold beyond the smaller one. */
  readonly room?: number;
  readonly otherwise: string;
}

/** Pairs that contradict each other when the first is larger than the second. */
const orders: readonly Order[] = [
  { small: "editBytes", large: "messageBytes", otherwise: "an edit of the size allowed would not fit in a message" },
  { small: "editBytes", large: "fileBytes", otherwise: "an edit of the size allowed would not fit in a file" },
  { small: "fileBytes", large: "sessionBytes", otherwise: "a file of the size allowed would not fit in a session" },
  { small: "messageBytes", large: "unackedBytes", otherwise: "a message of the size allowed could never be sent" },
  { small: "messageBytes", large: "ringBytes", otherwise: "a message of the size allowed would not fit in the ring" },
  {
    small: "tokenBytes",
    large: "headerBytes",
    room: otherHeaderBytes,
    otherwise: `a token of the size allowed, and ${otherHeaderBytes} bytes of other headers, would not fit`,
  },
  { small: "firstMessageMs", large: "streamAgeMs", otherwise: "a stream would be too old before its first message" },
  { small: "heartbeatMs", large: "streamAgeMs", otherwise: "a stream would be too old before its first heartbeat" },
];

export interface LimitFault {
  readonly names: readonly LimitName[];
  readonly says: string;
}

/** Limits that are too large for what has to hold them, and limits that are each fine and contradict each other. */
export function findLimitFaults(limits: Limits): readonly LimitFault[] {
  const faults: LimitFault[] = [];
  for (const name of limitNames) {
    const bound = bounds[name];
    if (bound === undefined || limits[name] <= bound.atMost) continue;
    faults.push({ names: [name], says: `must be at most ${bound.atMost}: ${bound.because}; lower it` });
  }
  const contradictions = orders
    .filter(({ small, large, room = 0 }) => limits[small] + room > limits[large])
    .map(({ small, large, room = 0, otherwise }) => ({
      names: [small, large],
      says: `${otherwise}; lower ${limitVariable(small)} (now ${limits[small]}) or raise ${limitVariable(large)} (now ${limits[large]}) to ${limits[small] + room}`,
    }));
  faults.push(...contradictions);
  if (limits.clientTtlMs < resumeTokenTtlMs) {
    faults.push({
      names: ["clientTtlMs"],
      says: `a client would be forgotten while its resume token is still good; raise it to ${resumeTokenTtlMs} or more`,
    });
  }
  return faults;
}
