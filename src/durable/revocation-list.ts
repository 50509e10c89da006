import type { Revocation } from "../session/revocation.ts";
import type { StoredRevocation } from "./session-log.ts";

/** Revocations in memory, as `SessionLog` promises them. */
export interface RevocationList {
  put(revocation: Revocation): void;
  after(place: number, limit: number): readonly StoredRevocation[];
}

export function createRevocationList(): RevocationList {
  // In the order of their places: one that comes again is put at the end.
  const kept = new Map<string, StoredRevocation>();
  let lastPlace = 0;
  return {
    put(revocation) {
      const key = revocation.kind === "token" ? `token ${revocation.tokenId}` : `user ${revocation.userId}`;
      const earlier = kept.get(key)?.revocation;
      kept.delete(key);
      kept.set(key, { place: ++lastPlace, revocation: wider(earlier, revocation) });
    },
    after: (place, limit) => [...kept.values()].filter((stored) => stored.place > place).slice(0, limit),
  };
}

function wider(earlier: Revocation | undefined, later: Revocation): Revocation {
  if (earlier?.kind !== "user" || later.kind !== "user") return later;
  return { ...later, issuedBeforeMs: Math.max(earlier.issuedBeforeMs, later.issuedBeforeMs) };
}
