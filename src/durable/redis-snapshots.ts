import { crc32 } from "node:zlib";
import { BatonError } from "../session/reasons.ts";
import { findSnapshotScript, putSnapshotScript } from "./redis-scripts/snapshots.ts";
import { numberOf, type RedisSession, type RedisSessions, textOf } from "./redis-session.ts";
import type { StoredSnapshot } from "./session-log.ts";

/** Bytes of one part. As base64 it is 2.7 MiB: below what hosted servers take at once, and sent in some milliseconds. */
const partBytes = 2 * 1024 * 1024;

/** Part by part; it is there once the last one is. */
export async function putSnapshot(
  sessions: RedisSessions,
  sessionId: string,
  epoch: string,
  { seq, bytes }: StoredSnapshot,
): Promise<void> {
  const checksum = String(crc32(bytes, seq));
  const parts = Math.max(1, Math.ceil(bytes.length / partBytes));
  for (let index = 0; index < parts; index++) {
    const part = bytes.subarray(index * partBytes, (index + 1) * partBytes);
    const isLast = index === parts - 1;
    const { kind } = await sessions.run(putSnapshotScript, sessionId, [
      epoch,
      String(seq),
      checksum,
      String(index),
      toBase64(part),
      isLast ? String(parts) : "",
    ]);
    if (kind === "ignored") return;
  }
}

export interface FoundSnapshot {
  readonly session: RedisSession | undefined;
  readonly snapshot: StoredSnapshot | undefined;
}

/**
 * The newest sound snapshot at or before a seq. A damaged one is passed over: an older one and the records after it fold to
 * the same state, and while record 1 is kept so does the log alone. One that cannot be put together is damaged only where it
 * is still there: others may have trimmed it away before its last part was fetched.
 *
 * @throws BatonError `LOG_DAMAGED` where nothing is left that could be folded
 */
export async function findSnapshot(sessions: RedisSessions, sessionId: string, atMost: number): Promise<FoundSnapshot> {
  let unsound: string | undefined;
  for (let below = Math.min(atMost, Number.MAX_SAFE_INTEGER); ; ) {
    const { session, kind, rest } = await sessions.run(findSnapshotScript, sessionId, [String(below)]);
    sessions.assertSound(session?.epoch);
    if (session === undefined) return { session, snapshot: undefined };
    if (kind === "none") {
      return sessions.examine(session, () => {
        // A log that was trimmed is folded onto the snapshot at which it was.
        if (session.first > 1 && atMost >= session.first - 1) throw new BatonError("LOG_DAMAGED");
        return { session, snapshot: undefined };
      });
    }
    const seq = numberOf(rest[0]);
    const field = textOf(rest[1]);
    const [parts = 1, checksum = 0] = field.split(" ").map(Number);
    const names = Array.from({ length: parts - 1 }, (_, index) => `${seq}:${checksum}:${index + 1}`);
    const key = sessions.keys.snapshots(sessionId);
    const others = await Promise.all(names.map((name) => sessions.connection.command("HGET", key, name)));
    const texts = [rest[2], ...others].map((part) => (typeof part === "string" ? part : ""));
    const bytes = Buffer.concat(texts.map((text) => Buffer.from(text, "base64")));
    if (crc32(bytes, seq) === checksum) return { session, snapshot: { seq, bytes } };
    const found = `${session.epoch} ${seq} ${field}`;
    if (found === unsound) below = seq - 1;
    unsound = found;
  }
}

export function toBase64({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset, length).toString("base64");
}
