import { BatonError } from "../session/reasons.ts";
import type { SqlDriver } from "./sqlite-driver.ts";

/** Primary result codes, https://www.sqlite.org/rescode.html */
export const primary = {
  busy: 5,
  locked: 6,
  readonly: 8,
  corrupt: 11,
  full: 13,
  cantOpen: 14,
  constraint: 19,
  tooBig: 18,
  mismatch: 20,
  range: 25,
  notADatabase: 26,
} as const;

/** Of an extended code its low byte. */
export function primaryCode(code: number | undefined): number | undefined {
  return code === undefined ? undefined : code & 0xff;
}

/**
 * What a failed transaction means for those who wait for it.
 *
 * - `full`: nothing was written; single appends may still fit.
 * - `busy`: nothing was written; another holds the lock for a moment.
 * - `request`: it lies in what was to be written, so that the rest of the batch can go on without it.
 * - `handle`: an I/O error, a damaged file or anything unknown. Pages that the connection holds may not be what is on
 *   the disk (after a failed fsync the kernel may drop them and report success the next time), so it is closed.
 */
export type FailureKind = "full" | "busy" | "request" | "handle";

export function failureKind(code: number | undefined): FailureKind {
  switch (primaryCode(code)) {
    case primary.full:
      return "full";
    case primary.busy:
    case primary.locked:
      return "busy";
    case undefined: // not SQLite's: a fault in our own code while it made ready one request
    case primary.constraint:
    case primary.tooBig:
    case primary.mismatch:
    case primary.range:
      return "request";
    default:
      return "handle";
  }
}

/** A failure as the port's users see it. The cause stays inside the relay. */
export function failureError(kind: FailureKind, cause: unknown): BatonError {
  switch (kind) {
    case "full":
      return new BatonError("LOG_FULL", undefined, { cause });
    case "busy":
      return new BatonError("LOG_UNAVAILABLE", "the log's database is locked; try again", { cause });
    case "handle":
      return new BatonError("LOG_UNAVAILABLE", "the log's database failed; it is opened anew", { cause });
    case "request":
      return new BatonError("INTERNAL", undefined, { cause });
  }
}

/**
 * Whether an error that came while rows of one session were read says that they are not what was written: a checksum
 * or an order that fails, a page that SQLite cannot read, or a column of another type.
 */
export function isDamage(driver: SqlDriver, error: unknown): boolean {
  if (error instanceof BatonError) return error.reason === "LOG_DAMAGED";
  return error instanceof TypeError || primaryCode(driver.resultCode(error)) === primary.corrupt;
}
