import { randomUUID } from "node:crypto";
import process from "node:process";
import { toJsonString } from "@bufbuild/protobuf";
import type { CarriageEnd } from "../client/carriage.ts";
import { LogFollower } from "../client/log-follower.ts";
import { LogWatch, type WatchEvent } from "../client/log-watch.ts";
import { SessionConnection, type TokenSource } from "../client/session-connection.ts";
import { endFromError } from "../client/stream-error.ts";
import { type SessionMessage, SessionMessageSchema } from "../gen/codereview/v1/codereview_pb.ts";
import { readVersion } from "../runtime/version.ts";
import { judgeEnd } from "../session/client/stream-end.ts";
import { describeRecord } from "./describe-record.ts";
import { describeStop, endLine, isHopeless } from "./describe-stop.ts";
import { exitCodes } from "./exit-codes.ts";
import { jsonLine, Output } from "./output.ts";
import { type CarriageKind, carriageTo, createRelayClient } from "./relay-transport.ts";
import { onStopSignal } from "./stop-signals.ts";
import { openTokenSource } from "./token-source.ts";

export interface LogOptions {
  readonly session: string;
  readonly url: string;
  readonly from: number;
  readonly to: number;
  readonly follow: boolean;
  readonly carriage: CarriageKind;
  readonly sub?: string;
  readonly token?: string;
  /** Seconds. */
  readonly ttl: number;
  readonly dataDir?: string;
}

const goodbyeMs = 1_000;

/** Why a log is not printed to its end: words for stderr. */
class LogEnd extends Error {
  readonly end: CarriageEnd;

  constructor(message: string, end: CarriageEnd = {}) {
    super(message);
    this.end = end;
  }
}

/** The log of a session: JSON lines, or a readable line each at a terminal. */
export async function runLog(options: LogOptions): Promise<void> {
  const token = await openTokenSource({ ...options, scope: "session:read", ttlSeconds: options.ttl });
  const stop = new AbortController();
  const output = new Output(() => stop.abort());
  onStopSignal(() => stop.abort());
  const print = async (record: SessionMessage): Promise<void> => {
    const isForPeople = process.stdout.isTTY === true;
    output.line(isForPeople ? describeRecord(record) : jsonLine(toJsonString(SessionMessageSchema, record)));
    await output.room();
  };
  const work = options.follow
    ? follow(options, token, print, stop.signal)
    : readOnce(options, token, print, stop.signal);
  const end = await work.then(() => undefined).catch((error: unknown) => error);
  await output.flushed();
  if (end === undefined || stop.signal.aborted) process.exit(exitCodes.ok);
  if (!(end instanceof LogEnd)) throw end;
  process.stderr.write(`${end.message}\n`);
  process.exit(exitCodes.failed);
}

type Print = (record: SessionMessage) => Promise<void>;

async function readOnce(options: LogOptions, token: TokenSource, print: Print, signal: AbortSignal): Promise<void> {
  for await (const record of read(options, token, { from: options.from, to: options.to, signal })) await print(record);
}

interface Range {
  readonly from: number;
  readonly to: number;
  readonly epoch?: string;
  readonly signal: AbortSignal;
}

/** Throws a `LogEnd` that says what to do. */
async function* read(
  { url, session, sub }: LogOptions,
  token: TokenSource,
  { from, to, epoch = "", signal }: Range,
): AsyncGenerator<SessionMessage> {
  const headers = { authorization: `Bearer ${(await token("join")) ?? ""}` };
  const request = { sessionId: session, fromSeq: BigInt(from), toSeq: BigInt(to), epoch };
  try {
    yield* createRelayClient(url).readLog(request, { headers, signal });
  } catch (error) {
    if (signal.aborted) return;
    const end = endFromError(error);
    throw new LogEnd(describeStop({ end, everJoined: false }, { url, session, signs: sub !== undefined }), end);
  }
}

async function follow(options: LogOptions, token: TokenSource, print: Print, signal: AbortSignal): Promise<void> {
  const { session, url, from, to, carriage, sub } = options;
  const follower = new LogFollower({
    from,
    to,
    record: print,
    read: (first, last, epoch) =>
      // Lost: the rest is read when the watch is back.
      readWhileReachable(read(options, token, { from: first, to: last, epoch, signal }), () => connection.interrupt()),
  });
  const connection = new SessionConnection<LogWatch, WatchEvent>({
    machine: new LogWatch({
      sessionId: session,
      clientId: randomUUID(),
      clientName: `baton-cli/${readVersion()}`,
    }),
    carriage: carriageTo(url, carriage),
    token,
    readTail: async () => [],
    newClientId: randomUUID,
    onEvent: (event) => {
      if (event.kind === "head" && event.seq === 0) note(`nothing was said in ${session} yet; waiting`);
      follower.heard(event);
    },
    onReconnect: (_attempt, waitMs, interruption) => {
      if (isHopeless(interruption)) return false;
      const { reason, message } = endLine(interruption.end);
      note(`cut off (${reason || message || "the relay fell silent"}); coming back in ${waitMs} ms`);
      return true;
    },
  });
  connection.open();
  const stopped = new Promise<"signal">((resolve) => signal.addEventListener("abort", () => resolve("signal")));
  const end = await Promise.race([connection.stopped, follower.finished, stopped]);
  connection.close(goodbyeMs);
  await connection.stopped;
  if (end === "epoch-changed") {
    throw new LogEnd(`the history of ${session} was replaced: what was printed no longer stands; start again`);
  }
  if (typeof end === "object" && end.kind === "refused") {
    throw new LogEnd(describeStop(end, { url, session, signs: sub !== undefined, carriage }));
  }
}

const note = (text: string) => process.stderr.write(`${text}\n`);

/** A range that ends where the relay is lost for now. What it refuses is thrown. */
async function* readWhileReachable(
  records: AsyncIterable<SessionMessage>,
  lost: () => void,
): AsyncGenerator<SessionMessage> {
  try {
    yield* records;
  } catch (error) {
    if (!(error instanceof LogEnd) || judgeEnd(error.end) !== "reconnect") throw error;
    lost();
  }
}
