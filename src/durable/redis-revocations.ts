import { assertNever } from "../session/reasons.ts";
import type { Revocation } from "../session/revocation.ts";
import type { RedisConnection } from "./redis-connection.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { revocationsScript, revokeScript } from "./redis-scripts/maintain.ts";
import { listOf, numberOf, textOf } from "./redis-session.ts";
import type { StoredRevocation } from "./session-log.ts";

export async function keepRevocation(
  connection: RedisConnection,
  { revocations, revokedUntil }: RedisKeys,
  revocation: Revocation,
  leastPlace: number,
): Promise<void> {
  await connection.run(revokeScript, [revocations, revokedUntil], [...textsOf(revocation), String(leastPlace)]);
}

function textsOf(revocation: Revocation): readonly [what: string, until: string] {
  switch (revocation.kind) {
    case "token":
      return [`token ${revocation.tokenId}`, ""];
    case "user":
      return [`user ${revocation.userId}`, String(revocation.issuedBeforeMs)];
    default:
      return assertNever(revocation);
  }
}

export async function readRevocations(
  connection: RedisConnection,
  { revocations, revokedUntil }: RedisKeys,
  after: number,
  limit: number,
): Promise<readonly StoredRevocation[]> {
  const found = listOf(
    await connection.run(revocationsScript, [revocations, revokedUntil], [String(after), String(limit)]),
  );
  return Array.from({ length: found.length / 3 }, (_, i) => {
    const what = textOf(found[3 * i]);
    const name = what.slice(what.indexOf(" ") + 1);
    const place = numberOf(found[3 * i + 1]);
    if (what.startsWith("token ")) return { place, revocation: { kind: "token", tokenId: name } };
    const issuedBeforeMs = numberOf(found[3 * i + 2]);
    return { place, revocation: { kind: "user", userId: name, issuedBeforeMs } };
  });
}
