import { closeSync, openSync, read, statSync } from "node:fs";
import { stat } from "node:fs/promises";
import { promisify } from "node:util";
import { BatonError } from "../session/reasons.ts";
import { integerOf, type SqlConnection } from "./sqlite-driver.ts";
import { checkpointPages } from "./sqlite-open.ts";
import type { StoreBackup } from "./store-backup.ts";

/** Large enough that a disk is read at its speed, small enough that nobody waits for one. */
const chunkBytes = 256 * 1024;
/** What the write-ahead log may grow to meanwhile. All of it is put into the database afterwards, in one go. */
const maxWalBytes = 256 * 1024 * 1024;
const retryAfterMs = 30_000;

/** A backup of a database that is open, and whose connection may be lost. */
export interface SqliteBackup extends StoreBackup {
  readonly isUnderWay: boolean;
  /** The connection is about to close, or cannot be trusted: from now on the file may change. */
  abandon(): void;
}

/**
 * Holds the database file still and reads it. In WAL mode commits go to the write-ahead log, and only a checkpoint writes
 * to the database file. The one connection there is makes one now, so that the file is whole in itself, and none until
 * the backup is read. Commits go on as ever; the thread stands still for that one checkpoint, of 4,000 pages at most.
 *
 * Not `VACUUM INTO`: it holds the thread up for as long as it copies (1.5 s for 1 GB).
 */
export function beginBackup(db: SqlConnection, path: string, reader: DatabaseReader): SqliteBackup {
  let isHeld = true;
  const letGo = () => {
    if (!isHeld) return;
    isHeld = false;
    db.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
  };
  try {
    db.exec("PRAGMA wal_autocheckpoint = 0");
    const { bytes } = checkpoint(db, path);
    return {
      bytes,
      get isUnderWay() {
        return isHeld;
      },
      async *chunks() {
        try {
          for (let offset = 0; offset < bytes; ) {
            const chunk = await reader.read(offset, Math.min(chunkBytes, bytes - offset));
            // Where it is gone, the database was closed.
            const wal = await stat(`${path}-wal`).catch(() => undefined);
            if (!isHeld || chunk.length === 0 || wal === undefined) throw lost();
            if (wal.size > maxWalBytes) throw tooSlow();
            offset += chunk.length;
            yield chunk;
          }
        } finally {
          letGo();
        }
      },
      close: letGo,
      abandon() {
        isHeld = false;
      },
    };
  } catch (error) {
    letGo();
    throw error;
  }
}

/**
 * Reads the database file beside SQLite. A process that closes any descriptor of a file loses all of its POSIX locks on
 * that file (https://www.sqlite.org/howtocorrupt.html, 2.2), and with them what keeps a second relay out. So this one is
 * opened once, and closed when the database is no longer open.
 */
export class DatabaseReader {
  readonly #path: string;
  #descriptor: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    this.#descriptor ??= openSync(this.#path, "r");
    const { bytesRead, buffer } = await readDescriptor(this.#descriptor, Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  }

  /** Only after the database's own connection is closed. */
  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

const readDescriptor = promisify(read);

function checkpoint(db: SqlConnection, path: string): { readonly bytes: number } {
  const row = db.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get() ?? {};
  if (integerOf(row, "busy") !== 0) throw lost();
  return { bytes: statSync(path).size };
}

const lost = () =>
  new BatonError("LOG_UNAVAILABLE", "the database changed under the backup; try again", { retryAfterMs });

const tooSlow = () =>
  new BatonError(
    "LOG_UNAVAILABLE",
    "more was written meanwhile than a backup may hold up; try again, or read it faster",
    {
      retryAfterMs,
    },
  );

export const alreadyUnderWay = () =>
  new BatonError("LOG_UNAVAILABLE", "another backup is under way; try again when it is done", { retryAfterMs });
