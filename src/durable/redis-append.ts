import { BatonError } from "../session/reasons.ts";
import { conflictBytes } from "./append-rules.ts";
import { clientKeyText } from "./client-key.ts";
import { packRecords } from "./packed-records.ts";
import { takeRecords } from "./redis-read.ts";
import { appendScript } from "./redis-scripts/append.ts";
import { listOf, numberOf, type RedisSessions, type SeenHead, type SessionReply } from "./redis-session.ts";
import { toBase64 } from "./redis-snapshots.ts";
import type { AppendBatch, AppendOutcome, ClientKey } from "./session-log.ts";

/** A client's place in its session's hash. */
export const clientField = (key: ClientKey) => `client ${clientKeyText(key)}`;

/** How often an append asks for the checksum that it has to go on from, and finds another head when it comes back. */
const attempts = 3;

/**
 * Compare-and-append, in one script. The chain is gone on with here, from the checksum at the head as it was seen last; where
 * it was not seen the script says it, and nothing is written until the batch comes again with it.
 */
export async function appendBatch(
  sessions: RedisSessions,
  sessionId: string,
  batch: AppendBatch,
  nowMs: number,
): Promise<AppendOutcome> {
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const seen = sessions.seen(sessionId);
    const reply = await sendBatch(sessions, sessionId, batch, seen, nowMs);
    const { session, kind } = reply;
    if (session === undefined || kind !== "checksum") return await judge(sessions, sessionId, batch, reply, seen);
    sessions.advance(sessionId, { epoch: session.epoch, seq: session.head, checksum: session.checksum });
  }
  throw new BatonError("LOG_UNAVAILABLE");
}

async function sendBatch(
  sessions: RedisSessions,
  sessionId: string,
  { epoch, expectedHead, records, writers }: AppendBatch,
  seen: SeenHead | undefined,
  nowMs: number,
): Promise<SessionReply> {
  const isKnown = seen?.epoch === epoch && seen.seq === expectedHead;
  const pack = isKnown ? packRecords(records, seen.checksum) : undefined;
  const reply = await sessions.run(appendScript, sessionId, [
    epoch,
    String(expectedHead),
    String(pack?.startChecksum ?? ""),
    String(pack?.lastSeq ?? ""),
    String(pack?.endChecksum ?? ""),
    String(records.reduce((sum, { frame }) => sum + frame.length, 0)),
    pack === undefined ? "" : toBase64(pack.bytes),
    String(nowMs),
    String(conflictBytes),
    ...writers.flatMap((writer) => [clientField(writer), String(writer.generation), String(writer.lastClientSeq)]),
  ]);
  if (pack !== undefined && reply.kind === "appended") {
    sessions.advance(sessionId, { epoch, seq: pack.lastSeq, checksum: pack.endChecksum });
  }
  return reply;
}

async function judge(
  sessions: RedisSessions,
  sessionId: string,
  { expectedHead, writers }: AppendBatch,
  { session, kind, rest }: SessionReply,
  seen: SeenHead | undefined,
): Promise<AppendOutcome> {
  if (session === undefined) return { kind: "epoch", epoch: "" };
  switch (kind) {
    case "appended":
      return { kind };
    case "epoch":
      return { kind, epoch: session.epoch };
    case "superseded": {
      const indexes = listOf(rest[0]).map(numberOf);
      const clients = writers.filter((_, index) => indexes.includes(index));
      return { kind, clients: clients.map(({ userId, clientId }) => ({ userId, clientId })) };
    }
    case "unknown-place":
      return { kind: "conflict", records: [] };
    case "conflict": {
      const range = { from: expectedHead + 1, to: session.head, maxBytes: conflictBytes, seen };
      const records = await takeRecords(sessions, sessionId, session, rest[0], range);
      if (records !== undefined) return { kind, records };
      return { kind: "epoch", epoch: sessions.seen(sessionId)?.epoch ?? "" };
    }
    default:
      return sessions.examine(session, () => {
        throw new BatonError("LOG_DAMAGED");
      });
  }
}
