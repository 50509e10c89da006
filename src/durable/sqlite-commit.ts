import { BatonError } from "../session/reasons.ts";
import type { Request } from "./commit-queue.ts";
import type { SqlConnection, SqlDriver } from "./sqlite-driver.ts";
import { type FailureKind, failureKind } from "./sqlite-errors.ts";
import type { SqliteStore } from "./sqlite-store.ts";
import { createUndoList } from "./undo-list.ts";

export type CommitResult =
  | { readonly kind: "committed" }
  /** Nothing of it is in the file, and memory is as before; but `handle`: nothing is known, drop the connection. */
  | { readonly kind: FailureKind; readonly error: unknown; readonly trusted: boolean };

/** Runs the requests in one transaction, and tells each that refused itself, or all of them once it is durable. */
export function commitTogether(
  { driver, db, store }: { readonly driver: SqlDriver; readonly db: SqlConnection; readonly store: SqliteStore },
  requests: readonly Request[],
  fold: boolean,
): CommitResult {
  const undo = createUndoList();
  const refusals = new Map<Request, BatonError>();
  let committing = false;
  try {
    store.sql.begin.run();
    let weight = 0;
    for (const request of requests) {
      try {
        request.apply(undo);
        weight += request.weight;
      } catch (error) {
        if (!(error instanceof BatonError)) throw error;
        refusals.set(request, error);
      }
    }
    if (fold) store.journal.foldDue(weight, undo);
    committing = true;
    store.sql.commit.run();
  } catch (error) {
    undo.run();
    const kind = failureKind(driver.resultCode(error));
    return { kind, error, trusted: rolledBack(db, store) && !committing && kind !== "handle" };
  }
  store.compact();
  for (const request of requests) {
    const refusal = refusals.get(request);
    if (refusal === undefined) request.committed();
    else request.failed(refusal);
  }
  return { kind: "committed" };
}

/** SQLite ends some failed transactions by itself. */
function rolledBack(db: SqlConnection, store: SqliteStore): boolean {
  try {
    if (db.inTransaction) store.sql.rollback.run();
    return true;
  } catch {
    return false;
  }
}
