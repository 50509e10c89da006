import { assertNever } from "../session/reasons.ts";
import type { Revocation } from "../session/revocation.ts";
import type { StoredRevocation } from "./session-log.ts";
import { integerOf, type SqlRow, textOf } from "./sqlite-driver.ts";
import type { Statements } from "./sqlite-statements.ts";

/** Within a transaction of the caller. The file is then one that a relay without revocations must not read. */
export function keepRevocation(sql: Statements, revocation: Revocation): void {
  switch (revocation.kind) {
    case "token":
      sql.insertRevocation.run("token", revocation.tokenId, 0);
      break;
    case "user":
      sql.insertRevocation.run("user", revocation.userId, revocation.issuedBeforeMs);
      break;
    default:
      assertNever(revocation);
  }
  sql.raiseFormat.run();
}

export function readRevocations(sql: Statements, after: number, limit: number): StoredRevocation[] {
  return sql.revocationsAfter.all(after, limit).map((row) => ({
    place: integerOf(row, "place"),
    revocation: revocationOf(row),
  }));
}

function revocationOf(row: SqlRow): Revocation {
  const name = textOf(row, "name");
  if (textOf(row, "kind") === "token") return { kind: "token", tokenId: name };
  return { kind: "user", userId: name, issuedBeforeMs: integerOf(row, "issued_before_ms") };
}
