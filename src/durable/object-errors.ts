import { BatonError } from "../session/reasons.ts";

/**
 * A failure of an object's storage as the port's users see it. The platform tells them apart in words only, which end in
 * SQLite's name of the code.
 */
export function storageError(error: unknown): BatonError {
  if (error instanceof BatonError) return error;
  const text = error instanceof Error ? error.message : "";
  if (text.includes("SQLITE_FULL")) return new BatonError("LOG_FULL", undefined, { cause: error });
  if (error instanceof TypeError || text.includes("SQLITE_CORRUPT") || text.includes("SQLITE_NOTADB")) {
    return new BatonError("LOG_DAMAGED", undefined, { cause: error });
  }
  // Also what an instance gets to hear that was replaced by another one: it may write nothing any more.
  return new BatonError("LOG_UNAVAILABLE", undefined, { cause: error });
}
